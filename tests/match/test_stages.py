"""The stages of the matcher are packages; what comes first knows nothing of what comes later."""

import ast
from pathlib import Path

import pytest

import ml_switcheroo.match

HOME = Path(ml_switcheroo.match.__file__).parent
# What stands in one row may import itself and the rows above.
STAGES = ("weights", "paths", "units", "candidates", "assignment", "layouts", "making", "trace", "structure")
BESIDE = {"kinds_by_target"}
MODULES = sorted(path for path in HOME.rglob("*.py") if path.name != "__init__.py")


def stage_of(dotted):
    return dotted.removeprefix("ml_switcheroo.match.").partition(".")[0]


def test_every_module_belongs_to_a_stage():
    stages = {path.relative_to(HOME).with_suffix("").parts[0] for path in MODULES}
    assert stages - BESIDE == set(STAGES)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HOME)))
def test_a_stage_imports_only_from_those_before_it(path):
    own = path.relative_to(HOME).with_suffix("").parts[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        module = getattr(node, "module", None) or ""
        if isinstance(node, ast.ImportFrom) and module.startswith("ml_switcheroo.match."):
            other = stage_of(module)
            if own in BESIDE:
                assert other == "paths"
            else:
                assert STAGES.index(other) <= STAGES.index(own), f"{own} imports {module}"


@pytest.mark.parametrize("stage", STAGES)
def test_the_map_names_every_stage(stage):
    assert f"``{stage}``" in ml_switcheroo.match.__doc__ or f".{stage}." in ml_switcheroo.match.__doc__
