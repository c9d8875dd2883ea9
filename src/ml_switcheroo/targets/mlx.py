"""MLX: dotted names, PyTorch's words, channels last.

Source: https://ml-explore.github.io/mlx/build/html/python/nn/layers.html.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ml_switcheroo.ops import Array
from ml_switcheroo.recipes import Dropped, Live, Naming, Recipe, Target, part
from ml_switcheroo.tensors import DTYPES, dtype_of, spec_of
from ml_switcheroo.tree import Template

__all__ = ["CLASSES", "TARGET"]

_NORM = (part("weight", "weight"), part("bias", "bias"))

KINDS: Mapping[str, Recipe] = {
    "linear": (part("weight", "weight"), part("bias", "bias")),
    "conv": (part("weight", "weight", "out *space in"), part("bias", "bias")),
    "batch_norm": (
        *_NORM,
        part("running_mean", "running_mean"),
        part("running_var", "running_var"),
        Dropped("num_batches_tracked", "MLX's BatchNorm has a fixed momentum and keeps no counter"),
    ),
    "layer_norm": _NORM,
    "group_norm": _NORM,
    "embedding": (part("weight", "weight"),),
    "parameter": (part("", ""),),
    "buffer": (part("", ""),),
}

CLASSES: Mapping[str, str] = {
    "Linear": "linear",
    **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d"), "conv"),
    "BatchNorm": "batch_norm",
    "LayerNorm": "layer_norm",
    "GroupNorm": "group_norm",
    "Embedding": "embedding",
}


def _owns(model: Any) -> bool:
    nn = sys.modules.get("mlx.nn")
    return nn is not None and isinstance(model, nn.Module)


def _leaves(model: Any) -> Mapping[str, Any]:
    from mlx.utils import tree_flatten

    return dict(tree_flatten(model.parameters()))


def _template(model: Any) -> Template:
    from mlx import nn

    kinds, containers = {}, {}
    for path, module in model.named_modules():
        if isinstance(module, nn.Sequential):
            containers[path] = "sequential"
        known = [CLASSES[cls.__name__] for cls in type(module).__mro__ if _is_layer(cls)]
        if known:
            kinds[path] = known[0]
    specs = {path: spec_of(leaf) for path, leaf in _leaves(model).items()}
    return Template(specs, kinds=kinds, containers=containers)


def _is_layer(cls: type) -> bool:
    return cls.__module__.startswith("mlx.nn.") and cls.__name__ in CLASSES


def _write(model: Any, leaves: Mapping[str, Array]) -> Any:
    now = _leaves(model)
    model.load_weights(
        [(path, _to_mlx(array, now[path])) for path, array in leaves.items() if path in now], strict=False
    )
    return model


def _to_mlx(array: Array, like: Any) -> Any:
    """Return the array as MLX's, in the dtype of the leaf it replaces; bfloat16 goes through as bits."""
    import mlx.core as mx

    array = np.ascontiguousarray(array.astype(DTYPES[dtype_of(like)].numpy, copy=False))
    if like.dtype == mx.bfloat16:
        return mx.array(array.view(np.uint16)).view(mx.bfloat16)
    return mx.array(array)


def _from_mlx(leaf: Any) -> Array:
    import mlx.core as mx

    if leaf.dtype == mx.bfloat16:
        return np.array(leaf.view(mx.uint16)).view(DTYPES["bfloat16"].numpy)
    return np.array(leaf)


def _read(model: Any) -> Mapping[str, Array]:
    return {path: _from_mlx(leaf) for path, leaf in _leaves(model).items()}


TARGET = Target(
    name="mlx",
    summary="MLX modules",
    kinds=KINDS,
    naming=Naming(sequential="layers"),
    channels="last",
    live=Live(_owns, _template, _write, _read),
)
