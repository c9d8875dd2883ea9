"""The machine with everything it looks up: one that reads Python and knows torch."""

from __future__ import annotations

from ml_switcheroo.sources.static.python.attributes import READERS, WRITERS
from ml_switcheroo.sources.static.python.builtin import BUILTINS, TRUTHS
from ml_switcheroo.sources.static.python.calls import CALLS
from ml_switcheroo.sources.static.python.expressions import EXPRESSIONS
from ml_switcheroo.sources.static.python.files import Library
from ml_switcheroo.sources.static.python.machine import STEPS, Machine, Tables
from ml_switcheroo.sources.static.python.statements import STATEMENTS
from ml_switcheroo.sources.static.python.values import Tensor, Unknown
from ml_switcheroo.sources.static.torch import flow
from ml_switcheroo.sources.static.torch.stdlib import EXTERNALS

__all__ = ["new_machine"]

_TABLES = Tables(
    EXPRESSIONS,
    STATEMENTS,
    {**CALLS, Tensor: flow.operate, Unknown: lambda machine, function, args: flow.unfollowed(args)},
    READERS,
    WRITERS,
    TRUTHS,
    BUILTINS,
    EXTERNALS,
)


def new_machine(library: Library, steps: int = STEPS, before: Machine | None = None) -> Machine:
    """Return a machine that reads at most so many expressions and statements.

    It has read nothing yet, or what another machine has read of the modules.
    """
    return Machine(library, _TABLES, steps, before)
