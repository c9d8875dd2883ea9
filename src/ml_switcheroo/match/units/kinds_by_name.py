"""What the name of a tensor, of its module or of its class says of the kind."""

from __future__ import annotations

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.match.paths.vocabulary import LEAF_SLOTS
from ml_switcheroo.match.paths.words import meaning, segment_tokens
from ml_switcheroo.match.units.unit import ANY

__all__ = ["kind_of_class", "kinds_of_leaf", "kinds_of_words", "plain_kind"]


def plain_kind(kind: str) -> str | None:
    """Return the kind that is matched for a kind of layer; None for one with a recipe of its own."""
    return (LAYERS[kind].matched or None) if kind in LAYERS else None


def kind_of_class(name: str) -> str | None:
    """Return what the name of a class says: authors call their own norms ``...RMSNorm``.

    >>> kind_of_class("Qwen3RMSNorm"), kind_of_class("BartScaledWordEmbedding"), kind_of_class("Mlp")
    ('norm', 'embedding', None)
    """
    words = segment_tokens(name)
    if "norm" in meaning(words):
        return "norm"
    last = next((word for word in reversed(words) if isinstance(word, str)), "")
    return {"linear": "linear", "embedding": "embedding"}.get(last)


def kinds_of_leaf(path: str, rank: int) -> frozenset[str]:
    """Return what a leaf's own name and rank leave possible."""
    leaf = path.replace(".", "/").rpartition("/")[2]
    slot, kinds = LEAF_SLOTS.get(leaf, ("", frozenset()))
    if slot == "weight" and kinds:
        return kinds
    return kinds or kinds_of_words(path, rank)


def kinds_of_words(path: str, rank: int) -> frozenset[str]:
    """Return what words and rank leave possible, where nothing else is known."""
    segments = path.replace("/", ".").split(".")
    owner = meaning(segment_tokens(segments[-2])) if len(segments) > 1 else ()
    leaf = segments[-1]
    slot = LEAF_SLOTS.get(leaf, ("parameter", None))[0]
    if slot == "parameter":
        return ANY
    if "norm" in owner:
        return frozenset({"norm"})
    if slot != "weight":
        return ANY
    if rank <= 1:
        return frozenset({"norm", "parameter"})
    if rank == 2:
        return frozenset({"linear", "embedding", "parameter"})
    return frozenset({"conv", "linear", "parameter"})
