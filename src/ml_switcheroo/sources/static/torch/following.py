"""``forward`` is called once, with the layers that the checkpoint chose, on an input of unknown axes."""

from __future__ import annotations

from collections.abc import Iterator

from ml_switcheroo.sources.static.python.classes import find
from ml_switcheroo.sources.static.python.machine import Budget, Machine
from ml_switcheroo.sources.static.python.memory import Memory
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    Arguments,
    Bound,
    Class,
    Function,
    Instance,
    Raised,
    Site,
    Tensor,
    Value,
    options,
)
from ml_switcheroo.sources.static.torch.alike import INPUT
from ml_switcheroo.sources.static.torch.atoms import REST, Atom

__all__ = ["run_forward"]

_STEPS = 600_000


def run_forward(machine: Machine, root: Instance) -> None:
    """Follow ``forward`` of a module, as far as it can be followed."""
    machine.steps = _STEPS
    machine.frame = None
    machine.memory = Memory()
    machine.assumed.clear()
    method, where = find(root.cls, "forward")
    runs: list[tuple[Value, list[Value]]]
    if isinstance(method, Function) and isinstance(where, Class):
        machine.sites.append(Site(method.source, method.node))
        runs = [(Bound(method, root), given) for given in _inputs(_wrapped(method))]
    elif root.torch or root.items is not None:
        runs = [(root, [_input()])]
    else:  # nothing but a place for modules that are called by others
        children = [
            one for value in root.attrs.values() for one in options(value) if isinstance(one, Instance)
        ]
        for child in children:
            run_forward(machine, child)
        return
    machine.following = True
    try:
        any(_ended(machine, called, given) for called, given in runs)  # until one of them ends
    finally:
        machine.following = False


def _ended(machine: Machine, called: Value, given: list[Value]) -> bool:
    """Call a forward; tell whether it came to its end. What was seen until then has been written down."""
    cut = machine.cut
    try:
        machine.call(called, Arguments(given))
    except (Raised, Budget, RecursionError):
        return False
    return machine.cut == cut


def _input() -> Tensor:
    return Tensor(axes=((REST,), (Atom("input"),)), layout=INPUT)


def _wrapped(method: Function) -> Function:
    """Return the function that says what a method takes: the one inside of ``wrapper(*args)``."""
    frame = method.frame
    while frame is not None and method.node.args.vararg is not None:
        inner = [one for one in frame.names.values() if isinstance(one, Function) and one.name == "forward"]
        if inner and inner[0] is not method and inner[0].node is not method.node:
            return _wrapped(inner[0])
        frame = frame.outer
    return method


_MOST_INPUTS = 4


def _inputs(method: Function) -> Iterator[list[Value]]:
    """Yield what to call ``forward`` with: what has no default is a tensor.

    Where everything has a default, that of the inputs is None: the first is a tensor, then the first two.
    """
    start, spec = _input(), method.node.args
    names = [*spec.posonlyargs, *spec.args][1:]
    defaults: list[Value] = []
    if names:
        defaults = [ABSENT] * (len(names) - len(method.defaults)) + method.defaults[-len(names) :]
    optional = [place for place, default in enumerate(defaults) if default is None][:_MOST_INPUTS]
    if ABSENT in defaults or not optional:
        yield [start if default is ABSENT else default for default in defaults]
        return
    for last in optional:
        yield [start if default is None else default for default in defaults[: last + 1]]
