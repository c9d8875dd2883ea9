"""Operations between several tensors that move elements and change none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ml_switcheroo.errors import AxesError
from ml_switcheroo.ops.op import Arrays, Op, Specs, run, trace
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["Branch", "Concat", "Copy", "Discarded", "Filled", "Order", "Split", "Stack", "Tie", "Unstack"]


@dataclass(frozen=True)
class Split(Op):
    """Cut one tensor along an axis.

    Attributes:
        axis: The dimension that is cut.
        sizes: Sizes of the pieces; their sum is the size of the dimension.
    """

    axis: int
    sizes: tuple[int, ...]

    def specs(self, specs: Specs) -> Specs:
        (spec,) = specs
        if spec.shape[self.axis] != sum(self.sizes):
            raise AxesError(f"{spec} cannot be split into {self.sizes} on axis {self.axis}")
        return tuple(TensorSpec(_resized(spec.shape, self.axis, size), spec.dtype) for size in self.sizes)

    def __call__(self, arrays: Arrays) -> Arrays:
        (array,) = arrays
        return tuple(np.split(array, np.cumsum(self.sizes)[:-1], axis=self.axis))

    def inverse(self, specs: Specs) -> Op:
        return Concat(self.axis)

    def __str__(self) -> str:
        return f"split axis {self.axis} into {' + '.join(map(str, self.sizes))}"


@dataclass(frozen=True)
class Skip(Op):
    """Leave out the first rows: position tables whose first rows stand for padding.

    There is no inverse: the rows that are left out are not kept anywhere.

    Attributes:
        rows: How many rows of the first axis are left out.
    """

    rows: int
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        short = [spec for spec in specs if not spec.shape or spec.shape[0] < self.rows]
        if short:
            raise AxesError(f"{short[0]} has no {self.rows} rows to leave out")
        return tuple(_spec_rows(spec, spec.shape[0] - self.rows) for spec in specs)

    def __call__(self, arrays: Arrays) -> Arrays:
        return tuple(array[self.rows :] for array in arrays)

    def inverse(self, specs: Specs) -> Op | None:
        return None

    def __str__(self) -> str:
        return f"without its first {self.rows} rows"


def _spec_rows(spec: TensorSpec, rows: int) -> TensorSpec:
    return TensorSpec((rows, *spec.shape[1:]), spec.dtype)


@dataclass(frozen=True)
class Concat(Op):
    """Join tensors along an axis they have."""

    axis: int

    def specs(self, specs: Specs) -> Specs:
        first = specs[0]
        rest = {(_resized(spec.shape, self.axis, 0), spec.dtype) for spec in specs}
        if len(rest) != 1:
            raise AxesError(f"cannot be joined on axis {self.axis}: {', '.join(map(str, specs))}")
        total = sum(spec.shape[self.axis] for spec in specs)
        return (TensorSpec(_resized(first.shape, self.axis, total), first.dtype),)

    def __call__(self, arrays: Arrays) -> Arrays:
        return (np.concatenate(arrays, axis=self.axis),)

    def inverse(self, specs: Specs) -> Op:
        return Split(self.axis, tuple(spec.shape[self.axis] for spec in specs))

    def __str__(self) -> str:
        return f"join on axis {self.axis}"


@dataclass(frozen=True)
class Stack(Op):
    """Join tensors of one shape along a new axis."""

    axis: int

    def specs(self, specs: Specs) -> Specs:
        first = specs[0]
        if len(set(specs)) != 1:
            raise AxesError(f"cannot be stacked: {', '.join(map(str, specs))}")
        axis = self.axis % (len(first.shape) + 1)
        return (TensorSpec((*first.shape[:axis], len(specs), *first.shape[axis:]), first.dtype),)

    def __call__(self, arrays: Arrays) -> Arrays:
        return (np.stack(arrays, axis=self.axis),)

    def inverse(self, specs: Specs) -> Op:
        return Unstack(self.axis)

    def __str__(self) -> str:
        return f"stack on axis {self.axis}"


@dataclass(frozen=True)
class Unstack(Op):
    """Take a tensor apart along an axis, which is then gone."""

    axis: int

    def specs(self, specs: Specs) -> Specs:
        (spec,) = specs
        axis = self.axis % len(spec.shape)
        piece = TensorSpec(spec.shape[:axis] + spec.shape[axis + 1 :], spec.dtype)
        return (piece,) * spec.shape[axis]

    def __call__(self, arrays: Arrays) -> Arrays:
        (array,) = arrays
        return tuple(np.moveaxis(array, self.axis, 0))

    def inverse(self, specs: Specs) -> Op:
        return Stack(self.axis)

    def __str__(self) -> str:
        return f"unstack axis {self.axis}"


@dataclass(frozen=True)
class Tie(Op):
    """Take several names of one tensor as one; raise where their bits differ."""

    def specs(self, specs: Specs) -> Specs:
        if len(set(specs)) != 1:
            raise AxesError(f"cannot be tied: {', '.join(map(str, specs))}")
        return specs[:1]

    def __call__(self, arrays: Arrays) -> Arrays:
        first = np.ascontiguousarray(arrays[0])
        for array in arrays[1:]:
            if np.ascontiguousarray(array).tobytes() != first.tobytes():
                raise AxesError("the plan takes these tensors as one (tied), but their values differ")
        return (arrays[0],)

    def inverse(self, specs: Specs) -> Op:
        return Copy(len(specs))

    def __str__(self) -> str:
        return "tied"


@dataclass(frozen=True)
class Copy(Op):
    """Give one tensor to several places."""

    count: int

    def specs(self, specs: Specs) -> Specs:
        return specs * self.count

    def __call__(self, arrays: Arrays) -> Arrays:
        return arrays * self.count

    def inverse(self, specs: Specs) -> Op:
        return Tie()

    def __str__(self) -> str:
        return f"to {self.count} places"


@dataclass(frozen=True)
class Order(Op):
    """Put several tensors into another order.

    Attributes:
        order: For each place which of the tensors comes there.
    """

    order: tuple[int, ...]

    def specs(self, specs: Specs) -> Specs:
        if len(specs) != len(self.order):
            raise AxesError(f"{len(self.order)} tensors expected, found {len(specs)}")
        return tuple(specs[place] for place in self.order)

    def __call__(self, arrays: Arrays) -> Arrays:
        return tuple(arrays[place] for place in self.order)

    def inverse(self, specs: Specs) -> Op:
        return Order(tuple(self.order.index(place) for place in range(len(self.order))))

    def __str__(self) -> str:
        return f"in the order {' '.join(map(str, self.order))}"


@dataclass(frozen=True)
class Branch(Op):
    """Do something else to each of several tensors: the leaves of a tied weight are not laid out alike.

    Attributes:
        branches: For each tensor what is done to it, in order.
    """

    branches: tuple[tuple[Op, ...], ...]

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """Whether every branch brings back the same bits."""
        return all(op.exact for ops in self.branches for op in ops)

    def specs(self, specs: Specs) -> Specs:
        if len(specs) != len(self.branches):
            raise AxesError(f"{len(self.branches)} tensors expected, found {len(specs)}")
        return tuple(trace(ops, (spec,))[-1][0] for ops, spec in zip(self.branches, specs, strict=True))

    def __call__(self, arrays: Arrays) -> Arrays:
        return tuple(run(ops, (array,))[0] for ops, array in zip(self.branches, arrays, strict=True))

    def inverse(self, specs: Specs) -> Op | None:
        back = []
        for ops, spec in zip(self.branches, specs, strict=True):
            stations = trace(ops, (spec,))
            steps = [op.inverse(at) for op, at in zip(ops, stations, strict=False)]
            if None in steps:
                return None
            back.append(tuple(step for step in reversed(steps) if step is not None))
        return Branch(tuple(back))

    def __str__(self) -> str:
        return "; ".join(", ".join(map(str, ops)) or "as it is" for ops in self.branches)


@dataclass(frozen=True)
class Filled(Op):
    """Make a tensor of one value out of nothing: the bias of a layer that has none in PyTorch."""

    value: float
    shape: tuple[int, ...]
    dtype: str

    def specs(self, specs: Specs) -> Specs:
        if specs:
            raise AxesError(f"is made of nothing, not of {', '.join(map(str, specs))}")
        return (TensorSpec(self.shape, self.dtype),)

    def __call__(self, arrays: Arrays) -> Arrays:
        return (np.full(self.shape, self.value, DTYPES[self.dtype].numpy),)

    def inverse(self, specs: Specs) -> Op:
        return Discarded(self.value, self.shape, self.dtype)

    def __str__(self) -> str:
        return f"filled with {self.value:g}"


@dataclass(frozen=True)
class Discarded(Op):
    """Leave a tensor behind that PyTorch's layer has no place for; raise where it is not of the one value."""

    value: float
    shape: tuple[int, ...]
    dtype: str

    def specs(self, specs: Specs) -> Specs:
        if specs != (TensorSpec(self.shape, self.dtype),):
            raise AxesError(f"expected {self.dtype} {self.shape}, found {', '.join(map(str, specs))}")
        return ()

    def __call__(self, arrays: Arrays) -> Arrays:
        if not (arrays[0] == arrays[0].dtype.type(self.value)).all():
            raise AxesError(f"PyTorch's layer has no such tensor: it must be {self.value:g}, but was changed")
        return ()

    def inverse(self, specs: Specs) -> Op:
        return Filled(self.value, self.shape, self.dtype)

    def __str__(self) -> str:
        return f"left out, is {self.value:g}"


def _resized(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    axis %= len(shape)
    return (*shape[:axis], size, *shape[axis + 1 :])
