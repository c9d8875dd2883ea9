"""Flax NNX: attribute paths, ``blocks.0.fc1.kernel``.

Source: https://flax.readthedocs.io/en/stable/api_reference/flax.nnx/.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ml_switcheroo.ops import Array
from ml_switcheroo.recipes import Live, Naming, Target
from ml_switcheroo.targets.flax_kinds import KINDS
from ml_switcheroo.tensors import TensorSpec, spec_of
from ml_switcheroo.tree import Template

__all__ = ["CLASSES", "TARGET"]

CLASSES: Mapping[str, str] = {
    "Linear": "linear",
    "Conv": "conv",
    "BatchNorm": "batch_norm",
    "LayerNorm": "layer_norm",
    "GroupNorm": "group_norm",
    "Embed": "embedding",
}


def _owns(model: Any) -> bool:
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(model, nnx.Module)


def _variables(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path and the Variable of each leaf that is no random state."""
    from flax import nnx

    for path, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Variable) and not isinstance(node, nnx.RngState):
            yield ".".join(map(str, path)), node


def _template(model: Any) -> Template:
    from flax import nnx

    kinds, containers = {}, {}
    for path, node in nnx.iter_graph(model):
        name = ".".join(map(str, path))
        if isinstance(node, nnx.Sequential):
            containers[name] = "sequential"
        elif isinstance(node, nnx.Module):
            known = [CLASSES[cls.__name__] for cls in type(node).__mro__ if _is_layer(cls)]
            if known:
                kinds[name] = known[0]
    specs = {path: _spec(variable) for path, variable in _variables(model)}
    return Template(specs, kinds=kinds, containers=containers)


def _is_layer(cls: type) -> bool:
    return cls.__module__.startswith("flax.nnx") and cls.__name__ in CLASSES


def _spec(variable: Any) -> TensorSpec:
    return spec_of(variable.get_value())


def _write(model: Any, leaves: Mapping[str, Array]) -> Any:
    import jax

    for path, variable in list(_variables(model)):
        if path in leaves:
            now = variable.get_value()
            variable.set_value(jax.device_put(leaves[path].astype(now.dtype, copy=False), now.sharding))
    return model


def _read(model: Any) -> Mapping[str, Array]:
    return {path: np.asarray(variable.get_value()) for path, variable in _variables(model)}


TARGET = Target(
    name="nnx",
    summary="Flax NNX modules",
    kinds=KINDS,
    naming=Naming(sequential="layers"),
    channels="last",
    aliases=("flax",),
    live=Live(_owns, _template, _write, _read),
)
