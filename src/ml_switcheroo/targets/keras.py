"""Keras 3 on any backend: ``block/conv/kernel``, channels last.

A path goes from attribute to attribute, as in PyTorch, because Keras numbers the names it gives
(``dense_3``) by what was made before in the same program. Where there is no public attribute it takes
the layer's own name: in a functional model, and in the layers of Keras itself. In a Sequential a layer
has the name that it was given, else its place. Source: https://keras.io/api/layers/.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.ops import Array
from ml_switcheroo.recipes import Dropped, Live, Naming, Recipe, Target, part
from ml_switcheroo.tensors import spec_of
from ml_switcheroo.tree import Template

__all__ = ["CLASSES", "TARGET"]

_NORM = (part("weight", "gamma"), part("bias", "beta"))

KINDS: Mapping[str, Recipe] = {
    "linear": (part("weight", "kernel", "in out"), part("bias", "bias")),
    "conv": (part("weight", "kernel", "*space in out"), part("bias", "bias")),
    "batch_norm": (
        *_NORM,
        part("running_mean", "moving_mean"),
        part("running_var", "moving_variance"),
        Dropped(
            "num_batches_tracked", "Keras's BatchNormalization has a fixed momentum and keeps no counter"
        ),
    ),
    "layer_norm": _NORM,
    "group_norm": _NORM,
    "embedding": (part("weight", "embeddings"),),
    "parameter": (part("", ""),),
    "buffer": (part("", ""),),
}

CLASSES: Mapping[str, str] = {
    "Dense": "linear",
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D"), "conv"),
    "BatchNormalization": "batch_norm",
    "LayerNormalization": "layer_norm",
    "GroupNormalization": "group_norm",
    "Embedding": "embedding",
}


def _owns(model: Any) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Layer)


def _nodes(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path and object of each layer, and then of each variable, every one once."""
    import keras

    seen: set[int] = set()

    def walk(node: Any, path: str) -> Iterator[tuple[str, Any]]:
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, keras.Layer | keras.Variable):
            yield path, node
        for word, child in _children(node):
            yield from walk(child, f"{path}/{word}" if path else word)

    yield from walk(layer, "")
    random = {id(state) for state in _random(layer)}
    for variable in layer.variables:
        if id(variable) not in seen | random:
            yield variable.path, variable


def _random(layer: Any) -> Iterator[Any]:
    """Yield the states of the random generators, which are no weights."""
    for inner in layer._flatten_layers():
        yield from (generator.state for generator in inner._seed_generators)


def _children(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield what lies directly below a layer, list or dictionary."""
    import keras

    if isinstance(node, list | tuple):
        yield from ((str(index), child) for index, child in enumerate(node))
    elif isinstance(node, Mapping):
        yield from ((str(key), child) for key, child in node.items())
    elif isinstance(node, keras.Layer):
        in_order = isinstance(node, keras.Sequential)
        if in_order or isinstance(node, keras.Function):
            for index, child in enumerate(node.layers):
                yield (str(index) if in_order and _is_numbered(child) else child.name), child
        for name, child in vars(node).items():
            if isinstance(child, keras.Layer | keras.Variable):
                yield _word(name, child), child
            elif isinstance(child, list | tuple | Mapping) and not name.startswith("_"):
                yield name, child


def _word(attribute: str, child: Any) -> str:
    if not attribute.startswith("_"):
        return attribute
    return attribute.strip("_") if _is_numbered(child) else str(child.name)


def _is_numbered(child: Any) -> bool:
    """Tell whether Keras made the name up: the class in small letters, and a number."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(child).__name__)
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
    return re.fullmatch(rf"{re.escape(words)}(_\d+)?", child.name) is not None


def _variables(model: Any) -> Mapping[str, Any]:
    import keras

    random = {id(state) for state in _random(model)}
    return {
        path: node
        for path, node in _nodes(model)
        if isinstance(node, keras.Variable) and id(node) not in random
    }


def _template(model: Any) -> Template:
    import keras

    _check_built(model)
    kinds, containers = {}, {}
    for path, node in _nodes(model):
        if isinstance(node, keras.Sequential):
            containers[path] = "sequential"
        known = [CLASSES[cls.__name__] for cls in type(node).__mro__ if _is_layer(cls)]
        if known:
            kinds[path] = known[0]
    specs = {path: spec_of(variable) for path, variable in _variables(model).items()}
    return Template(specs, kinds=kinds, containers=containers)


def _is_layer(cls: type) -> bool:
    return cls.__module__.startswith("keras.") and cls.__name__ in CLASSES


def _check_built(model: Any) -> None:
    """Raise unless every layer has its variables.

    Raises:
        UsageError: Some have none yet; all of them are named.
    """
    import keras

    unbuilt = [
        f"{path or 'the model'} ({type(node).__name__})"
        for path, node in _nodes(model)
        if isinstance(node, keras.Layer) and not node.built and type(node).build is not keras.Layer.build
    ]
    if unbuilt:
        raise UsageError(
            f"not built, so without variables: {', '.join(unbuilt)}; call the Keras model once on an input,"
            " or its build(input_shape)"
        )


def _write(model: Any, leaves: Mapping[str, Array]) -> Any:
    for path, variable in _variables(model).items():
        if path in leaves:
            variable.assign(leaves[path])
    return model


def _read(model: Any) -> Mapping[str, Array]:
    import keras

    return {path: keras.ops.convert_to_numpy(leaf.value) for path, leaf in _variables(model).items()}


TARGET = Target(
    name="keras",
    summary="Keras 3 models",
    kinds=KINDS,
    naming=Naming("/"),
    channels="last",
    aliases=("tensorflow",),
    live=Live(_owns, _template, _write, _read),
)
