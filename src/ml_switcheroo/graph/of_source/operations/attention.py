"""Attention: products of queries and keys, a softmax, and the values that it weighs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.operations.activations import softmax
from ml_switcheroo.graph.of_source.operations.products import matmul
from ml_switcheroo.graph.of_source.operations.shapes import flatten
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS", "attended", "masked"]


def attended(
    pen: Pen,
    query: Drawn,
    key: Drawn,
    value: Drawn,
    attn_mask: Drawn | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Drawn:
    """Return what ``scaled_dot_product_attention`` gives."""
    if dropout_p:
        raise Unlowered("attention with dropout draws at random")
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else float(pen.known(scale, "a scale"))
    if enable_gqa:
        key, value = (_repeated(pen, one, query.shape[-3] // one.shape[-3]) for one in (key, value))
    axes = [*range(key.rank - 2), key.rank - 1, key.rank - 2]
    scores = matmul(pen, query, pen.transpose(key, axes)) * factor
    if is_causal:
        scores = masked(pen, scores, pen.constant(np.tri(*scores.shape[-2:], dtype=bool)))
    if attn_mask is not None:
        scores = masked(pen, scores, attn_mask)
    return matmul(pen, softmax(pen, scores, -1), value)


def masked(pen: Pen, scores: Drawn, mask: Drawn) -> Drawn:
    """Return scores with a mask: of truths, that say what is looked at, or of numbers to add."""
    if mask.dtype != "bool":
        return scores + mask
    return pen.op("where", mask, scores, pen.constant(-math.inf, scores.dtype), dtype=scores.dtype)


def _repeated(pen: Pen, x: Drawn, times: int) -> Drawn:
    """Return heads that several queries share, each so many times."""
    if times == 1:
        return x
    place = x.rank - 3
    wide = pen.broadcast(pen.insert(x, place + 1), (*x.shape[: place + 1], times, *x.shape[place + 1 :]))
    return flatten(pen, wide, place, place + 1)


ROWS: list[Lowering] = [*rows("f", {"scaled_dot_product_attention": attended})]
