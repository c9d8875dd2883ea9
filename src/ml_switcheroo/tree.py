"""The target's side: a template of paths and shapes, from a live model, a tree or a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ml_switcheroo.computed import Computed, Pool
from ml_switcheroo.errors import UsageError, cannot_read, described
from ml_switcheroo.tensors import DTYPES, TensorSpec, spec_of

__all__ = [
    "Template",
    "flatten",
    "is_records",
    "is_shape",
    "template_of_file",
    "template_of_records",
    "template_of_tree",
]


@dataclass(frozen=True, slots=True)
class Template:
    """What a target model consists of, before anything is written into it.

    Attributes:
        specs: The leaves, by path.
        untyped: Leaves whose dtype is unknown.
        unasked: Leaves whose dtype is the framework's default because it cannot be chosen: the layers of MLX
            take none. The narrower floats of a checkpoint stay as they are, as MLX's own loader leaves them.
        kinds: Kinds of modules that the live model's types prove, by path.
        containers: Which modules are a ``sequential``, by path: its children's indices are those
            of PyTorch's Sequential.
        axes: Names of the axes of leaves that say them (penzai, haliax), by path.
        attributes: Plain attributes of the live model's layers, by path and by the target's names.
        computed: What the modules of the live model compute without weights, by path.
        pools: The pools of the live model, by path and in order.
        own: The class of modules that are none of the framework's own layers, by path.
        held: The objects of the live model that hold the leaves, by path, where its target can fill them.
    """

    specs: Mapping[str, TensorSpec]
    untyped: frozenset[str] = frozenset()
    unasked: frozenset[str] = frozenset()
    kinds: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    containers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    axes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    computed: Mapping[str, tuple[Computed, ...]] = field(default_factory=lambda: MappingProxyType({}))
    pools: Mapping[str, Pool] = field(default_factory=lambda: MappingProxyType({}))
    own: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    held: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)


def flatten(tree: Any, separator: str = ".") -> Iterator[tuple[str, Any]]:
    """Walk nested mappings, lists and tuples; yield the path and value of each leaf.

    >>> list(flatten({"a": [1, {"b": 2}]}))
    [('a.0', 1), ('a.1.b', 2)]
    """
    if isinstance(tree, Mapping):
        children: list[tuple[str, Any]] = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list | tuple) and not is_shape(tree):
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
        if not hasattr(leaf, "shape") and not is_shape(leaf):
            raise UsageError(f"like=: {path or 'the tree'} is {described(leaf)}, not an array or a shape")
        specs[path] = spec_of(leaf)
        if is_shape(leaf):
            untyped.add(path)
    return Template(specs, untyped=frozenset(untyped))


def template_of_records(records: Sequence[Mapping[str, Any]]) -> Template:
    """Make a template of a list of leaves, such as a spec file holds.

    >>> spec = template_of_records([{"path": "fc/kernel", "shape": [2, 3], "dtype": "float32"}])
    >>> spec.specs
    {'fc/kernel': float32[2,3]}

    Raises:
        UsageError: A record has no path or no shape, or a dtype that is unknown.
    """
    specs, axes, untyped = {}, {}, set()
    for number, record in enumerate(records):
        path, shape, dtype = record.get("path"), record.get("shape"), record.get("dtype")
        if not isinstance(path, str) or not is_shape(shape):
            raise UsageError(f"like=: leaf {number} has no path or no shape: {dict(record)}")
        if dtype is not None and dtype not in DTYPES:
            raise UsageError(f"like=: {path}: dtype {dtype} is not one of: {', '.join(DTYPES)}")
        specs[path] = TensorSpec(tuple(shape or ()), dtype or "float32")
        if dtype is None:
            untyped.add(path)
        if record.get("axis_names"):
            axes[path] = tuple(map(str, record["axis_names"]))
    return Template(specs, untyped=frozenset(untyped), axes=axes)


def template_of_file(path: str | Path, separator: str = ".") -> Template:
    """Read a template from a JSON file: a list of leaves (path, shape, dtype), or a tree of shapes.

    Raises:
        UsageError: The file cannot be read, or is neither.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"like={path}: {cannot_read(path, error)}", where=path) from error
    except json.JSONDecodeError as error:
        cure = "A spec is JSON: a list of leaves, or a tree of shapes. A model is named as port.py:make."
        raise UsageError(f"like={path}: no JSON: {error}", where=path, cure=cure) from error
    return template_of_records(found) if is_records(found) else template_of_tree(found, separator)


def is_records(value: Any) -> bool:
    """Tell whether a value is a list of leaves, each with its path."""
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(isinstance(record, Mapping) and "path" in record and "shape" in record for record in value)
    )


def is_shape(value: Any) -> bool:
    """Tell whether a value is a list or tuple of whole numbers."""
    return isinstance(value, list | tuple) and all(isinstance(size, int) for size in value)
