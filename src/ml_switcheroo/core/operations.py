"""The API table: which calls are rewritten, for which targets, and which hook does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["COPIES", "FLAT_TARGETS", "IMMUTABLE_TARGETS", "OPERATIONS", "Copy", "Operation", "find_operation"]

FLAT_TARGETS = frozenset({"jax", "numpy"})
"""Targets without live models: a state dict becomes a dictionary of arrays."""

IMMUTABLE_TARGETS = frozenset({"equinox", "linen", "haiku"})
"""Targets whose models never change: loading makes a new one."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the API table.

    Attributes:
        method: The name of the method that is called.
        owner: The class of torch that has it.
        targets: ``flat`` for targets without live models, ``live`` for the others.
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
    Operation("state_dict", "torch.nn.Module", "live", requires_plugin="checkpoint_saver", on_request="save"),
)


@dataclass(frozen=True, slots=True)
class Copy:
    """How a target copies the weights of one live model into another of the same shape.

    Attributes:
        code: The expression; ``{to}`` and ``{of}`` are the two models.
        imports: An import that it needs.
        takes_all: Whether it cannot copy what both models have and leave the rest.
    """

    code: str
    imports: str = ""
    takes_all: bool = False


COPIES: Mapping[str, Copy] = {
    "nnx": Copy("nnx.update({to}, nnx.state({of}))", "from flax import nnx"),
    "keras": Copy("{to}.set_weights({of}.get_weights())", takes_all=True),
    "mlx": Copy("{to}.update({of}.parameters())"),
    # What never changes is shared.
    **dict.fromkeys(sorted(IMMUTABLE_TARGETS), Copy("{to} = {of}", takes_all=True)),
}


def find_operation(method: str, target: str) -> Operation | None:
    """Return the row for a method and a target, if there is one.

    >>> find_operation("load_state_dict", "jax").requires_plugin
    'checkpoint_mapper'
    """
    targets = "flat" if target in FLAT_TARGETS else "live"
    return next((row for row in OPERATIONS if (row.method, row.targets) == (method, targets)), None)
