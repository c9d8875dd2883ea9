"""What torch does to traced tensors, and what that says of the rows they hold."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_switcheroo.operations import Axes, Elements, operation
from ml_switcheroo.sources.static.python.values import UNKNOWN, Arguments, Builtin, Instance, Value
from ml_switcheroo.sources.static.torch.given import Given
from ml_switcheroo.sources.static.torch.rows import shapes
from ml_switcheroo.sources.static.torch.rows.arithmetic import (
    activated,
)
from ml_switcheroo.sources.static.torch.rows.functions import FUNCTIONS, along
from ml_switcheroo.sources.static.torch.rows.layers import given_by
from ml_switcheroo.sources.static.torch.rows.roles import Event, role_in, table_of
from ml_switcheroo.sources.static.torch.rows.run import Run, where
from ml_switcheroo.sources.static.torch.rows.traces import (
    Trace,
    Untold,
    as_tensor,
)
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["Follower"]


@dataclass(slots=True)
class Follower(Run):
    """Answers what the machine asks of traced tensors, and notes what one run of ``forward`` shows."""

    # What the machine asks ------------------------------------------------------------------

    def layer(self, machine: Machine, layer: Instance, args: Arguments) -> Value:
        """Return what a layer of torch.nn gives."""
        return given_by(self, machine, layer, args)

    def called(self, machine: Machine, instance: Instance, args: Arguments) -> tuple[Value] | None:
        """Note what a module is called with; return what it gives, wrapped, where it need not be read."""
        self.calls.setdefault(id(instance), []).append(args)
        pattern, sizes = instance.attrs.get("pattern"), instance.attrs.get("axes_lengths", {})
        name = getattr(instance.cls, "name", "")
        if name.rpartition(".")[2] == "Rearrange" and isinstance(pattern, str) and isinstance(sizes, dict):
            given = Arguments([args.get(0, "input"), pattern], sizes)
            return (self.function(machine, "rearrange", given),)
        return None

    def function(self, machine: Machine, name: str, args: Arguments) -> Value:
        """Return what a function of torch, einops or NumPy gives."""
        word = name.rpartition(".")[2]
        values = [*args.positional, *args.keyword.values()]
        traces = [trace for value in values for trace in self._inside(value)]
        if not traces:
            return Tensor()
        try:
            return self._apply(machine, word, args)
        except Untold:
            if word.endswith("_"):
                self.stored(*values)
            return self.unknown(*traces)

    def attribute(self, machine: Machine, tensor: Value, name: str) -> Value:
        """Return an attribute or a method of a tensor."""
        trace = self.trace(tensor)
        if trace is None:
            if name in ("shape", "device", "dtype", "ndim", "T", "mT"):
                return UNKNOWN
            return tensor if name == "data" else Builtin(name, lambda machine, args: Tensor())
        if name == "shape":
            return trace.shape
        if name in ("data", "real"):
            return tensor
        if name == "ndim":
            return len(trace.shape)
        if name == "__len__":
            return trace.shape[0] if trace.shape else UNKNOWN
        if name in ("T", "mT"):
            return as_tensor(shapes.turned(trace))
        if name in ("device", "dtype", "is_cuda", "requires_grad", "is_meta", "grad", "layout"):
            return UNKNOWN
        return Builtin(name, lambda machine, args: self.function(machine, name, args.after(tensor)))

    def subscript(self, machine: Machine, tensor: Value, index: Value) -> Value:
        """Return ``tensor[index]``."""
        trace = self.trace(tensor)
        if trace is None:
            return Tensor()
        try:
            return as_tensor(shapes.indexed(trace, index))
        except Untold:
            return self.unknown(trace)

    def operate(self, machine: Machine, op: type, left: Value, right: Value) -> Value:
        """Return what an operator gives."""
        mine = self.trace(left)
        other = self.trace(right)
        try:
            if op is ast.MatMult:
                return self.matmul(machine, mine, other)
            return self.elementwise(machine, mine, other, product=op is ast.Mult)
        except Untold:
            return self.unknown(*(one for one in (mine, other) if one is not None))

    def items(self, tensor: Value) -> list[Value] | None:
        """Return the items of a tensor that is iterated over, or unpacked; None where they are unknown."""
        trace = self.trace(tensor)
        if trace is None or not trace.shape or trace.shape[0] > _ITEMS:
            return None
        try:
            return list(map(as_tensor, shapes.cut("unbind", trace, 0)))
        except Untold:
            return None

    def named(self, machine: Machine, name: str, value: Value) -> None:
        """Note that a value is called by a name."""
        trace = value.trace if isinstance(value, Tensor) else None
        role = role_in(name) if isinstance(name, str) else ""
        if trace is None or not role or trace.weight or trace.spent or trace.product is not None:
            return
        for key in trace.sources:
            rows = table_of(trace, key, ())
            if rows is not None:
                heads, unsure = rows.shape[0] > 1, machine.heap.depth > self.depth
                event = Event(role, rows, heads, where(machine), named=True, unsure=unsure)
                self.events.setdefault(key, []).append(event)

    def passed(self, args: Arguments) -> Value:
        """Return what a function that nobody knows gives: of one tensor, perhaps the same rows."""
        values = [*args.positional, *args.keyword.values()]
        traces = [trace for value in values for trace in self._inside(value)]
        if len(values) == len(traces) == 1 and traces[0].product is None:
            return as_tensor(traces[0].changed(vague=True))
        return self.unknown(*traces) if traces else UNKNOWN

    def foreign(self, machine: Machine, name: str, args: Arguments) -> Value:
        """Return what a function of a package that is not read gives: an attention is known by its name."""
        row = operation(name)
        if row is not None and row.axes is Axes.ATTENDED:
            return self.attention(machine, args)
        return self.passed(args)

    # Functions ------------------------------------------------------------------------------

    def _apply(self, machine: Machine, word: str, args: Arguments) -> Value:
        row = operation(word)
        if row is None:
            raise Untold
        given = Given(row, args, 0)
        if row.axes in FUNCTIONS:
            return FUNCTIONS[row.axes](self, machine, given)
        if row.elements is Elements.ALONG:
            return along(self, machine, given)
        first = self.trace(args.get(0, "input"))
        if first is None or not given.counted:
            raise Untold
        return self._of_one(machine, first, given)

    def _of_one(self, machine: Machine, trace: Trace, given: Given) -> Value:
        row = given.row
        if row.name in ("size", "dim"):
            return shapes.size(trace, given) if row.name == "size" else len(trace.shape)
        if row.axes in shapes.ONE:
            return as_tensor(shapes.ONE[row.axes](trace, given))
        if row.name in shapes.COMPLEX:
            return as_tensor(shapes.COMPLEX[row.name](trace))
        if row.axes in shapes.MANY:
            return machine.heap.new(list(map(as_tensor, shapes.MANY[row.axes](trace, given))))
        if row.axes is Axes.SAME and row.elements is Elements.ACTIVATED:
            return as_tensor(activated(trace))
        if row.axes is Axes.SAME and row.elements in _STAYING:
            return as_tensor(trace)
        raise Untold


_ITEMS = 64
_STAYING = frozenset((Elements.KEPT, Elements.EACH, Elements.DROPPED, Elements.NORMED))
"""Where rows stay where they are."""
