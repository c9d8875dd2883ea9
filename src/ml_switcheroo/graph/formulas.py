"""What frameworks have operations for, written out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ml_switcheroo.graph.graph import Draft

__all__ = ["cut", "kept", "logaddexp", "logsumexp", "number", "reciprocal", "softmax", "turned"]


def number(draft: Draft, value: float, like: int) -> int:
    """Return a number of the dtype of another node."""
    return draft.constant(value, draft.dtype(like))


def reciprocal(draft: Draft, data: int) -> int:
    """Return one over it."""
    return draft.add("div", number(draft, 1.0, data), data)


def turned(draft: Draft, data: int, axes: Sequence[int]) -> int:
    """Return it with its axes in another order."""
    return draft.add("transpose", data, axes=tuple(axes))


def kept(draft: Draft, op: str, data: int, axes: Sequence[int] = (-1,)) -> int:
    """Reduce some axes, and keep them."""
    shape = draft.shape(data)
    gone = tuple(axis % len(shape) for axis in axes)
    made = draft.add(op, data, axes=gone)
    left = tuple(1 if axis in gone else size for axis, size in enumerate(shape))
    return draft.add("reshape", made, shape=left)


def softmax(draft: Draft, data: int) -> int:
    """Return the softmax over the last axis."""
    found = draft.add("exp", draft.add("sub", data, kept(draft, "amax", data)))
    return draft.add("div", found, kept(draft, "sum", found))


def logsumexp(draft: Draft, data: int) -> int:
    """Return the logarithm of the sum of the exponentials over the last axis, which stays."""
    largest = kept(draft, "amax", data)
    largest = draft.add("where", draft.add("is_finite", largest), largest, number(draft, 0.0, data))
    total = kept(draft, "sum", draft.add("exp", draft.add("sub", data, largest)))
    return draft.add("add", draft.add("log", total), largest)


def logaddexp(draft: Draft, one: int, other: int) -> int:
    """Return the logarithm of the sum of two exponentials."""
    apart = draft.add("neg", draft.add("abs", draft.add("sub", one, other)))
    return draft.add("add", draft.add("max", one, other), draft.add("log1p", draft.add("exp", apart)))


def cut(draft: Draft, data: int, first: Sequence[int], pace: Sequence[int], sizes: Sequence[int]) -> int:
    """Return so many elements of each axis, from the first on, forwards or backwards."""
    ends = [one + (size - 1) * by for one, by, size in zip(first, pace, sizes, strict=True)]
    start = tuple(min(pair) for pair in zip(first, ends, strict=True)) if math.prod(sizes) else tuple(first)
    far = [max(pair) + 1 for pair in zip(first, ends, strict=True)]
    stop = tuple(end if size else low for end, size, low in zip(far, sizes, start, strict=True))
    made = draft.add("slice", data, start=start, stop=stop, step=tuple(map(abs, pace)))
    back = tuple(axis for axis, by in enumerate(pace) if by < 0 and sizes[axis] > 1)
    return draft.add("flip", made, axes=back) if back else made
