import importlib
import pkgutil

import pytest

import ml_switcheroo as ms
from ml_switcheroo import errors

PUBLIC = {
    *("__version__", "Drop", "Experiment", "Keep", "Kind", "Move", "Plan", "Rename", "TensorSpec"),
    *(
        "convert",
        "load_into",
        "load_rules",
        "load_sharded",
        "make_plan",
        "open_checkpoint",
        "rewrite",
        "settle",
        "to_torch",
        "verify",
    ),
    *(name for name in errors.__all__ if isinstance(getattr(errors, name), type)),
}


def test_the_public_names_are_these():
    assert set(ms.__all__) == PUBLIC


def test_dir_lists_them_and_nothing_else():
    assert dir(ms) == sorted(ms.__all__)
    assert ms.PlanError is errors.PlanError


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there_and_documented(name):
    value = getattr(ms, name)
    assert name in dir(ms)
    assert name == "__version__" or value.__doc__


def test_no_module_hides_a_public_function():
    for module in pkgutil.iter_modules(ms.__path__):
        importlib.import_module(f"ml_switcheroo.{module.name}") if module.name != "__main__" else None
    assert all(callable(getattr(ms, name)) for name in PUBLIC - {"__version__"})


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ms.nothing  # noqa: B018


@pytest.mark.parametrize("module", [m.name for m in pkgutil.walk_packages(ms.__path__, "ml_switcheroo.")])
def test_every_name_in_all_exists(module):
    if module.endswith("__main__"):
        return
    found = importlib.import_module(module)
    assert all(hasattr(found, name) for name in getattr(found, "__all__", ()))
