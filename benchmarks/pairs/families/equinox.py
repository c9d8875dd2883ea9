"""Ports to Equinox with a converter of their own: esm2quinox, of the ESM2 of `fair-esm`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pair import Leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TO = "equinox"
PACKAGES = ("esm2quinox", "fair-esm", "equinox", "jax", "torch")
SIZES = {"": (3, 24, 4), "_square": (2, 20, 5), "_deep": (6, 16, 2)}


def pairs() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], list[Leaf]]]]:
    """Yield ESM2 in a few sizes."""
    for suffix, (layers, size, heads) in SIZES.items():
        yield f"esm2{suffix}", partial(_build, layers, size, heads), _convert


def _build(layers: int, size: int, heads: int) -> Any:
    import esm

    return esm.ESM2(num_layers=layers, embed_dim=size, attention_heads=heads)


def _convert(model: Any) -> list[Leaf]:
    import equinox
    import esm2quinox
    import jax

    converted = esm2quinox.from_torch(model)
    tree = jax.tree_util.tree_flatten_with_path(equinox.filter(converted, equinox.is_array))[0]
    return [
        Leaf(tuple(str(getattr(key, "name", getattr(key, "idx", key))) for key in keys), np.asarray(value))
        for keys, value in tree
    ]
