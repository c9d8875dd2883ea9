"""What a constructor has made, kept to be made again as a copy."""

from __future__ import annotations

from dataclasses import dataclass

from ml_switcheroo.sources.static.python.values import Arguments, Instance, Value

__all__ = ["Made"]


@dataclass(frozen=True, slots=True)
class Made:
    """What a constructor has made, untouched since.

    Attributes:
        value: A copy of it that nobody else holds.
        kept: What it holds and has not made, by id.
        steps: The expressions and statements it took.
        args: The arguments, which the ids in the key are of.
    """

    value: Instance
    kept: dict[int, Value]
    steps: int
    args: Arguments
