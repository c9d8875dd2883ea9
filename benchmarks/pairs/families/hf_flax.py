"""The Flax classes of transformers 4.57, which load PyTorch checkpoints (`from_pt=True`)."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from configs import of_transformers
from pair import Leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TO = "linen"
PACKAGES = ("transformers", "flax", "jax", "torch")


def pairs() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], list[Leaf]]]]:
    """Yield each class that PyTorch and Flax both have."""
    for name, build, flax_class in of_transformers("Flax", "modeling_flax_auto", "FLAX"):
        yield name, build, partial(_convert, flax_class)


def _convert(flax_class: Any, model: Any) -> list[Leaf]:
    from flax.traverse_util import flatten_dict

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, safe_serialization=False)  # with both names of what is tied
        converted = flax_class.from_pretrained(folder, from_pt=True)
    tree = flatten_dict(converted.params)
    named = {keys[0] for keys in tree} <= {"params", "batch_stats"}
    return [
        Leaf(tuple(map(str, keys)), np.asarray(value), keys[0] if named else "params")
        for keys, value in sorted(tree.items())
    ]
