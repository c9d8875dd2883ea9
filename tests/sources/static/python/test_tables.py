"""What the machine does with what its tables lack, and with what two of them know."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ml_switcheroo.code.library import Library
from ml_switcheroo.sources.static.python.frames import module_frame
from ml_switcheroo.sources.static.python.machine import STEPS, Machine
from ml_switcheroo.sources.static.python.values import UNKNOWN
from ml_switcheroo.sources.static.torch.interpreter import TABLES


def names_after(tmp_path: Path, code: str, *, without: type) -> dict[str, Any]:
    """Run code with tables that lack a node, as of a Python newer than the reader."""
    path = tmp_path / "code.py"
    path.write_text(code)
    tables = dataclasses.replace(
        TABLES,
        **{
            name: {key: row for key, row in getattr(TABLES, name).items() if key is not without}
            for name in ("expressions", "statements", "forks")
        },
    )
    machine = Machine(Library([tmp_path]), tables, STEPS)
    source = machine.library.file(path)
    frame = module_frame(source)
    machine.run(source.tree.body, frame)
    return frame.names


@pytest.mark.parametrize(
    ("code", "without"),
    [
        ("a = b = 1\nfor a in (2, 3):\n    c = a", ast.For),
        ("a = b = 1\nwhile a < 3:\n    a = c = a + 1", ast.While),
        ("a = b = 1\nif b:\n    a = c = 2", ast.If),
        ("a = b = 1\na = c = [(a := d) for d in (1, 2)]", ast.ListComp),
    ],
)
def test_of_what_the_tables_lack_nothing_is_known_but_the_names_it_binds(tmp_path, code, without):
    names = names_after(tmp_path, code, without=without)
    assert names["b"] == 1
    assert names["a"] == names["c"] == UNKNOWN


def test_what_the_tables_have_is_read(tmp_path):
    names = names_after(tmp_path, "a = (1 + 2, 'x' + 'y', [1] * 2)", without=ast.Await)
    assert names["a"] == (3, "xy", [1, 1])
