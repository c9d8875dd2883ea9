"""Targets of other packages: registered by a call, or offered by an entry point."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from ml_switcheroo.errors import UsageError
from ml_switcheroo.offered import load_offered, offered_as
from ml_switcheroo.recipes import Target

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ENTRY_POINTS", "offered_targets", "register"]

ENTRY_POINTS = "ml_switcheroo.targets"
"""The entry-point group in which other packages offer a target: ``name = "package.module:TARGET"``."""

_REGISTERED: dict[str, Target] = {}


def register(row: Target, own: Mapping[str, Target]) -> Target:
    """Add a target beside those that come along.

    Raises:
        UsageError: Another target has its name or one of its aliases.
    """
    for other in (*own.values(), *_REGISTERED.values()):
        taken = {other.name, *other.aliases} & {row.name, *row.aliases}
        if taken and other is not row:
            raise UsageError(
                f"target {row.name}: {', '.join(sorted(taken))} is a name of {other.summary} ({other.name})"
            )
    _REGISTERED.setdefault(row.name, row)
    return row


def offered_targets(own: Mapping[str, Target]) -> Mapping[str, Target]:
    """Return the targets of other packages, by name.

    Raises:
        UsageError: A package offers what cannot be imported, is no target, or has a name that is taken.
    """
    for point in _points():
        register(_load(point), own)
    return _REGISTERED


@cache
def _points() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points  # slow, and few models are of another package

    return tuple(entry_points(group=ENTRY_POINTS))


@cache
def _load(point: EntryPoint) -> Target:
    return offered_as(Target, load_offered(point, "target"), point, "target")
