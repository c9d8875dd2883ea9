"""Operations within one tensor that move elements and change none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_switcheroo.axes import Equation, View, equation, parse
from ml_switcheroo.errors import AxesError
from ml_switcheroo.ops.op import Arrays, Op, Specs
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Axes", "Flip", "Gates"]


@dataclass(frozen=True)
class Axes(Op):
    """Rearrange each tensor by an axis equation.

    >>> Axes("out in -> in out").specs((TensorSpec((10, 768), "float32"),))
    (float32[768,10],)
    """

    equation: str
    sizes: tuple[tuple[str, int], ...] = ()

    def specs(self, specs: Specs) -> Specs:
        return tuple(TensorSpec(self._view(spec.shape).shape, spec.dtype) for spec in specs)

    def __call__(self, arrays: Arrays) -> Arrays:
        return tuple(self._view(array.shape)(array) for array in arrays)

    def inverse(self, specs: Specs) -> Op:
        forth = self._equation
        # An axis of its own on the right can stand for several on the left: those then need names.
        if forth.source.loose is not None and forth.target.loose is None:
            forth = forth.spelled(len(specs[0].shape))
        back = ~forth
        known, *others = (forth.bind(spec.shape, dict(self.sizes)).sizes for spec in specs)
        # An axis that is not as long in every tensor follows from the rest of its dimension.
        same = {axis for axis, size in known.items() if all(other.get(axis) == size for other in others)}
        return Axes(str(back), tuple((a, size) for a, size in known.items() if a in back.told & same))

    @property
    def _equation(self) -> Equation:
        source, _, target = self.equation.partition("->")
        return equation(source.strip(), target.strip())

    def _view(self, shape: tuple[int, ...]) -> View:
        return self._equation.bind(shape, dict(self.sizes))

    def __str__(self) -> str:
        sizes = ", ".join(f"{axis}={size}" for axis, size in self.sizes)
        return self.equation + (f" ({sizes})" if sizes else "")


@dataclass(frozen=True)
class Flip(Op):
    """Reverse axes of each tensor: a transposed convolution is a convolution with its kernel turned.

    Attributes:
        axes: The layout of the tensor.
        flipped: The axes of it that are reversed.
    """

    axes: str
    flipped: str = "*space"

    def specs(self, specs: Specs) -> Specs:
        return specs

    def __call__(self, arrays: Arrays) -> Arrays:
        return tuple(np.flip(array, self._dimensions(array.ndim)) for array in arrays)

    def inverse(self, specs: Specs) -> Op:
        return self

    def _dimensions(self, rank: int) -> tuple[int, ...]:
        names = self.flipped.split()
        groups = parse(self.axes).dimensions(rank)
        return tuple(i for i, group in enumerate(groups) if group and group[0].partition(".")[0] in names)

    def __str__(self) -> str:
        return f"flip {self.flipped}"


@dataclass(frozen=True)
class Gates(Op):
    """Reorder the equal blocks of an axis: the gates of an LSTM or a GRU.

    Attributes:
        order: For each block of the result, the block of the source it is.
        axis: The dimension that is made of the blocks.
    """

    order: tuple[int, ...]
    axis: int = 0

    def specs(self, specs: Specs) -> Specs:
        for spec in specs:
            if spec.shape[self.axis] % len(self.order):
                raise AxesError(f"axis {self.axis} of {spec} is not made of {len(self.order)} equal blocks")
        return specs

    def __call__(self, arrays: Arrays) -> Arrays:
        results = []
        for array in arrays:
            blocks = np.split(array, len(self.order), axis=self.axis)
            results.append(np.concatenate([blocks[i] for i in self.order], axis=self.axis))
        return tuple(results)

    def inverse(self, specs: Specs) -> Op:
        return Gates(tuple(self.order.index(i) for i in range(len(self.order))), self.axis)

    def __str__(self) -> str:
        return f"gates {' '.join(map(str, self.order))}"
