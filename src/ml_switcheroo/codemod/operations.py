"""The API table: which calls are rewritten, for which targets, and which hook does it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

from ml_switcheroo.errors import UsageError
from ml_switcheroo.offered import load_offered, offered_as
from ml_switcheroo.targets import find_target

__all__ = [
    "ENTRY_POINTS",
    "OPERATIONS",
    "Operation",
    "find_operation",
    "methods",
    "methods_of_others",
    "operations",
    "register_operation",
]

ENTRY_POINTS = "ml_switcheroo.operations"
"""The entry-point group in which other packages offer rows: ``name = "package.module:ROWS"``."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the API table.

    Attributes:
        method: The name of the method that is called.
        owner: The class that has it.
        targets: ``flat`` for targets without live models, ``live`` for the others; ``copy`` for these where
            what is loaded is the state of another live model; or the name of one target.
        requires_plugin: The hook that rewrites the call (see ``hooks.find_hook``).
        on_request: The setting that asks for it; empty where it is always done.
    """

    method: str
    owner: str
    targets: str
    requires_plugin: str
    on_request: str = ""


OPERATIONS: tuple[Operation, ...] = (
    Operation("load_state_dict", "torch.nn.Module", "flat", requires_plugin="checkpoint_mapper"),
    Operation("load_state_dict", "torch.nn.Module", "live", requires_plugin="checkpoint_loader"),
    Operation("load_state_dict", "torch.nn.Module", "copy", requires_plugin="checkpoint_copier"),
    Operation("state_dict", "torch.nn.Module", "live", requires_plugin="checkpoint_saver", on_request="save"),
)
"""The rows that come along."""

_REGISTERED: dict[tuple[str, str], Operation] = {}


def register_operation(row: Operation) -> Operation:
    """Add a row: calls of its method go to its hook.

    Raises:
        UsageError: Another row has this method for these targets already, or ``targets`` is no word for any.
    """
    if row.targets not in ("flat", "live", "copy"):
        find_target(row.targets)
    key = (row.method, row.targets)
    taken = {(one.method, one.targets): one for one in OPERATIONS} | _REGISTERED
    if taken.get(key, row) != row:
        raise UsageError(
            f"{row.method} for {row.targets} goes to the hook {taken[key].requires_plugin!r} already, not to"
            f" {row.requires_plugin!r}; name a single target, or another method"
        )
    if key not in taken:
        _REGISTERED[key] = row
    return row


def operations() -> tuple[Operation, ...]:
    """Return all rows: those that come along, of installed packages, and registered ones.

    Raises:
        UsageError: A package offers what cannot be imported, or is no row.
    """
    _load_offered()
    return (*OPERATIONS, *_REGISTERED.values())


def methods() -> tuple[str, ...]:
    """Return the methods whose calls are rewritten unasked."""
    return tuple(dict.fromkeys(row.method for row in operations() if not row.on_request))


def methods_of_others() -> tuple[str, ...]:
    """Return the methods that only rows of other packages name."""
    own = {row.method for row in OPERATIONS}
    return tuple(method for method in methods() if method not in own)


def find_operation(method: str, target: str, *, copies: bool = False) -> Operation | None:
    """Return the row for a method and a target, if there is one; ``copies`` from another live model.

    A row for this one target goes before one for all targets of its sort.

    >>> find_operation("load_state_dict", "jax").requires_plugin
    'checkpoint_mapper'
    """
    sort = "flat" if find_target(target).live is None else "copy" if copies else "live"
    rows = {row.targets: row for row in operations() if row.method == method}
    return rows.get(target) or rows.get(sort)


@cache
def _load_offered() -> None:
    """Take in what installed packages offer, once."""
    for point in entry_points(group=ENTRY_POINTS):
        offered = load_offered(point, "operations")
        rows = (offered,) if isinstance(offered, Operation) or not isinstance(offered, Iterable) else offered
        for row in rows:
            register_operation(offered_as(Operation, row, point, "operations"))
