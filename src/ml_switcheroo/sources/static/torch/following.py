"""``forward`` is called once, with the layers that the checkpoint chose, on an input of unknown axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ml_switcheroo.sources.static.python.classes import find
from ml_switcheroo.sources.static.python.frames import Class, Function
from ml_switcheroo.sources.static.python.machine import Budget, Machine
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    Arguments,
    Bound,
    Instance,
    Raised,
    Site,
    Value,
    options,
)
from ml_switcheroo.sources.static.torch.alike import INPUT
from ml_switcheroo.sources.static.torch.atoms import REST, Atom
from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = ["Inputs", "run_forward"]

_STEPS = 600_000


@dataclass(frozen=True, slots=True)
class Inputs:
    """What ``forward`` is given.

    Attributes:
        shapes: The shapes of the first arguments; any further one is a tensor of any shape.
        apart: Whether each of those is a tensor of its own.
    """

    shapes: Sequence[Sequence[int]] = ()
    apart: bool = False


_ANY = Inputs()


def run_forward(machine: Machine, root: Instance, inputs: Inputs = _ANY) -> None:
    """Follow ``forward`` of a module, as far as it can be followed.

    Args:
        machine: The machine that has read the module.
        root: The module.
        inputs: What it is given.
    """
    machine.steps = _STEPS
    machine.frame = None
    machine.made = {}
    machine.assumed.clear()
    method, where = find(root.cls, "forward")
    runs: list[tuple[Value, list[Value]]]
    if isinstance(method, Function) and isinstance(where, Class):
        machine.sites.append(Site(method.source, method.node))
        runs = [(Bound(method, root), given) for given in _inputs(_wrapped(method), inputs)]
    elif root.base or root.items is not None:
        runs = [(root, [_given(shape) for shape in inputs.shapes[:1]] or [_input()])]
    else:  # nothing but a place for modules that are called by others
        children = [
            one for value in root.attrs.values() for one in options(value) if isinstance(one, Instance)
        ]
        for child in children:
            run_forward(machine, child, inputs)
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


def _given(shape: Sequence[int]) -> Tensor:
    """Return an input of a known shape: its first axis is the batch; of four, the second the channels."""
    roles = ["batch", "channel", *["space"] * (len(shape) - 2)]
    if len(shape) < 4:
        roles = ["batch", *["step"] * (len(shape) - 2), "input"]
    axes = tuple((Atom(role, size=size),) for role, size in zip(roles, shape, strict=False))
    return Tensor(axes=axes, layout=INPUT)


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


def _inputs(method: Function, inputs: Inputs) -> Iterator[list[Value]]:
    """Yield what to call ``forward`` with: what has no default is a tensor.

    Where everything has a default, that of the inputs is None: the first is a tensor, then the first two.
    """
    spec, start, shapes = method.node.args, _input(), inputs.shapes

    def tensor(place: int) -> Tensor:
        if place < len(shapes):
            return _given(shapes[place])
        return _input() if inputs.apart else start

    names = [*spec.posonlyargs, *spec.args][1:]
    defaults: list[Value] = []
    if names:
        defaults = [ABSENT] * (len(names) - len(method.defaults)) + method.defaults[-len(names) :]
    optional = [place for place, default in enumerate(defaults) if default is None][:_MOST_INPUTS]
    if ABSENT in defaults or not optional:
        given = [place for place, default in enumerate(defaults) if default is ABSENT or place < len(shapes)]
        yield [tensor(place) if place in given else default for place, default in enumerate(defaults)]
        return
    for last in optional:
        yield [
            tensor(place) if default is None or place < len(shapes) else default
            for place, default in enumerate(defaults[: last + 1])
        ]
