"""Traced tensors combined element by element, and what passes through a function of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml_switcheroo.sources.static.torch.rows.traces import Key, Trace, Untold

__all__ = ["activated", "combined", "is_gated"]


def activated(trace: Trace) -> Trace:
    """Return what an activation makes of a tensor."""
    return trace.changed(active=True)


def is_gated(left: Trace, right: Trace) -> int | None:
    """Tell which side of a product of two projections is the gate: the one that has been activated."""
    live = [bool(one.sources) and one.product is None and not one.weight for one in (left, right)]
    opened = [one.active for one in (left, right)]
    if left.vague or right.vague or not all(live) or opened[0] == opened[1] or (left.spent and right.spent):
        return None
    gate = 0 if opened[0] else 1
    if (left, right)[gate].spent or left.shape != right.shape:
        return None
    shared = [key for key in left.sources if key in right.sources]
    if any(np.array_equal(left.rows[key], right.rows[key]) for key in shared):
        return None  # x * sigmoid(x) is an activation
    return gate


def combined(left: Trace, right: Trace, *, product: bool = False) -> Trace:
    """Return a sum or a product of two tensors, element by element.

    Where the shapes do not fit, that of the rows counts: the other is of an input whose sizes were guessed.

    Raises:
        Untold: Both hold rows, and their shapes do not fit.
    """
    if left.weight != right.weight:
        left, right = (left, right) if right.weight else (right, left)
        right = right.bare()
    held = [one for one in (left, right) if one.rows]
    try:
        shape = np.broadcast_shapes(left.shape, right.shape)
    except ValueError as error:
        if len(held) != 1:
            raise Untold from error
        return held[0].changed()
    first = held[0] if held else left
    rows: dict[Key, Any] = {}
    for key in dict.fromkeys([*left.rows, *right.rows]):
        mine, other = left.rows.get(key), right.rows.get(key)
        alone = mine if other is None else other if mine is None else None
        whole = alone is not None and alone.shape == shape
        rows[key] = alone if whole else _merged(first, key, mine, other, shape, left, right)
    products = [one for one in held if one.product is not None]
    main = products[0] if products else first
    squared = product and len(held) == 2 and left.active != right.active
    return main.changed(
        shape=shape,
        rows={key: numbers for key, numbers in rows.items() if numbers is not None},
        unions={**left.unions, **right.unions},
        active=main.active or squared if len(held) == 2 else main.active,
        vague=any(one.vague for one in held),
        spent=any(one.spent for one in held),
        given=left.given if left.given == right.given or not right.rows else -1,
        of=(left, right),
    )


def _merged(
    first: Trace, key: Key, mine: Any, other: Any, shape: tuple[int, ...], left: Trace, right: Trace
) -> Any:
    held = (one for one in (mine, other) if one is not None)
    arrays = [one if one.shape == shape else np.broadcast_to(one, shape) for one in held]
    if len(arrays) == 1 or np.array_equal(arrays[0], arrays[1]):
        return arrays[0]
    unions = left.unions.get(key)
    return unions.mixed(*arrays) if unions is not None else None
