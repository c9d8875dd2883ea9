"""Numbers whose value is unknown, but that surely are numbers: made of what is measured."""

from __future__ import annotations

from collections.abc import Iterable

from ml_switcheroo.sources.static.python.values import Measure, Unknown, Value, next_serial

__all__ = ["is_number", "number", "whole_numbers"]


def number() -> Unknown:
    """Return a number that nobody knows, made of what is measured."""
    return Unknown(f"#{next_serial()}")


def is_number(value: Value) -> bool:
    """Tell whether a value is a number, or several, made of what is measured."""
    return isinstance(value, Measure) or (isinstance(value, Unknown) and "#" in value.symbol)


def whole_numbers(values: Iterable[Value]) -> list[int] | None:
    """Return values as whole numbers; None where one of them is something else."""
    found = []
    for value in values:
        if not isinstance(value, int):
            return None
        found.append(value)
    return found
