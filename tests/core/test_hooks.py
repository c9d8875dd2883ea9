from importlib.metadata import EntryPoint

import pytest

from ml_switcheroo.core import hooks
from ml_switcheroo.core.hooks import HookContext, find_hook, register_hook
from ml_switcheroo.errors import UsageError


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(hooks, "_HOOKS", dict(hooks._HOOKS))


def keep(node, ctx):
    return node


def test_a_registered_hook_is_found():
    assert register_hook("keep")(keep) is keep
    assert find_hook("keep") is keep


def test_a_name_is_taken_once():
    register_hook("keep")(keep)
    register_hook("keep")(keep)
    with pytest.raises(UsageError, match=r"hook 'keep' is .*keep already"):
        register_hook("keep")(find_hook)


def test_an_unknown_hook_is_an_error_that_names_the_known_ones():
    with pytest.raises(
        UsageError, match=r"no hook is called 'nothing'.*checkpoint_loader, checkpoint_mapper"
    ):
        find_hook("nothing")


def offered(monkeypatch, value):
    point = EntryPoint("other", value, hooks.ENTRY_POINTS)
    monkeypatch.setattr(hooks, "entry_points", lambda **wanted: [point] if wanted["name"] == "other" else [])


def test_another_package_offers_a_hook(monkeypatch):
    offered(monkeypatch, "ml_switcheroo.core.hooks:find_hook")
    assert find_hook("other") is find_hook


@pytest.mark.parametrize("value", ["no_such_package.hooks:rewrite", "ml_switcheroo.core.hooks:no_such_hook"])
def test_a_hook_that_cannot_be_imported_is_an_error_that_names_it(monkeypatch, value):
    offered(monkeypatch, value)
    with pytest.raises(UsageError, match=f"hook 'other' cannot be loaded from {value}: .*no_such"):
        find_hook("other")


def test_what_a_context_is_asked_for_twice_is_there_once():
    ctx = HookContext(file="run.py", line=7)
    for _ in range(2):
        ctx.inject_preamble("class A: ...")
        ctx.inject_import("import numpy")
    ctx.note("left")
    assert list(ctx.preambles) == ["class A: ..."]
    assert list(ctx.imports) == ["import numpy"]
    assert [str(note) for note in ctx.notes] == ["run.py:7: left"]
