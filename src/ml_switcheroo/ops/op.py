"""The base of all operations, and how a row of them is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ml_switcheroo.tensors import TensorSpec

__all__ = ["Array", "Arrays", "Op", "Specs", "run", "trace"]

Array = np.ndarray[Any, Any]
Arrays = tuple[Array, ...]
Specs = tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Op:
    """One step of a move.

    ``exact`` tells whether the inverse brings back the same bits.
    """

    exact: ClassVar[bool] = True

    def specs(self, specs: Specs) -> Specs:
        """Return the specs of the results; raise :class:`AxesError` where they do not fit."""
        raise NotImplementedError

    def __call__(self, arrays: Arrays) -> Arrays:
        """Return the results."""
        raise NotImplementedError

    def inverse(self, specs: Specs) -> Op | None:
        """Return the operation that undoes this one on tensors of these specs, if there is one."""
        raise NotImplementedError


def run(ops: Sequence[Op], arrays: Arrays) -> Arrays:
    """Apply operations one after the other."""
    for op in ops:
        arrays = op(arrays)
    return arrays


def trace(ops: Sequence[Op], specs: Specs) -> tuple[Specs, ...]:
    """Return the specs before the first, between and after the last operation."""
    stations = [specs]
    for op in ops:
        stations.append(op.specs(stations[-1]))
    return tuple(stations)
