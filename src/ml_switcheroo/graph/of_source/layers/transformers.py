"""Multi-head attention, and torch's own transformers, which are made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.layers.called import Called
from ml_switcheroo.graph.of_source.operations.activations import softmax
from ml_switcheroo.graph.of_source.operations.attention import masked
from ml_switcheroo.graph.of_source.operations.products import linear, matmul
from ml_switcheroo.graph.of_source.operations.shapes import flatten
from ml_switcheroo.graph.of_source.pen import Pen
from ml_switcheroo.sources.static.python.values import Value

__all__ = ["ATTENTION", "TRANSFORMERS", "square_mask"]


def _attention(called: Called) -> Any:
    pen = called.pen
    query, key, value = (called.given(place, name) for place, name in enumerate(("query", "key", "value")))
    first, single = bool(called.argument("batch_first")), query.rank == 2
    if single:
        query, key, value = (pen.insert(one, 0) for one in (query, key, value))
    elif not first:
        query, key, value = (pen.transpose(one, (1, 0, 2)) for one in (query, key, value))
    heads = pen.whole(called.argument("num_heads"))
    q, k, v = _projected(called, query, key, value)
    mask = _mask(called, single)
    k, v, mask = _extended(called, k, v, mask)
    q, k, v = (_split(pen, one, heads) for one in (q, k, v))
    scores = matmul(pen, q * (q.shape[-1] ** -0.5), pen.transpose(k, (0, 1, 3, 2)))
    for one in mask:
        scores = masked(pen, scores, _headed(pen, one, scores))
    weights = softmax(pen, scores, -1)
    mixed = pen.transpose(matmul(pen, weights, v), (0, 2, 1, 3))
    out = linear(pen, flatten(pen, mixed, 2), called.weight("out_proj.weight"), called.slot("out_proj.bias"))
    shown = _shown(called, weights, single)
    if single:
        return pen.reshape(out, out.shape[1:]), shown
    return (out if first else pen.transpose(out, (1, 0, 2))), shown


def _projected(called: Called, query: Drawn, key: Drawn, value: Drawn) -> list[Drawn]:
    pen, bias = called.pen, called.slot("in_proj_bias")
    fused = called.slot("in_proj_weight")
    given = (query, key, value)
    if fused is None:
        weights = [called.weight(f"{word}_proj_weight") for word in "qkv"]
    else:
        width = fused.shape[0] // 3
        weights = [pen.slice(fused, 0, part * width, (part + 1) * width) for part in range(3)]
    width = weights[0].shape[0]
    parts = [
        None if bias is None else pen.slice(bias, 0, part * width, (part + 1) * width) for part in range(3)
    ]
    if fused is not None and query is key is value:
        whole = linear(pen, query, fused, bias)
        return [pen.slice(whole, 2, part * width, (part + 1) * width) for part in range(3)]
    return [linear(pen, x, weight, part) for x, weight, part in zip(given, weights, parts, strict=True)]


def _mask(called: Called, single: bool) -> list[Drawn]:
    """Return the masks: truths that say what is looked at, or numbers to add; n or heads, then places."""
    pen = called.pen
    padded, mask = called.given(3, "key_padding_mask"), called.given(5, "attn_mask")
    found = []
    if isinstance(mask, Drawn):
        found.append(pen.op("not", mask) if mask.dtype == "bool" else mask)
    elif called.given(7, "is_causal", False) is True:
        raise Unlowered("causal attention without a mask")
    if isinstance(padded, Drawn):
        kept = pen.op("not", padded) if padded.dtype == "bool" else padded
        found.append(
            pen.reshape(kept, (1, 1, 1, kept.shape[0]) if single else (kept.shape[0], 1, 1, kept.shape[1]))
        )
    return found


def _headed(pen: Pen, mask: Drawn, scores: Drawn) -> Drawn:
    """Return a mask of (n heads) as one of n and heads."""
    if mask.rank != 3:
        return mask
    return pen.reshape(mask, (*scores.shape[:2], *mask.shape[1:]))


def _extended(called: Called, k: Drawn, v: Drawn, masks: list[Drawn]) -> tuple[Drawn, Drawn, list[Drawn]]:
    """Return keys and values with those that are looked at beside what is given."""
    pen, more = called.pen, 0
    pairs = called.slot("bias_k"), called.slot("bias_v")
    if pairs[0] is not None and pairs[1] is not None:
        k, v = (
            pen.concat([x, pen.broadcast(one, (x.shape[0], 1, x.shape[2]))], 1)
            for x, one in zip((k, v), pairs, strict=True)
            if one is not None
        )
        more += 1
    if called.argument("add_zero_attn"):
        k, v = (pen.pad(x, (0, 0, 0), (0, 1, 0)) for x in (k, v))
        more += 1
    if not more:
        return k, v, masks
    return (
        k,
        v,
        [pen.pad(one, (0,) * one.rank, (*(0,) * (one.rank - 1), more), one.dtype == "bool") for one in masks],
    )


def _split(pen: Pen, x: Drawn, heads: int) -> Drawn:
    n, length, width = x.shape
    return pen.transpose(pen.reshape(x, (n, length, heads, width // heads)), (0, 2, 1, 3))


def _shown(called: Called, weights: Drawn, single: bool) -> Drawn | None:
    """Return the weights, as the caller wants them."""
    pen = called.pen
    if called.given(4, "need_weights", True) is not True:
        return None
    shown = pen.mean(weights, (1,)) if called.given(6, "average_attn_weights", True) is True else weights
    return pen.reshape(shown, shown.shape[1:]) if single else shown


ATTENTION: Mapping[str, Callable[[Called], Any]] = {"mha": _attention}
"""By kind."""


# ---- torch's own transformers


class _Block:
    """One layer of an encoder or a decoder."""

    def __init__(self, called: Called) -> None:
        self.called = called
        self.before = bool(called.argument("norm_first", False))
        given = called.argument("activation", "relu")
        self.active: Any = given

    def norm(self, number: int, x: Drawn) -> Drawn:
        found: Drawn = self.called.call(self.called.child(f"norm{number}"), x)
        return found

    def added(self, number: int, x: Drawn, branch: Callable[[Drawn], Drawn]) -> Drawn:
        """Return the sum of a branch and what it is given, with the norm before or behind."""
        if self.before:
            return x + branch(self.norm(number, x))
        return self.norm(number, x + branch(x))

    def attend(self, name: str, x: Drawn, memory: Drawn, mask: Value, padded: Value) -> Drawn:
        """Return what attention gives."""
        attention = self.called.child(name)
        words = {"attn_mask": mask, "key_padding_mask": padded, "need_weights": False}
        return self.called.call(attention, x, memory, memory, **words)[0]  # type: ignore[no-any-return]

    def feed(self, x: Drawn) -> Drawn:
        """Return what the feed-forward part gives."""
        called = self.called
        hidden = called.call(called.child("linear1"), x)
        active = (
            called.function(self.active, hidden)
            if isinstance(self.active, str)
            else called.call(self.active, hidden)
        )
        return called.call(called.child("linear2"), active)  # type: ignore[no-any-return]


def _batch_first(called: Called) -> None:
    """Hand the order of the axes on to the attention: it is an argument of the layer alone."""
    order = called.argument("batch_first", False)
    for name in ("self_attn", "multihead_attn"):
        child = called.layer.attrs.get(name)
        if child is not None and "batch_first" not in getattr(child, "args", {}):
            child.args["batch_first"] = order  # type: ignore[attr-defined]


def _causal(called: Called, mask: Value, hint: Value, x: Drawn) -> Value:
    """Return the mask; where the caller only says that it is causal, torch wants one as well."""
    if mask is None and hint is True:
        raise Unlowered("causal attention without a mask")
    return mask


def _encoder_layer(called: Called) -> Drawn:
    _batch_first(called)
    block, x = _Block(called), called.input
    mask = _causal(called, called.given(1, "src_mask"), called.given(3, "is_causal", False), x)
    padded = called.given(2, "src_key_padding_mask")
    x = block.added(1, x, lambda y: block.attend("self_attn", y, y, mask, padded))
    return block.added(2, x, block.feed)


def _decoder_layer(called: Called) -> Drawn:
    _batch_first(called)
    block, x, memory = _Block(called), called.given(0, "tgt"), called.given(1, "memory")
    mask, over = called.given(2, "tgt_mask"), called.given(3, "memory_mask")
    padded, over_padded = called.given(4, "tgt_key_padding_mask"), called.given(5, "memory_key_padding_mask")
    x = block.added(1, x, lambda y: block.attend("self_attn", y, y, mask, padded))
    x = block.added(2, x, lambda y: block.attend("multihead_attn", y, memory, over, over_padded))
    return block.added(3, x, block.feed)


def _stack(names: tuple[str, ...]) -> Callable[[Called], Any]:
    def run(called: Called) -> Any:
        from ml_switcheroo.sources.static.python.containers import expand

        layers = expand(called.machine, called.child("layers"))
        if layers is None:
            raise Unlowered("how many layers there are is not known")
        x, *rest = [called.given(place, name) for place, name in enumerate(names)]
        words = dict(zip(_INNER[names], rest, strict=True))
        for layer in layers:
            x = called.call(layer, x, **words)
        norm = called.child("norm")
        return x if norm is None else called.call(norm, x)

    return run


_ENCODER = ("src", "mask", "src_key_padding_mask")
_DECODER = ("tgt", "memory", "tgt_mask", "memory_mask", "tgt_key_padding_mask", "memory_key_padding_mask")
_INNER = {_ENCODER: ("src_mask", "src_key_padding_mask"), _DECODER: _DECODER[1:]}


def _transformer(called: Called) -> Any:
    names = ("src", "tgt", "src_mask", "tgt_mask", "memory_mask")
    padded = ("src_key_padding_mask", "tgt_key_padding_mask", "memory_key_padding_mask")
    given = {name: called.given(place, name) for place, name in enumerate((*names, *padded))}
    memory = called.call(
        called.child("encoder"),
        given["src"],
        mask=given["src_mask"],
        src_key_padding_mask=given["src_key_padding_mask"],
    )
    words = {name: given[name] for name in _DECODER[2:]}
    return called.call(called.child("decoder"), given["tgt"], memory, **words)


def square_mask(machine: Any, *given: Any, **words: Any) -> Drawn:
    """Return what ``generate_square_subsequent_mask`` does."""
    size = machine.pen.whole(words.get("sz", given[-1] if given else None))
    found: Drawn = machine.pen.constant(np.where(np.tri(size, dtype=bool), 0.0, -np.inf), "float32")
    return found


TRANSFORMERS: Mapping[str, Callable[[Called], Any]] = {
    "TransformerEncoderLayer": _encoder_layer,
    "TransformerDecoderLayer": _decoder_layer,
    "TransformerEncoder": _stack(_ENCODER),
    "TransformerDecoder": _stack(_DECODER),
    "Transformer": _transformer,
}
"""By class."""
