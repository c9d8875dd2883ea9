"""Run ``forward`` with rows that carry their numbers, module by module, and say what each layer's are for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ml_switcheroo.layers import BASE_OF_CLASS, LAYERS, own_name
from ml_switcheroo.sources.findings import Parts
from ml_switcheroo.sources.static.python.classes import find
from ml_switcheroo.sources.static.python.frames import Class, Function
from ml_switcheroo.sources.static.python.heap import Changed
from ml_switcheroo.sources.static.python.machine import Budget, Machine
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Bound,
    Instance,
    Raised,
    Site,
    Value,
    known,
)
from ml_switcheroo.sources.static.torch.nn import slot
from ml_switcheroo.sources.static.torch.rows.follower import Follower
from ml_switcheroo.sources.static.torch.rows.roles import parts_of
from ml_switcheroo.sources.static.torch.rows.traces import Trace, Weight, as_tensor
from ml_switcheroo.sources.static.torch.values import Tensor
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Read", "read_parts"]

_STEPS = 200_000
_ALL_STEPS = 2_000_000
_FAILURES = (Raised, Budget, Changed, RecursionError, LookupError, ValueError, TypeError, AttributeError)
"""What an analysis may end with: then nobody knows more than was seen until there."""


@dataclass(frozen=True, slots=True)
class Read:
    """What ``forward`` takes rows for.

    Attributes:
        parts: By the name of a weight.
        doubts: Why it is not known, by the name of a weight, where there is a reason to give.
    """

    parts: Mapping[str, Parts]
    doubts: Mapping[str, str]


def read_parts(
    machine: Machine,
    modules: Mapping[str, Sequence[Instance]],
    own: Mapping[str, Sequence[Tensor]],
    specs: Mapping[str, TensorSpec],
) -> Read:
    """Return what ``forward`` takes the rows of each weight for.

    Args:
        machine: The reader, with the model it has made.
        modules: The model's modules, by path; several where several are possible.
        own: The tensors that classes of the user's own keep, by name.
        specs: The checkpoint.
    """
    reading = _Reading.of(machine, modules, own, specs)
    parts: dict[str, Parts] = {}
    doubts: dict[str, str] = {}
    for name in reading.weights:
        found, why = reading.parts(name)
        if found is not None:
            parts[name] = found
        elif why:
            doubts[name] = why
    for name, first in reading.aliases.items():
        if first in parts:
            parts[name] = parts[first]
    return Read(parts, doubts)


@dataclass(slots=True)
class _Reading:
    machine: Machine
    modules: Mapping[str, Sequence[Instance]]
    layers: dict[int, Weight] = field(default_factory=dict)
    tensors: dict[int, Weight] = field(default_factory=dict)
    tables: dict[int, int] = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    runs: dict[int, Follower | None] = field(default_factory=dict)
    calls: dict[int, list[Arguments]] = field(default_factory=dict)
    left: int = _ALL_STEPS

    @classmethod
    def of(
        cls,
        machine: Machine,
        modules: Mapping[str, Sequence[Instance]],
        own: Mapping[str, Sequence[Tensor]],
        specs: Mapping[str, TensorSpec],
    ) -> _Reading:
        found = cls(machine, modules)
        for path, makers in modules.items():
            for made in makers:
                called = own_name(made.base, "weight")
                name = f"{path}.{called}" if path else called
                if name in specs:
                    found._add(made, name, specs[name].shape)
        for name, tensors in own.items():
            if name in specs and len(specs[name].shape) > 1:
                weight = Weight(name, specs[name].shape, layer=False)
                found.weights[name] = weight
                found.tensors.update({id(one): weight for one in tensors})
        return found

    def _add(self, made: Instance, name: str, shape: tuple[int, ...]) -> None:
        kind = BASE_OF_CLASS.get(made.base, "")
        if not kind or len(shape) < 2:
            return
        row = LAYERS[kind]
        if row.matched == "embedding":
            self.tables[id(made)] = shape[1]
            return
        if not row.dense and (not row.spatial or row.transposed):
            return
        weight = Weight(name, shape, row.place("out"))
        before = self.layers.setdefault(id(made), weight)
        if before.name != name:
            if before.shape == shape:
                self.aliases[name] = before.name
            return
        self.weights[name] = weight
        tensor = slot(made, own_name(made.base, "weight"))
        if isinstance(tensor, Tensor):
            self.tensors[id(tensor)] = weight

    def parts(self, name: str) -> tuple[Parts | None, str]:
        """Return the parts of a weight: as the model shows them, or else the nearest module that does."""
        weight = self.weights[name]
        axes = (weight.axis,) if weight.layer else range(len(weight.shape))
        why = ""
        for root in self._around(name):
            follower = self._run(root)
            for axis in axes if follower is not None else ():
                key = ("rows", name, axis)
                if follower is not None and key in follower.spoilt:
                    return None, "it is changed in place"
                if follower is None or not (events := follower.events.get(key)):
                    continue
                found, why = parts_of(events, weight.shape[axis], follower.behind.get(key, ()))
                if found is not None:
                    return replace(found, axis=axis), ""
            if why:
                return None, why
        return None, why

    def _around(self, name: str) -> Iterator[Instance]:
        """Yield the modules whose ``forward`` may use a weight: the whole model, then the nearest first."""
        path = name.rpartition(".")[0]
        paths = [""]
        while path:
            path = path.rpartition(".")[0]
            paths.append(path)
        for one in dict.fromkeys(paths):
            makers = self.modules.get(one, ())
            if len(makers) == 1 and isinstance(find(makers[0].cls, "forward")[1], Class):
                yield makers[0]

    def _run(self, root: Instance) -> Follower | None:
        if id(root) not in self.runs:
            self.runs[id(root)] = None
            self.runs[id(root)] = self._best(root)
        return self.runs[id(root)]

    def _best(self, root: Instance) -> Follower | None:
        below = self._below(root)
        if not below:
            return None
        best: Follower | None = None
        for shape in _shapes(below[0]):
            follower = self._fitted(root, shape)
            if follower is None:
                break
            if best is None or _merit(follower) > _merit(best):
                best = follower
            if not follower.lost and all(weight.name in follower.reached for weight in below):
                break
        return best

    def _below(self, root: Instance) -> list[Weight]:
        path = next(path for path, makers in self.modules.items() if any(one is root for one in makers))
        prefix = f"{path}." if path else ""
        return [weight for name, weight in self.weights.items() if name.startswith(prefix)]

    def _fitted(self, root: Instance, shape: tuple[int, ...]) -> Follower | None:
        """Run with inputs of a shape, whose last axis is then as large as the first layers want it."""
        sizes: dict[int, int] = {}
        follower = None
        for _ in range(_ROUNDS):
            if self.left <= 0:
                return follower
            follower = self._follow(root, shape, sizes)
            if follower.wanted.items() <= sizes.items():
                break
            sizes.update(follower.wanted)
        return follower

    def _follow(self, root: Instance, shape: tuple[int, ...], sizes: Mapping[int, int]) -> Follower:
        machine = self.machine
        first = not self.calls
        calls: dict[int, list[Arguments]] = {}
        follower = Follower(self.layers, self.tensors, self.tables, calls)
        method, _ = find(root.cls, "forward")
        if not isinstance(method, Function):
            return follower
        machine.steps = min(_STEPS, self.left)
        before = machine.steps
        machine.frame, machine.made = None, {}
        machine.assumed.clear()
        args = self._inputs(root, _decorated(method), shape, sizes)
        machine.sites.append(Site(method.source, method.node))
        machine.follower = follower
        try:
            machine.heap.attempt(partial(self._call, follower, Bound(method, root), args))
        except _FAILURES:
            follower.lost += 1
        finally:
            machine.follower = None
            machine.sites.pop()
            self.left -= before - max(machine.steps, 0)
        if first:
            self.calls.update(calls)
        return follower

    def _call(self, follower: Follower, method: Bound, args: Arguments) -> Value:
        follower.depth = self.machine.heap.depth
        return self.machine.call(method, args)

    def _inputs(
        self, root: Instance, method: Function, shape: tuple[int, ...], sizes: Mapping[int, int]
    ) -> Arguments:
        """Return what to call ``forward`` with: what has no default is a tensor.

        What another module passes is what counts; where none was seen to, a default that is no None is open.
        """
        spec = method.node.args
        names = [*spec.posonlyargs, *spec.args][1:]
        defaults: list[Value] = [ABSENT] * (len(names) - len(method.defaults)) + method.defaults[
            -len(names) :
        ]
        defaults = defaults[: len(names)]
        if ABSENT not in defaults and defaults:
            defaults[0] = ABSENT
        seen = self.calls.get(id(root), [])
        given: list[Value] = []
        for place, (name, default) in enumerate(zip(names, defaults, strict=True)):
            if default is ABSENT:
                size = sizes.get(place)
                whole = shape if size is None else (*shape[:-1], size)
                given.append(as_tensor(Trace(whole, given=place)))
            else:
                given.append(_passed(seen, place, name.arg, default, alone=root is self._root()))
        return Arguments(given)

    def _root(self) -> Instance | None:
        return next(iter(self.modules.get("", ())), None)


_ROUNDS = 4


def _decorated(method: Function) -> Function:
    """Return the function that says what a method takes: the one inside of ``wrapper(*args)``."""
    frame = method.frame
    while frame is not None and method.node.args.vararg is not None:
        inner = [one for one in frame.names.values() if isinstance(one, Function) and one.name == "forward"]
        if inner:
            return _decorated(inner[0])
        frame = frame.outer
    return method


def _passed(calls: Sequence[Arguments], place: int, name: str, default: Value, *, alone: bool) -> Value:
    """Return what callers pass for a parameter with a default."""
    if not calls:
        return default if alone or default is None else UNKNOWN
    values = [call.get(place, name, default) for call in calls]
    plain = all(known(value) for value in values)
    if not plain:
        return default if default is None else UNKNOWN
    return values[0] if all(value == values[0] for value in values) else UNKNOWN


def _merit(follower: Follower) -> tuple[int, int, int]:
    computed = sum(not event.named for events in follower.events.values() for event in events)
    return len(follower.reached), computed, -follower.lost


def _shapes(weight: Weight) -> list[tuple[int, ...]]:
    """Return the shapes that an input may have: a square number of tokens may be places of an image."""
    if len(weight.shape) > 2:
        channels, rank = weight.shape[1], len(weight.shape) - 2
        return [(2, channels, *(4,) * rank), (2, 4, channels)]
    size = weight.shape[1 - weight.axis]
    return [(2, 4, size), (2, size, 2, 2), (2, 2, 2, size), (4, size), (2, 4)]
