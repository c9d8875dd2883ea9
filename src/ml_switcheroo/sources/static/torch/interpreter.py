"""The machine with everything it looks up: one that reads Python and knows torch."""

from __future__ import annotations

from ml_switcheroo.code.library import Library
from ml_switcheroo.layers import load_offered_layers
from ml_switcheroo.sources.static.python.attributes import READERS, WRITERS
from ml_switcheroo.sources.static.python.builtin import BUILTINS, TRUTHS
from ml_switcheroo.sources.static.python.calls import CALLS
from ml_switcheroo.sources.static.python.expressions import EXPRESSIONS, pass_over
from ml_switcheroo.sources.static.python.imports import star_import
from ml_switcheroo.sources.static.python.machine import STEPS, Machine
from ml_switcheroo.sources.static.python.statements import FORKS, STATEMENTS
from ml_switcheroo.sources.static.python.tables import Tables
from ml_switcheroo.sources.static.python.values import JOINED, Arguments, Instance, Unknown, Value
from ml_switcheroo.sources.static.torch import effects, flow, nn, sizes, tensors
from ml_switcheroo.sources.static.torch.branched import joined
from ml_switcheroo.sources.static.torch.packages import EXTERNALS, OUTSIDE
from ml_switcheroo.sources.static.torch.values import Size, Tensor

__all__ = ["TABLES", "new_machine"]


def _called(machine: Machine, function: Tensor | Unknown, args: Arguments) -> Value:
    """Return what calling something unknown gives, or a tensor: that is not what it was taken for."""
    return flow.unfollowed(args)


TABLES = Tables(
    expressions=EXPRESSIONS,
    statements=STATEMENTS,
    forks=FORKS,
    unread=pass_over,
    star=star_import,
    calls={**CALLS, **dict.fromkeys((Tensor, Unknown), _called)},
    readers={**READERS, Tensor: flow.attribute},
    writers=WRITERS,
    truths=TRUTHS,
    operators={Tensor: effects.operate, Instance: nn.operate, Size: sizes.operate},
    compared={Tensor: effects.compare},
    subscripts={Tensor: effects.subscript},
    items={Tensor: tensors.items},
    unpacked={Tensor: tensors.unpacked, tuple: sizes.unpacked},
    nth={Size: sizes.nth},
    widened={Tensor: tensors.widened},
    instances={Tensor: tensors.is_instance},
    builtins=BUILTINS,
    externals=EXTERNALS,
    outside=OUTSIDE,
)
JOINED[Tensor] = joined


def new_machine(library: Library, steps: int = STEPS, before: Machine | None = None) -> Machine:
    """Return a machine that reads at most so many expressions and statements.

    It has read nothing yet, or what another machine has read of the modules.
    """
    load_offered_layers()
    return Machine(library, TABLES, steps, before)
