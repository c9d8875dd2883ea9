"""Operations that change values; the plan says so where one of them stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ml_switcheroo.errors import AxesError, UsageError
from ml_switcheroo.ops.op import Arrays, Op, Specs
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["Cast", "Shift", "Sum"]


@dataclass(frozen=True)
class Shift(Op):
    """Add a constant: norms stored as scale - 1. Rounding can change the last bit on the way back."""

    amount: float
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        return specs

    def __call__(self, arrays: Arrays) -> Arrays:
        return tuple((array + np.asarray(self.amount, array.dtype)).astype(array.dtype) for array in arrays)

    def inverse(self, specs: Specs) -> Op:
        return Shift(-self.amount)

    def __str__(self) -> str:
        return f"{self.amount:+g}"


@dataclass(frozen=True)
class Sum(Op):
    """Add tensors: two biases that the target keeps as one. There is no inverse."""

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

    def inverse(self, specs: Specs) -> Op | None:
        return None

    def __str__(self) -> str:
        return "sum"


@dataclass(frozen=True)
class Cast(Op):
    """Change the dtype, where that was asked for."""

    dtype: str
    exact: ClassVar[bool] = False

    def specs(self, specs: Specs) -> Specs:
        if self.dtype not in DTYPES:
            raise UsageError(f"unknown dtype {self.dtype}; known: {', '.join(DTYPES)}")
        return tuple(TensorSpec(spec.shape, self.dtype) for spec in specs)

    def __call__(self, arrays: Arrays) -> Arrays:
        return tuple(array.astype(DTYPES[self.dtype].numpy) for array in arrays)

    def inverse(self, specs: Specs) -> Op:
        return Cast(specs[0].dtype)

    def __str__(self) -> str:
        return f"cast to {self.dtype}"
