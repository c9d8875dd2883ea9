"""Values that a package makes: what the reader of Python leaves to whoever knows the package."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ml_switcheroo.code.library import Library
from ml_switcheroo.sources.static.python.frames import module_frame
from ml_switcheroo.sources.static.python.machine import STEPS, Machine
from ml_switcheroo.sources.static.python.values import External, Foreign, Instance, Measure, join, same
from ml_switcheroo.sources.static.torch.interpreter import TABLES


class Array(Foreign):
    """An array of some package."""

    def __init__(self, name: str) -> None:
        self.name = name

    def copied(self) -> Array:
        return Array(f"copy of {self.name}")


@dataclasses.dataclass(frozen=True)
class Length(Measure):
    """The length of an axis."""

    axis: str


def evaluated(tmp_path: Path, expression: str, names: dict[str, Any], **outside: Any) -> Any:
    """Read an expression where some names are known."""
    path = tmp_path / "code.py"
    path.write_text(f"import copy\nmade = {expression}\n")
    tables = dataclasses.replace(TABLES, outside=dataclasses.replace(TABLES.outside, **outside))
    machine = Machine(Library([tmp_path]), tables, STEPS)
    frame = module_frame(machine.library.file(path))
    frame.names.update(names)
    statement = ast.parse(f"made = {expression}").body
    machine.run(ast.parse("import copy").body, frame)
    machine.run(statement, frame)
    return frame.names["made"]


def test_of_what_a_package_makes_neither_truth_nor_equality_is_known(tmp_path: Path) -> None:
    one, other = Array("one"), Array("other")
    both = evaluated(tmp_path, "(1 if one else 2, one == other, one is one)", {"one": one, "other": other})
    assert set(both[0].choices) == {1, 2}
    assert not isinstance(both[1], bool)
    assert both[2] is True


def test_an_operator_of_one_side_gives_such_a_value_again(tmp_path: Path) -> None:
    one = Array("one")
    assert evaluated(tmp_path, "(-one, +one, ~one)", {"one": one}) == (one, one, one)


def test_a_deep_copy_is_what_the_value_says(tmp_path: Path) -> None:
    made = evaluated(tmp_path, "copy.deepcopy([one, one, 3])", {"one": Array("one")})
    assert made[0].name == "copy of one"
    assert made[0] is made[1], "one thing stays one thing"
    assert made[2] == 3


def test_many_alternatives_of_such_values_are_still_told_apart_and_measures_are_compared() -> None:
    arrays = [Array(str(i)) for i in range(3)]
    assert set(join(arrays).choices) == set(arrays)  # type: ignore[attr-defined]
    assert same(Length("a"), Length("a"))
    assert not same(Length("a"), Length("b"))


def test_a_foreign_value_says_by_itself_how_it_is_copied() -> None:
    with pytest.raises(NotImplementedError):
        Foreign().copied()
    with pytest.raises(NotImplementedError):
        Foreign().made_again(lambda value: value, 0)


SHELF = Instance(External("shop.Shelf"), {"a": 1, "b": 2}, base="Shelf")


def test_which_classes_hold_by_key_is_said_from_outside(tmp_path: Path) -> None:
    code = "([key for key in shelf], shelf['b'], len(shelf), bool(shelf))"
    made = evaluated(tmp_path, code, {"shelf": SHELF}, keyed=frozenset({"Shelf"}))
    assert made == (["a", "b"], 2, 2, True)
    assert evaluated(tmp_path, "len(shelf)", {"shelf": SHELF}) != 2


def test_which_classes_no_plain_value_is_an_instance_of_is_said_from_outside(tmp_path: Path) -> None:
    names = {"Box": External("shop.Box")}
    assert evaluated(tmp_path, "isinstance(3, Box)", names, apart=("shop.",)) is False
    assert evaluated(tmp_path, "isinstance(3, Box)", names) is not False
