"""What draws: nodes from tensors and numbers, and the few compositions that most operations need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Draft
from ml_switcheroo.graph.of_source.drawn import Drawn, Lost, Number, Unlowered
from ml_switcheroo.graph.of_source.dtypes import category, of_number, promoted
from ml_switcheroo.graph.primitives import PRIMITIVES

__all__ = ["Pen"]

Array = np.ndarray[Any, Any]

_LARGEST = 1 << 24
"""Elements of a constant that is still computed, where the program asks for its value."""


class Pen:
    """Draws what a program computes.

    Attributes:
        draft: The graph in the making.
        fixed: The nodes that depend on nothing that the program is given.
    """

    def __init__(self) -> None:
        self.draft = Draft()
        self.fixed: set[int] = set()
        self._values: dict[int, Array | None] = {}

    # Nodes --------------------------------------------------------------------------------

    def constant(self, value: Any, dtype: str = "") -> Drawn:
        """Return a number or an array that the program knows."""
        array = np.asarray(value)
        name = dtype or (str(array.dtype) if array.ndim or not _plain(value) else of_number(value))
        return Drawn(self, self._fixed(self.draft.constant(array, name)))

    def input(self, shape: Sequence[int], dtype: str) -> Drawn:
        """Return what the program is given."""
        return Drawn(self, self.draft.input(shape, dtype))

    def leaf(self, name: str, shape: Sequence[int], dtype: str) -> Drawn:
        """Return a tensor of the state dict."""
        return Drawn(self, self.draft.leaf(name, shape, dtype), name=name)

    def gap(self, why: str, shape: Sequence[int], dtype: str, *operands: Drawn) -> Drawn:
        """Return a tensor of known shape that nobody can follow."""
        return Drawn(self, self.draft.gap(self._said(why), shape, dtype, *(one.node for one in operands)))

    def lost(self, why: str, *operands: int) -> Lost:
        """Return a value that nobody can follow."""
        return Lost(self.draft.gap(self._said(why), (), "float32", *operands))

    def _said(self, why: str) -> str:
        return f"{self.draft.line}: {why}" if self.draft.line is not None else why

    def op(self, op: str, *operands: Drawn | Number, dtype: str = "", **params: Any) -> Drawn:
        """Return what a primitive gives."""
        drawn = [one if isinstance(one, Drawn) else self.constant(one) for one in operands]
        dtype = dtype or PRIMITIVES[op].dtype or (drawn[0].dtype if drawn else "")
        nodes = [one.node for one in drawn]
        try:
            number = self.draft.add(op, *nodes, dtype=dtype, **params)
        except (ValueError, IndexError, KeyError) as error:
            shapes = ", ".join(str(one.shape) for one in drawn)
            raise Unlowered(f"{op} of {shapes}: {error}") from error
        if self.fixed.issuperset(nodes):
            self._fixed(number)
        return Drawn(self, number)

    def _fixed(self, number: int) -> int:
        self.fixed.add(number)
        return number

    def each(self, op: str, *operands: Drawn | Number) -> Drawn:
        """Return what a primitive gives that works element by element."""
        dtype = self.together(*operands)
        if op in _FLOATING and category(dtype) not in ("float", "complex"):
            dtype = "float32"
        return self.op(op, *operands, dtype=PRIMITIVES[op].dtype or dtype)

    def together(self, *operands: Drawn | Number) -> str:
        """Return the dtype of what is computed from several tensors and numbers."""
        tensors = [(one.dtype, bool(one.shape)) for one in operands if isinstance(one, Drawn)]
        return promoted(tensors, [of_number(one) for one in operands if not isinstance(one, Drawn)])

    def tensor(self, value: Any, dtype: str = "") -> Drawn:
        """Return a tensor, of what may be a number or nested lists of numbers and tensors."""
        if isinstance(value, Drawn):
            return value
        if isinstance(value, list | tuple) and any(isinstance(one, Drawn) for one in value):
            return self.concat([self.insert(self.tensor(one, dtype), 0) for one in value], 0)
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise Unlowered(f"a tensor of {value!r}") from error
        if array.dtype.kind not in "biufc":
            raise Unlowered(f"a tensor of {type(value).__name__}")
        given = {"b": "bool", "i": "int64", "u": "int64", "f": "float32", "c": "complex64"}[array.dtype.kind]
        return self.constant(array, dtype or given)

    # Values -------------------------------------------------------------------------------

    def value(self, tensor: Drawn) -> Array | None:
        """Return what a tensor holds that depends on nothing given; None for any other."""
        return self._value(tensor.node) if tensor.node in self.fixed else None

    def _value(self, number: int) -> Array | None:
        if number not in self._values:
            pending = [number]
            while pending:
                node = self.draft[pending[-1]]
                rest = [one for one in node.operands if one not in self._values]
                if rest:
                    pending.extend(rest)
                    continue
                self._values[pending.pop()] = self._computed(node)
        return self._values[number]

    def _computed(self, node: Any) -> Array | None:
        arrays = [self._values[one] for one in node.operands]
        if any(one is None for one in arrays) or np.prod(node.shape, dtype=float) > _LARGEST:
            return None
        with np.errstate(all="ignore"):
            return PRIMITIVES[node.op].run(arrays, node.params)  # type: ignore[arg-type]

    def known(self, value: Any, what: str = "a value") -> Any:
        """Return a number or an array that the program knows.

        Raises:
            Unlowered: It depends on what the program is given.
        """
        if not isinstance(value, Drawn):
            return value
        array = self.value(value)
        if array is None:
            raise Unlowered(f"{what} depends on the input")
        return array.item() if array.ndim == 0 else array

    def whole(self, value: Any) -> int:
        """Return a whole number that the program knows."""
        number = self.known(value, "a size")
        if isinstance(number, np.ndarray) and number.size == 1:
            number = number.item()
        if (
            isinstance(number, bool)
            or not isinstance(number, int | float | np.integer)
            or number != int(number)
        ):
            raise Unlowered(f"no whole number: {value!r}")
        return int(number)

    def sizes(self, given: Any) -> tuple[int, ...]:
        """Return several whole numbers: ``(2, 3)``, ``((2, 3),)`` or ``5``."""
        while isinstance(given, list | tuple) and len(given) == 1 and isinstance(given[0], list | tuple):
            given = given[0]
        if isinstance(given, Drawn) and given.rank == 1:
            given = [int(one) for one in self.known(given, "a size")]
        return tuple(self.whole(one) for one in (given if isinstance(given, list | tuple) else [given]))

    # The same elements on other axes ------------------------------------------------------

    def cast(self, x: Drawn, dtype: str) -> Drawn:
        """Return a tensor as another dtype."""
        number = self.draft.cast(x.node, dtype)
        if x.node in self.fixed:
            self._fixed(number)
        return x if number == x.node else Drawn(self, number)

    def reshape(self, x: Drawn, shape: Sequence[int]) -> Drawn:
        """Return the same elements in another shape."""
        if tuple(shape) == x.shape:
            return x
        if np.prod(shape, dtype=int) != np.prod(x.shape, dtype=int):
            raise Unlowered(f"reshape of {x.shape} to {tuple(shape)}")
        return self.op("reshape", x, shape=tuple(shape))

    def transpose(self, x: Drawn, axes: Sequence[int]) -> Drawn:
        """Return a tensor with its axes in another order."""
        if sorted(axes) != list(range(x.rank)):
            raise Unlowered(f"axes {tuple(axes)} of {x.shape}")
        return x if list(axes) == sorted(axes) else self.op("transpose", x, axes=tuple(axes))

    def broadcast(self, x: Drawn, shape: Sequence[int]) -> Drawn:
        """Return a tensor repeated along its axes of size 1, and along new ones in front."""
        if tuple(shape) == x.shape:
            return x
        try:
            fits = np.broadcast_shapes(x.shape, tuple(shape)) == tuple(shape)
        except ValueError:
            fits = False
        if not fits:
            raise Unlowered(f"{x.shape} as {tuple(shape)}")
        return self.op("broadcast", x, shape=tuple(shape))

    def insert(self, x: Drawn, *axes: int) -> Drawn:
        """Return a tensor with further axes of size 1, at places of the result."""
        shape, rank = list(x.shape), x.rank + len(axes)
        for axis in sorted(axis % rank for axis in axes):
            shape.insert(axis, 1)
        return self.reshape(x, shape)

    def slice(self, x: Drawn, axis: int, start: int, stop: int, step: int = 1) -> Drawn:
        """Return a part along one axis."""
        starts, stops, steps = [0] * x.rank, list(x.shape), [1] * x.rank
        starts[axis], stops[axis], steps[axis] = start, stop, step
        return self.slices(x, starts, stops, steps)

    def slices(self, x: Drawn, start: Sequence[int], stop: Sequence[int], step: Sequence[int]) -> Drawn:
        """Return a part along all axes."""
        if (tuple(start), tuple(stop), tuple(step)) == ((0,) * x.rank, x.shape, (1,) * x.rank):
            return x
        return self.op("slice", x, start=tuple(start), stop=tuple(stop), step=tuple(step))

    def concat(self, parts: Sequence[Drawn], axis: int) -> Drawn:
        """Return several tensors one behind the other."""
        if len(parts) == 1:
            return parts[0]
        dtype = self.together(*parts)
        return self.op("concat", *parts, axis=axis, dtype=dtype)

    def pad(
        self,
        x: Drawn,
        low: Sequence[int],
        high: Sequence[int],
        value: Number = 0,
        interior: Sequence[int] | None = None,
    ) -> Drawn:
        """Return a tensor with something around it, and between its elements."""
        holes = tuple(interior or (0,) * x.rank)
        if not any((*low, *high, *holes)):
            return x
        filling = self.constant(value, x.dtype)
        return self.op("pad", x, filling, low=tuple(low), high=tuple(high), interior=holes)

    def flip(self, x: Drawn, axes: Sequence[int]) -> Drawn:
        """Return a tensor with axes reversed."""
        return self.op("flip", x, axes=tuple(axes)) if axes else x

    def full(self, shape: Sequence[int], value: Any, dtype: str) -> Drawn:
        """Return a tensor of one value."""
        filling = value if isinstance(value, Drawn) else self.constant(value, dtype)
        return self.broadcast(self.cast(filling, dtype), shape)

    # Fewer elements -----------------------------------------------------------------------

    def reduce(self, op: str, x: Drawn, axes: Sequence[int], *, keep: bool = False, dtype: str = "") -> Drawn:
        """Return what is left of axes."""
        found = self.op(op, x, axes=tuple(axes), dtype=dtype) if axes else x
        return self.insert(found, *axes) if keep and axes else found

    def mean(self, x: Drawn, axes: Sequence[int], *, keep: bool = False) -> Drawn:
        """Return the mean along axes."""
        count = float(np.prod([x.shape[axis] for axis in axes], dtype=int))
        return self.reduce("sum", x, axes, keep=keep) / count

    def dot(
        self,
        one: Drawn,
        other: Drawn,
        contract: tuple[Sequence[int], Sequence[int]],
        batch: tuple[Sequence[int], Sequence[int]] = ((), ()),
    ) -> Drawn:
        """Return sums of products: the batch axes, the free ones of the left, those of the right."""
        pairs = (tuple(contract[0]), tuple(contract[1])), (tuple(batch[0]), tuple(batch[1]))
        for left, right in pairs:
            mine, theirs = [one.shape[axis] for axis in left], [other.shape[axis] for axis in right]
            if mine != theirs:
                raise Unlowered(f"product of {one.shape} and {other.shape}: {mine} against {theirs}")
        return self.op("dot", one, other, contract=pairs[0], batch=pairs[1], dtype=self.together(one, other))


def _plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | complex) and not isinstance(value, np.generic)


_FLOATING = frozenset(
    """exp exp2 expm1 log log1p log2 sqrt cbrt sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arccosh
    arctanh logistic erf erfc erf_inv lgamma digamma div arctan2""".split()
)
