"""The layers and variables of a live Keras model, each with the path that its attributes give it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_switcheroo.errors import UsageError

__all__ = ["Nodes", "called", "check_built", "computing", "nodes", "variables_of"]

Nodes = Sequence[tuple[str, Any]]
"""Paths with their layers and variables."""


def nodes(layer: Any) -> Nodes:
    """Return the path and object of each layer, and then of each variable, every one once."""
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

    found = list(walk(layer, ""))
    seen |= _random(layer)
    return [*found, *((each.path, each) for each in layer.variables if id(each) not in seen)]


def _random(layer: Any) -> set[int]:
    """Return the ids of the states of the random generators, which are no weights."""
    inner = layer._flatten_layers()
    return {id(generator.state) for each in inner for generator in each._seed_generators}


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
        for name, child in _attributes(node).items():
            if isinstance(child, keras.Layer | keras.Variable):
                yield _word(name, child), child
            elif isinstance(child, list | tuple | Mapping) and not name.startswith("_"):
                yield name, child


def _attributes(layer: Any) -> Mapping[str, Any]:
    """Return the attributes of a layer; on the backend torch, a module of torch keeps its layers apart."""
    own = vars(layer)
    modules = own.get("_modules")
    return {**own, **modules} if isinstance(modules, dict) else own


def _word(attribute: str, child: Any) -> str:
    if not attribute.startswith("_"):
        return attribute
    return attribute.strip("_") if _is_numbered(child) else str(child.name)


def _is_numbered(child: Any) -> bool:
    """Tell whether Keras made the name up: the class in small letters, and a number."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(child).__name__)
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
    return re.fullmatch(rf"{re.escape(words)}(_\d+)?", child.name) is not None


def variables_of(model: Any, found: Nodes | None = None) -> dict[str, Any]:
    """Return the variables of a live model that are weights, by path.

    Args:
        model: The model.
        found: Its nodes; None to walk it.
    """
    import keras

    found, random = nodes(model) if found is None else found, _random(model)
    return {path: node for path, node in found if isinstance(node, keras.Variable) and id(node) not in random}


def computing(found: Nodes) -> Iterator[tuple[str, Any]]:
    """Yield the layers, and the operations by which functional models join them."""
    import keras

    for path, node in found:
        if isinstance(node, keras.Layer):
            yield path, node
        for operation in node.operations if isinstance(node, keras.Function) else ():
            if not isinstance(operation, keras.Layer):
                yield f"{path}/{operation.name}" if path else operation.name, operation


def check_built(found: Nodes) -> None:
    """Raise unless every layer has its variables.

    Raises:
        UsageError: Some have none yet; all of them are named.
    """
    import keras

    unbuilt = [
        f"{path or 'the model'} ({type(node).__name__})"
        for path, node in found
        if isinstance(node, keras.Layer) and not node.built and type(node).build is not keras.Layer.build
    ]
    if unbuilt:
        raise UsageError(
            f"not built, so without variables: {', '.join(unbuilt)}; call the Keras model once on an input,"
            " or its build(input_shape)"
        )


def called(model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a model; a functional one of several inputs takes them together, by their names."""
    inputs = getattr(model, "inputs", None) or ()
    if len(inputs) > 1 and len(inputs) == len(args) + len(kwargs):
        names = [one.name for one in inputs if one.name not in kwargs]
        return model({**dict(zip(names, args, strict=False)), **kwargs})
    return model(*args, **kwargs)
