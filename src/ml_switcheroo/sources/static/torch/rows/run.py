"""What one run of ``forward`` shows of the rows of traced tensors, and what several of them give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml_switcheroo.sources.static.python.values import Arguments, Site, Value
from ml_switcheroo.sources.static.torch.rows import shapes
from ml_switcheroo.sources.static.torch.rows.arithmetic import combined, is_gated
from ml_switcheroo.sources.static.torch.rows.contracting import contracted, matmul_labels
from ml_switcheroo.sources.static.torch.rows.roles import Event, taken
from ml_switcheroo.sources.static.torch.rows.traces import (
    Key,
    Product,
    Trace,
    Unions,
    Untold,
    Weight,
    as_tensor,
    numbered,
    spread,
    trace_of,
    varies,
)
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["Run", "where"]


@dataclass(slots=True)
class Run:
    """What one run of ``forward`` shows.

    Attributes:
        layers: The weights of layers, by ``id`` of the instance.
        tensors: The tensors of layers and of classes of the user's own, by ``id`` of their value.
        tables: The widths of embeddings, by ``id`` of the instance.
        calls: What modules are called with, by ``id`` of the instance.
        events: What rows are taken for, by the key of the weight.
        wanted: The size of the last axis that an input of ``forward`` must have.
        reached: The weights that were used.
        behind: The order in which the outputs of an attention go on.
        lost: How many operations on rows were not understood.
        spoilt: What was changed in place: nobody knows its rows any more.
    """

    layers: Mapping[int, Weight]
    tensors: Mapping[int, Weight]
    tables: Mapping[int, int]
    calls: dict[int, list[Arguments]]
    events: dict[Key, list[Event]] = field(default_factory=dict)
    wanted: dict[int, int] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)
    behind: dict[Key, list[Any]] = field(default_factory=dict)
    lost: int = 0
    spoilt: set[Key] = field(default_factory=set)
    depth: int = -1
    count: int = 0
    unions: dict[Key, Unions] = field(default_factory=dict)

    # Traces ---------------------------------------------------------------------------------

    def trace(self, value: Value) -> Trace | None:
        """Return the trace of a value; a parameter is numbered when it is used."""
        found = trace_of(value)
        if found is None and isinstance(value, Tensor) and id(value) in self.tensors:
            weight = self.tensors[id(value)]
            made = Trace(weight.shape, weight=True)
            for axis, size in enumerate(weight.shape):
                key = ("rows", weight.name, axis)
                one = numbered(key, weight.shape, axis, self.numbers(key, size))
                made = made.changed(
                    rows={**made.rows, **one.rows}, unions={**made.unions, **one.unions}, of=()
                )
            return made
        return found

    def numbers(self, key: Key, size: int) -> Unions:
        return self.unions.setdefault(key, Unions(size))

    def _inside(self, value: Value) -> list[Trace]:
        if isinstance(value, tuple | list):
            return [trace for one in value for trace in self._inside(one)]
        found = self.trace(value)
        return [found] if found is not None else []

    def unknown(self, *traces: Trace) -> Tensor:
        self.lost += any(trace.sources and not trace.weight for trace in traces)
        return Tensor()

    # What several tensors give ----------------------------------------------------------------

    def used(self, machine: Machine, trace: Trace, weight: Trace, size: int) -> None:
        names = {key[1] for key in weight.sources} if weight.weight else set()
        self.reached |= names
        if size and trace.given >= 0 and trace.shape[-1] != size and names:
            self.wanted[trace.given] = size
            raise Untold

    def matmul(self, machine: Machine, left: Trace | None, right: Trace | None) -> Value:
        if left is None or right is None:
            raise Untold
        if right.weight and len(right.shape) > 1:
            self.used(machine, left, right, right.shape[-2])
        return self.summed(machine, left, right, matmul_labels(left, right))

    def summed(self, machine: Machine, left: Trace, right: Trace, labels: Any) -> Value:
        self.count += 1
        made = contracted(left, right, labels, self.count)
        for weights, held, mine in ((left, right, labels.sides[1]), (right, left, labels.sides[0])):
            product = weights.product
            if product is not None and weights.active and held.product is None and held.sources:
                self._attended(machine, weights, product, held, labels, mine)
        return as_tensor(made)

    def _attended(
        self, machine: Machine, weights: Trace, product: Product, held: Trace, labels: Any, mine: Any
    ) -> None:
        """Note the queries, keys and values of an attention that is written out.

        What the values are summed over comes from the keys; a softmax must not say otherwise.
        """
        other = labels.sides[0] if mine is labels.sides[1] else labels.sides[1]
        summed = [other.index(name) for name in other if name in mine and name not in labels.result]
        keys = [
            side
            for side in (0, 1)
            if any(varies(weights.rows.get(("side", product.number, side)), axis) for axis in summed)
        ]
        if len(keys) != 1 or weights.normal not in (-1, keys[0]):
            return
        key = keys[0]
        for role, side in (("k", key), ("q", 1 - key)):
            self._take_side(machine, role, product, side)
        kept = [mine.index(name) for name in mine if name in labels.result and name not in other]
        self.take(
            machine, "v", held, kept, still=[mine.index(name) for name in mine if name not in labels.result]
        )

    def _take_side(self, machine: Machine, role: str, product: Product, side: int) -> None:
        """Note the queries or keys of a product: it goes over the rows of one head, or else over tokens."""
        trace, along, free = product.sides[side], product.along[side], product.free[side]
        heads = any(varies(trace.rows[key], axis) for key in trace.sources for axis in along)
        self.take(machine, role, trace, along if heads else free, still=free if heads else along)

    def attention(self, machine: Machine, args: Arguments, *, tokens_before: bool = False) -> Value:
        found = [self.trace(args.get(place, name)) for place, name in enumerate(("query", "key", "value"))]
        for role, one in zip("qkv", found, strict=True):
            if one is not None:
                self.take(machine, role, one, (-1,), still=(-2,) if tokens_before else ())
        query, _, value = found
        if query is None or value is None:
            return Tensor()
        rows = {}
        shape = (*query.shape[:-1], value.shape[-1])
        for key in value.sources:
            numbers = value.rows[key]
            if numbers.ndim == len(shape) and (numbers == numbers.take([0], -2)).all():
                try:
                    rows[key] = spread(numbers.take([0], -2), shape)
                except ValueError:
                    continue
        return as_tensor(Trace(shape, rows, value.unions, spent=True, result="o", of=(value,)))

    def elementwise(
        self, machine: Machine, left: Trace | None, right: Trace | None, *, product: bool
    ) -> Value:
        if left is None or right is None:
            one = left if left is not None else right
            if one is None:
                return Tensor()
            return as_tensor(one.changed())
        gate = is_gated(left, right) if product else None
        made = combined(left, right, product=product)
        if gate is not None:
            sides = (left, right) if gate == 0 else (right, left)
            self.take(machine, "gate", sides[0], ())
            if not sides[1].spent:
                self.take(machine, "up", sides[1], ())
                return as_tensor(made.changed(rows={}, spent=True, result="down", vague=False))
            return as_tensor(sides[1].changed())
        return as_tensor(made)

    def glu(self, machine: Machine, trace: Trace, dim: Value) -> Trace:
        size = trace.shape[shapes.whole(dim)]
        if size % 2:
            raise Untold
        up, gate = shapes.cut("split", trace, size // 2, dim)
        if trace.sources and not trace.spent:
            self.take(machine, "gate", gate, ())
            self.take(machine, "up", up, ())
        return up.changed(rows={}, spent=True, result="down")

    def joined(self, held: Value, dim: Value, *, new: bool) -> Value:
        traces = [self.trace(one) for one in held] if isinstance(held, tuple | list) else []
        plain = [trace for trace in traces if trace is not None]
        if not plain or len(plain) != len(traces):
            raise Untold
        return as_tensor(shapes.joined(plain, shapes.whole(dim), new=new))

    def take(
        self, machine: Machine, role: str, trace: Trace, last: Sequence[int], still: Sequence[int] = ()
    ) -> None:
        """Note that a tensor is taken for a role."""
        if trace.spent or trace.vague or trace.weight:
            return
        for key, event in taken(role, trace, last, still, where(machine)):
            self.events.setdefault(key, []).append(event)

    def stored(self, *values: Value) -> None:
        """Forget the rows of tensors that are changed in place: other names may stand for them."""
        for trace in (trace for value in values for trace in self._inside(value)):
            self.spoilt.update(trace.sources)


def where(machine: Machine) -> str:
    """Return where the program is read, as ``file:line``; empty where nobody knows."""
    site: Site | None = machine.site
    return site.where if site is not None else ""
