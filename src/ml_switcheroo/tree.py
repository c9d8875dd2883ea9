"""The target's side: a template of paths and shapes, from a live model, a tree or a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.tensors import TensorSpec, spec_of

__all__ = ["Template", "flatten", "template_of_tree"]


@dataclass(frozen=True, slots=True)
class Template:
    """What a target model consists of, before anything is written into it.

    Attributes:
        specs: The leaves, by path.
        untyped: Leaves of which only the shape is known.
        kinds: Kinds of modules that the live model's types prove, by path.
        containers: Which modules are a ``sequential``, by path: its children's indices are those
            of PyTorch's Sequential.
    """

    specs: Mapping[str, TensorSpec]
    untyped: frozenset[str] = frozenset()
    kinds: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    containers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def flatten(tree: Any, separator: str = ".") -> Iterator[tuple[str, Any]]:
    """Walk nested mappings, lists and tuples; yield the path and value of each leaf.

    >>> list(flatten({"a": [1, {"b": 2}]}))
    [('a.0', 1), ('a.1.b', 2)]
    """
    if isinstance(tree, Mapping):
        children: list[tuple[str, Any]] = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list | tuple) and not _is_shape(tree):
        children = [(str(index), value) for index, value in enumerate(tree)]
    else:
        yield "", tree
        return
    for key, value in children:
        for rest, leaf in flatten(value, separator):
            yield (f"{key}{separator}{rest}" if rest else key), leaf


def template_of_tree(tree: Any, separator: str = ".") -> Template:
    """Make a template of a nested tree of arrays, ``ShapeDtypeStruct`` or shapes.

    Raises:
        UsageError: A leaf has no shape; the error names its path.
    """
    specs, untyped = {}, set()
    for path, leaf in flatten(tree, separator):
        if not hasattr(leaf, "shape") and not _is_shape(leaf):
            raise UsageError(
                f"like=: {path or 'the tree'} is a {type(leaf).__name__}, not an array or a shape"
            )
        specs[path] = spec_of(leaf)
        if _is_shape(leaf):
            untyped.add(path)
    return Template(specs, frozenset(untyped))


def _is_shape(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(size, int) for size in value)
