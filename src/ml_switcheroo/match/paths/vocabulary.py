"""Words of the field: what different authors call the same part of a network.

One entry for a word, not for a family of models. Phrases stand inside one segment of a path; the
longest one counts. A number is written as it stands in the path (``fc1`` is read as ``fc 1``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

__all__ = ["FILLERS", "KNOWN", "LEAF_SLOTS", "PHRASES", "QUIET", "apart", "contradict"]

_TABLE = {
    "norm": (
        "norm, normalization, layernorm, layer norm, layer normalization, ln, rmsnorm, rms norm, rms, bn,"
        "batchnorm, batch norm, batch normalization, groupnorm, group norm, norms, layrnorm"
    ),
    "final norm": "ln f, norm f, lnf",
    "before norm": "prenorm, layernorm before, layer norm before, norm before",
    "after norm": "layernorm after, layer norm after, norm after, postnorm",
    "attn": "attention, attn, mha, multi head attention, multihead attention, multihead attn, att",
    "self attn": "self attention, self attn, selfattention, attn self",
    "cross attn": (
        "cross attention, crossattention, cross attn, enc dec attention, encoder attention, encoder attn,"
        "encdec attention, enc attn, encoder decoder attention"
    ),
    "q": "q, query, queries, wq, w q, q lin, query layer, q attn",
    "k": "k, key, keys, wk, w k, k lin, key layer",
    "v": "v, value, values, wv, w v, v lin, value layer",
    "o": "o, w o, out lin",
    "qkv": "qkv, c attn, q k v",
    # Here the parts lie head by head in many models, and one after another in others.
    "mixed": "query key value, wqkv, w qkv, mixed qkv",
    "kv": "kv, key value, k v",
    "mlp": "mlp, ffn, ff, ffw, feedforward, feed forward, dense relu dense, feed fwd, mlps",
    "up": (
        "up, fc 1, c fc, linear 1, lin 1, intermediate, dense h to 4h, pwconv 1, fc in, wi, expand, up layer"
    ),
    "down": "down, fc 2, linear 2, lin 2, dense 4h to h, pwconv 2, fc out, down layer",
    "gate": "gate, wi 0, gating, gate layer",
    "up ": "wi 1",
    "moe": "moe, mixture of experts, block sparse moe, sparse moe block, sparse moe, switch mlp",
    "experts": "experts, expert",
    "router": "router, gate dense router",
    "embed": "embed, embeds, embedding, embeddings, embedder, emb, embs",
    "tok": "tok, token, tokens, word, words, vocab, vocabulary",
    "tok embed": "wte, shared, tok embeddings, embed in, input embedding, input embeddings",
    "pos": "pos, position, positions, positional",
    "pos embed": "wpe",
    "seg": "segment, token type, type, segments, token types",
    "cls": "cls token, class token, class embedding, cls",
    "head": (
        "head, lm head, classifier, logits, predictions, reverse embeddings, embed out, score, heads,"
        "output head, fc"
    ),
    "pool": "pooler, pooled, pool, pooling",
    "conv": "conv, convolution, conv1d, conv2d, conv3d, conv 1d, conv 2d",
    "shortcut": "shortcut, downsample, downsampling, residual conv",
    "dense": "dense, linear, proj, projection, projector, project, lin",
    "encoder": "encoder, enc",
    "decoder": "decoder, dec",
    "final": "final, last",
    "before": "pre, before",
    "after": "post, after",
    "rel": "relative, rel",
    "patch": "patch, patches",
    "vision": "vision, visual, image, img",
    "text": "text, textual",
    "mean": "mean, mu",
    "logvar": "logvar, log var, log variance",
    "in": "in, input, inputs, start",
    "out": "out, output, outputs, c proj, end",
}

PHRASES: Mapping[tuple[str, ...], tuple[str, ...]] = {
    tuple(phrase.split()): tuple(meaning.split())
    for meaning, phrases in _TABLE.items()
    for phrase in phrases.replace("\n", " ").split(",")
    if phrase.strip()
}

# Words that nearly every path has somewhere: they show nothing.
FILLERS = frozenset(
    """
    dense layer layers block blocks h module modules model transformer stack group groups weight weights
    kernel params param parameters w c main net backbone bias tf flax self
    """.split()
)

# Every word that is known to mean something, or nothing.
KNOWN = FILLERS.union(*PHRASES.values())

# Words that tell little, because authors add them and leave them out as they like.
QUIET = frozenset("experts moe mlp attn in out final embed sequence".split())

# What the last segment of a path says: (what the tensor is to its module, kinds of module it proves).
LEAF_SLOTS: Mapping[str, tuple[str, frozenset[str]]] = {
    "kernel": ("weight", frozenset({"linear", "conv"})),
    "scale": ("weight", frozenset({"norm"})),
    "gamma": ("weight", frozenset({"norm"})),
    "beta": ("bias", frozenset({"norm"})),
    "offset": ("bias", frozenset({"norm"})),
    "embedding": ("weight", frozenset({"embedding"})),
    "embeddings": ("weight", frozenset({"embedding"})),
    "weight": ("weight", frozenset()),
    "weights": ("weight", frozenset()),
    "w": ("weight", frozenset()),
    "bias": ("bias", frozenset()),
    "biases": ("bias", frozenset()),
    "b": ("bias", frozenset()),
    "running_mean": ("mean", frozenset({"norm"})),
    "moving_mean": ("mean", frozenset({"norm"})),
    "mean": ("mean", frozenset({"norm"})),
    "running_var": ("variance", frozenset({"norm"})),
    "moving_variance": ("variance", frozenset({"norm"})),
    "moving_var": ("variance", frozenset({"norm"})),
    "variance": ("variance", frozenset({"norm"})),
    "var": ("variance", frozenset({"norm"})),
    # The two tensors of a weight norm, by torch's older and newer names.
    "weight_g": ("gain", frozenset()),
    "original0": ("gain", frozenset()),
    "weight_v": ("direction", frozenset()),
    "original1": ("direction", frozenset()),
    "num_batches_tracked": ("count", frozenset({"norm"})),
}

# These words exclude one another.
_EXCLUSIVE = (frozenset({"tok", "pos", "seg"}), frozenset({"encoder", "decoder"}))

# These do so outside of blocks only: inside, what is behind the attention is before the MLP.
_APART = (
    frozenset({"before", "after"}),
    frozenset({"embed", "final"}),
    frozenset({"head", "aux"}),
    frozenset({"up", "down"}),
    frozenset({"in", "out"}),
    frozenset({"in", "final"}),
)


def contradict(mine: Set[str], other: Set[str]) -> bool:
    """Tell whether the words of two paths cannot mean the same place.

    >>> contradict({"encoder", "attn"}, {"decoder", "attn"}), contradict({"encoder"}, {"head"})
    (True, False)
    """
    return _exclude(mine, other, _EXCLUSIVE)


def apart(mine: Set[str], other: Set[str]) -> bool:
    """Tell whether the words of two paths outside of blocks cannot mean the same place.

    >>> apart({"norm", "before"}, {"norm", "after"}), apart({"norm", "before"}, {"norm", "in"})
    (True, False)
    """
    return _exclude(mine, other, (*_EXCLUSIVE, *_APART))


def _exclude(mine: Set[str], other: Set[str], groups: Iterable[Set[str]]) -> bool:
    return any(mine & words and other & words and not mine & other & words for words in groups)
