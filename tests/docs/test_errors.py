import runpy
from pathlib import Path

import ml_switcheroo
from ml_switcheroo import errors

ROOT = Path(ml_switcheroo.__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "docs" / "errors.py"))


def test_the_page_has_every_class_as_its_docstring_says_it():
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert SCRIPT["updated"](text) == text, "run: python docs/errors.py"
    classes = [name for name in errors.__all__ if isinstance(getattr(errors, name), type)]
    assert sorted(classes) == sorted(line[4:] for line in text.splitlines() if line.startswith("### "))


def test_every_attribute_of_an_error_is_on_the_page():
    made = [
        errors.UserCodeError("--like", KeyError("a")),
        errors.CheckpointError("a", "broken"),
        errors.PlanError("x"),
        errors.CastError("x", {}),
        errors.LoadError("x"),
        errors.SourceError("a.py:1", "not Python"),
        errors.RewriteError("a.py:1", "not Python"),
        errors.UnknownTarget("nxn", ["nnx"]),
        errors.UnknownName("tensor", "a", {}),
    ]
    common = {"where", "cure", "problems", "exit_code", "full"}
    for error in made:
        public = {name for name in vars(error) if name[0] != "_"} - common
        table = SCRIPT["_class"](type(error))
        assert [name for name in public if f"| {name} |" not in table] == [], type(error).__name__
