"""Haiku: ``params[module][leaf]``, with the paths ``net/~/linear/w``; channels last.

Haiku's models are plain dictionaries: the params, or the pair (params, state) that
``hk.transform_with_state`` works on. Its module names hold a ``~`` for what was made in a
constructor; it counts for nothing when names are compared. Source:
https://dm-haiku.readthedocs.io/en/latest/api.html.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ml_switcheroo.errors import UsageError
from ml_switcheroo.ops import Array
from ml_switcheroo.recipes import Dropped, Live, Naming, Recipe, Target, part
from ml_switcheroo.tensors import spec_of
from ml_switcheroo.tree import Template

__all__ = ["TARGET"]

_NORM = (part("weight", "scale"), part("bias", "offset"))

KINDS: Mapping[str, Recipe] = {
    "linear": (part("weight", "w", "in out"), part("bias", "b")),
    "conv": (part("weight", "w", "*space in out"), part("bias", "b")),
    "batch_norm": (
        part("weight", "scale", "*1 channel"),
        part("bias", "offset", "*1 channel"),
        part("running_mean", "~/mean_ema/average", "*1 channel", collection="state"),
        part("running_var", "~/var_ema/average", "*1 channel", collection="state"),
        Dropped("num_batches_tracked", "Haiku's BatchNorm has a fixed decay and needs no count"),
    ),
    "layer_norm": _NORM,
    "group_norm": _NORM,
    "embedding": (part("weight", "embeddings"),),
    "parameter": (part("", ""),),
    "buffer": (part("", "", collection="state"),),
}

# Leaves that no other framework's trees have; a "/" in a module's name is as good.
_WORDS = frozenset({"w", "offset", "embeddings", "w_i", "w_h"})

# An ExponentialMovingAverage keeps its average, and beside it what it computes the next one from.
# An average that came from elsewhere stays as it is when it is also the hidden one, and the counter
# is so high that the bias correction, 1 - decay**counter, is 1.
_AVERAGE = frozenset({"average", "hidden", "counter"})
_SEEN = 2**30


def _owns(model: Any) -> bool:
    if "haiku" not in sys.modules:
        return False
    return _accepts(model) and any(
        "/" in module or _WORDS & set(leaves)
        for tree in (model if _is_pair(model) else (model,))
        for module, leaves in tree.items()
    )


def _accepts(model: Any) -> bool:
    return all(map(_is_tree, model if _is_pair(model) else (model,)))


def _is_pair(model: Any) -> bool:
    return isinstance(model, tuple | list) and len(model) == 2


def _is_tree(tree: Any) -> bool:
    return isinstance(tree, Mapping) and all(
        isinstance(module, str)
        and isinstance(leaves, Mapping)
        and all(hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in leaves.values())
        for module, leaves in tree.items()
    )


def _leaves(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path and value of each leaf, of the params first.

    Raises:
        UsageError: The params and the state both have a leaf of that path.
    """
    seen = set()
    for tree in model if _is_pair(model) else (model,):
        for module, leaves in tree.items():
            for name, leaf in leaves.items():
                path = f"{module}/{name}"
                if path in seen:
                    raise UsageError(f"the params and the state of this Haiku model both have {path}")
                seen.add(path)
                if not (set(leaves) == _AVERAGE and name != "average"):
                    yield path, leaf


def _template(model: Any) -> Template:
    return Template({path: spec_of(leaf) for path, leaf in _leaves(model)})


def _write(model: Any, leaves: Mapping[str, Array]) -> Any:
    if _is_pair(model):
        return tuple(_filled(tree, leaves) for tree in model)
    return _filled(model, leaves)


def _filled(tree: Any, leaves: Mapping[str, Array]) -> Any:
    return {
        module: {name: _value(module, name, leaf, set(own), leaves) for name, leaf in own.items()}
        for module, own in tree.items()
    }


def _value(module: str, name: str, leaf: Any, beside: set[str], leaves: Mapping[str, Array]) -> Any:
    import jax

    path = f"{module}/{name}"
    array: Any = leaves.get(path)
    if array is None and beside == _AVERAGE and f"{module}/average" in leaves:
        array = np.asarray(_SEEN) if name == "counter" else leaves[f"{module}/average"]
    if array is None:
        return leaf
    return jax.device_put(array.astype(leaf.dtype, copy=False), getattr(leaf, "sharding", None))


def _read(model: Any) -> Mapping[str, Array]:
    return {path: np.asarray(leaf) for path, leaf in _leaves(model)}


TARGET = Target(
    name="haiku",
    summary="Haiku params and state",
    kinds=KINDS,
    naming=Naming("/", join_digits=True),
    channels="last",
    live=Live(_owns, _template, _write, _read, immutable=True, accepts=_accepts),
)
