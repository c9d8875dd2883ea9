"""Operations that change values; the plan says so where one of them stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ml_switcheroo.errors import AxesError, UsageError, did_you_mean
from ml_switcheroo.ops.op import Array, Arrays, Op, Specs
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = [
    "Cast",
    "GateSum",
    "GateSumParted",
    "Scale",
    "Shift",
    "SpectralNorm",
    "SpectralRestored",
    "SpectralState",
    "Sum",
    "SumParted",
    "WeightNorm",
    "WeightNormSplit",
]


@dataclass(frozen=True)
class Shift(Op):
    """Add a constant: norms stored as scale - 1, a forget gate that adds 1 to its bias by itself.

    Rounding can change the last bit on the way back.

    Attributes:
        amount: What is added.
        blocks: Of how many equal blocks the first axis is made.
        block: The block that it is added to.
    """

    amount: float
    blocks: int = 1
    block: int = 0
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        for spec in specs:
            if self.blocks > 1 and (not spec.shape or spec.shape[0] % self.blocks):
                raise AxesError(f"axis 0 of {spec} is not made of {self.blocks} equal blocks")
        return specs

    def __call__(self, arrays: Arrays) -> Arrays:
        return tuple(self._shifted(array) for array in arrays)

    def _shifted(self, array: Array) -> Array:
        if self.blocks == 1:
            return np.asarray(array + np.asarray(self.amount, array.dtype)).astype(array.dtype, copy=False)
        result = np.array(array)
        size = len(array) // self.blocks
        result[self.block * size : (self.block + 1) * size] += np.asarray(self.amount, array.dtype)
        return result

    def inverse(self, specs: Specs) -> Op:
        return Shift(-self.amount, self.blocks, self.block)

    def __str__(self) -> str:
        return f"{self.amount:+g}" + (f" in block {self.block} of {self.blocks}" if self.blocks > 1 else "")


@dataclass(frozen=True)
class Scale(Op):
    """Multiply by a constant: a layer that scales its weight before it uses it.

    Rounding can change the last bit on the way back.

    Attributes:
        factor: What is multiplied by.
    """

    factor: float
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        if not self.factor:
            raise UsageError("a factor of 0 leaves nothing of a tensor")
        return specs

    def __call__(self, arrays: Arrays) -> Arrays:
        return tuple((_widened(np.asarray(a)) * self.factor).astype(a.dtype, copy=False) for a in arrays)

    def inverse(self, specs: Specs) -> Op:
        return Scale(1 / self.factor)

    def __str__(self) -> str:
        return f"times {self.factor:g}"


@dataclass(frozen=True)
class Sum(Op):
    """Add tensors: two biases that the target keeps as one.

    The way back gives the sum to the first and zeros to the others: the same layer, not the same bits.
    """

    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        if len(set(specs)) != 1:
            raise AxesError(f"cannot be added: {', '.join(map(str, specs))}")
        return specs[:1]

    def __call__(self, arrays: Arrays) -> Arrays:
        total = arrays[0]
        for array in arrays[1:]:
            total = total + array
        return (total.astype(arrays[0].dtype, copy=False),)

    def inverse(self, specs: Specs) -> Op:
        return SumParted(len(specs))

    def __str__(self) -> str:
        return "sum"


@dataclass(frozen=True)
class SumParted(Op):
    """Give a sum as its first term, with zeros as the others."""

    count: int
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        return specs * self.count

    def __call__(self, arrays: Arrays) -> Arrays:
        return arrays + tuple(np.zeros_like(arrays[0]) for _ in range(self.count - 1))

    def inverse(self, specs: Specs) -> Op:
        return Sum()

    def __str__(self) -> str:
        return "all in the first, zeros in the others"


@dataclass(frozen=True)
class GateSum(Op):
    """Add some blocks of a second tensor to those of a first; what is not added is a tensor of its own.

    The biases of a GRU: the target keeps one for the sum of both, and one for the gate whose recurrent
    part is scaled before it is added. The way back gives the sum to the first: the same layer, not the
    same bits.

    Attributes:
        blocks: Of how many equal blocks each tensor is made.
        added: The blocks that are added; these come first.
    """

    blocks: int
    added: int
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        if len(specs) != 2 or specs[0] != specs[1] or specs[0].shape[0] % self.blocks:
            raise AxesError(f"cannot be added as {self.blocks} blocks each: {', '.join(map(str, specs))}")
        size, *rest = specs[0].shape
        left = size // self.blocks * (self.blocks - self.added)
        return specs[0], TensorSpec((left, *rest), specs[0].dtype)

    def __call__(self, arrays: Arrays) -> Arrays:
        first, second = arrays
        cut = len(first) // self.blocks * self.added
        total = np.concatenate([(first[:cut] + second[:cut]).astype(first.dtype, copy=False), first[cut:]])
        return total, second[cut:]

    def inverse(self, specs: Specs) -> Op:
        return GateSumParted(self.blocks, self.added)

    def __str__(self) -> str:
        return f"sum of {self.added} gates"


@dataclass(frozen=True)
class GateSumParted(Op):
    """Give the sum of :class:`GateSum` as the first tensor, with zeros as the added blocks of the second."""

    blocks: int
    added: int
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        return specs[0], specs[0]

    def __call__(self, arrays: Arrays) -> Arrays:
        first, rest = arrays
        return first, np.concatenate([np.zeros_like(first[: len(first) - len(rest)]), rest])

    def inverse(self, specs: Specs) -> Op:
        return GateSum(self.blocks, self.added)

    def __str__(self) -> str:
        return "all in the first, zeros in the other's summed gates"


@dataclass(frozen=True)
class WeightNorm(Op):
    """Fold a weight norm: ``(g, v)`` becomes ``g * v / norm(v)``, the norm over the axes that ``g`` lacks.

    Source: ``torch.nn.utils.weight_norm``. The way back gives a ``v`` of the folded weight itself:
    the same layer, not the same bits.
    """

    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        if len(specs) != 2 or not _broadcasts(specs[0].shape, specs[1].shape):
            raise AxesError(f"no g and v of a weight norm: {', '.join(map(str, specs))}")
        return specs[1:]

    def __call__(self, arrays: Arrays) -> Arrays:
        g, v = map(np.asarray, arrays)
        wide = _widened(v)
        return ((wide * (g.astype(wide.dtype) / _norm(wide, g.shape))).astype(v.dtype),)

    def inverse(self, specs: Specs) -> Op:
        return WeightNormSplit(specs[0].shape)

    def __str__(self) -> str:
        return "weight norm folded"


@dataclass(frozen=True)
class WeightNormSplit(Op):
    """Give a weight as ``(g, v)`` of a weight norm, with ``v`` the weight and ``g`` its norm."""

    shape: tuple[int, ...]
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        return TensorSpec(self.shape, specs[0].dtype), specs[0]

    def __call__(self, arrays: Arrays) -> Arrays:
        weight = np.asarray(arrays[0])
        return _norm(_widened(weight), self.shape).reshape(self.shape).astype(weight.dtype), weight

    def inverse(self, specs: Specs) -> Op:
        return WeightNorm()

    def __str__(self) -> str:
        return "weight norm split off"


@dataclass(frozen=True)
class SpectralNorm(Op):
    """Fold a spectral norm: ``(weight, u, v)`` becomes ``weight / (u @ matrix @ v)``. There is no inverse.

    Source: ``torch.nn.utils.spectral_norm`` in evaluation mode, where ``u`` and ``v`` stay as they are.

    Attributes:
        dim: The axis of the weight that is the first of the matrix.
    """

    dim: int
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        sizes = [spec.shape for spec in specs[1:]]
        rows = specs[0].shape[self.dim] if self.dim < len(specs[0].shape) else 0
        if not rows or sizes != [(rows,), (specs[0].size // rows,)]:
            raise AxesError(f"no weight, u and v of a spectral norm: {', '.join(map(str, specs))}")
        return specs[:1]

    def __call__(self, arrays: Arrays) -> Arrays:
        weight, u, v = map(np.asarray, arrays)
        wide = _widened(weight)
        matrix = np.moveaxis(wide, self.dim, 0).reshape(len(u), -1)
        sigma = u.astype(wide.dtype) @ (matrix @ v.astype(wide.dtype))
        return ((wide / sigma).astype(weight.dtype),)

    def inverse(self, specs: Specs) -> Op | None:
        return None

    def __str__(self) -> str:
        return "spectral norm folded"


@dataclass(frozen=True)
class SpectralState(Op):
    """Give ``(weight, u, v)`` of a spectral norm as the state of a target that computes ``v`` by itself.

    The way back gives the ``v`` that belongs to ``u``: the same layer once the iteration has converged.

    Attributes:
        folded: Whether the target keeps the normalised weight.
        sigma: Whether the target keeps the norm, ``u @ matrix @ v``.
    """

    folded: bool
    sigma: bool
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        SpectralNorm(0).specs(specs)
        return (*specs[:2], *([TensorSpec((), specs[0].dtype)] if self.sigma else []))

    def __call__(self, arrays: Arrays) -> Arrays:
        weight, u, v = map(np.asarray, arrays)
        wide = _widened(weight)
        sigma = u.astype(wide.dtype) @ (wide.reshape(len(u), -1) @ v.astype(wide.dtype))
        kept = (wide / sigma).astype(weight.dtype) if self.folded else weight
        return (kept, u, *([np.asarray(sigma, weight.dtype)] if self.sigma else []))

    def inverse(self, specs: Specs) -> Op:
        return SpectralRestored(self.folded, self.sigma)

    def __str__(self) -> str:
        return "spectral norm folded, u kept" if self.folded else "spectral norm kept"


@dataclass(frozen=True)
class SpectralRestored(Op):
    """Give the state of :class:`SpectralState` as ``(weight, u, v)``: the ``v`` that belongs to ``u``."""

    folded: bool
    sigma: bool
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        return *specs[:2], TensorSpec((specs[0].size // specs[0].shape[0],), specs[0].dtype)

    def __call__(self, arrays: Arrays) -> Arrays:
        weight, u = map(np.asarray, arrays[:2])
        wide = _widened(weight)
        v = u.astype(wide.dtype) @ wide.reshape(len(u), -1)
        return weight, u, (v / np.sqrt(v @ v)).astype(weight.dtype)

    def inverse(self, specs: Specs) -> Op:
        return SpectralState(self.folded, self.sigma)

    def __str__(self) -> str:
        return "v of the spectral norm computed from u"


_SHORT = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"}
"""What people also call a dtype."""


@dataclass(frozen=True)
class Cast(Op):
    """Change the dtype, where that was asked for."""

    dtype: str
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        if self.dtype not in DTYPES:
            meant = did_you_mean(_SHORT.get(self.dtype, self.dtype), DTYPES)
            raise UsageError(f"unknown dtype {self.dtype!r}{meant}; known: {', '.join(DTYPES)}")
        return tuple(TensorSpec(spec.shape, self.dtype) for spec in specs)

    def __call__(self, arrays: Arrays) -> Arrays:
        with np.errstate(over="ignore", invalid="ignore"):  # counted where leaves are made
            return tuple(array.astype(DTYPES[self.dtype].numpy) for array in arrays)

    def inverse(self, specs: Specs) -> Op:
        return Cast(specs[0].dtype)

    def __str__(self) -> str:
        return f"cast to {self.dtype}"


def _widened(array: Array) -> Array:
    """Return at least float32: bfloat16 and float16 have too few bits for a norm."""
    return array if array.dtype.itemsize >= 4 else array.astype(np.float32)


def _broadcasts(shape: tuple[int, ...], onto: tuple[int, ...]) -> bool:
    same = len(shape) == len(onto) and all(a in (1, b) for a, b in zip(shape, onto, strict=True))
    return not shape or same


def _norm(array: Array, shape: tuple[int, ...]) -> Array:
    """Return the norm over the axes that are 1 in ``shape``; over all for a scalar."""
    axes = tuple(axis for axis in range(array.ndim) if not shape or shape[axis] == 1)
    return np.asarray(np.sqrt(np.sum(array * array, axis=axes, keepdims=bool(shape))))
