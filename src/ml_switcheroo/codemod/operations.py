"""The API table: which calls are rewritten, for which targets, and which hook does it."""

from __future__ import annotations

from dataclasses import dataclass

from ml_switcheroo.targets import find_target

__all__ = ["OPERATIONS", "Operation", "find_operation"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the API table.

    Attributes:
        method: The name of the method that is called.
        owner: The class of torch that has it.
        targets: ``flat`` for targets without live models, ``live`` for the others; ``copy`` for these where
            what is loaded is the state of another live model.
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


def find_operation(method: str, target: str, *, copies: bool = False) -> Operation | None:
    """Return the row for a method and a target, if there is one; ``copies`` from another live model.

    >>> find_operation("load_state_dict", "jax").requires_plugin
    'checkpoint_mapper'
    """
    targets = "flat" if find_target(target).live is None else "copy" if copies else "live"
    return next((row for row in OPERATIONS if (row.method, row.targets) == (method, targets)), None)
