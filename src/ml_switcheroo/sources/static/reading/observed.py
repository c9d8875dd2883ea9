"""What each expression of a model's ``forward`` is: a tensor and its axes, a size, a module, a constant."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ml_switcheroo.code.library import Source
from ml_switcheroo.sources.static.python.classes import lineage
from ml_switcheroo.sources.static.python.counted import is_number
from ml_switcheroo.sources.static.python.frames import Class, Frame, Function, Super
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    Bound,
    Builtin,
    External,
    Instance,
    Maybe,
    Names,
    Partial,
    Repeat,
    Text,
    Value,
    known,
    options,
    same,
)
from ml_switcheroo.sources.static.torch.atoms import REST, Axis
from ml_switcheroo.sources.static.torch.images import long
from ml_switcheroo.sources.static.torch.storage import Storages
from ml_switcheroo.sources.static.torch.values import Size, Tensor

__all__ = ["NO_CONSTANT", "Expression", "Observed"]


class NoConstant:
    """Type of :data:`NO_CONSTANT`."""

    def __repr__(self) -> str:
        return "NO_CONSTANT"


NO_CONSTANT = NoConstant()
"""Stands for the constant of an expression that is none; None is one."""


@dataclass(frozen=True, slots=True)
class Expression:
    """What an expression is, every time that it is evaluated.

    Attributes:
        kinds: What it is: ``tensor``, ``size``, ``number``, ``string``, ``module`` ...; more than one where
            that depends on what nobody knows, ``unknown`` among them where it may be anything.
        rank: The number of axes of the tensors; None where it is unknown, or not always the same.
        axes: What each axis holds (``batch``, ``channel``, ``space``, ``step``, ``out`` ...), several in one
            axis with a space between; empty where that is unknown, or not always the same.
        shape: The size of each axis, None where it is unknown, or not always the same.
        constant: Its value, where that is always the same; NO_CONSTANT for any other.
        modules: The classes of the modules, by name, those of torch as ``Linear``.
        held_by: The names, besides the one that the expression is, that may hold a tensor with the same
            storage: ``y``, ``self.kept``, and ``x of forward`` where it is that of a caller.
        values: The values themselves, as the reader has them.
    """

    kinds: frozenset[str]
    rank: int | None = None
    axes: tuple[str, ...] = ()
    shape: tuple[int | None, ...] = ()
    constant: object = NO_CONSTANT
    modules: frozenset[str] = frozenset()
    held_by: frozenset[str] = frozenset()
    values: tuple[Value, ...] = ()

    @property
    def kind(self) -> str:
        """What it is; ``unknown`` where it may be several things."""
        return next(iter(self.kinds)) if len(self.kinds) == 1 else "unknown"


Place = tuple[Path, type, int, int, int | None, int | None]


@dataclass(slots=True)
class Observed:
    """An observer that keeps what it is told.

    Attributes:
        frames: The frames that expressions are being evaluated in.
        storages: Which tensors share their storage.
    """

    frames: Sequence[Frame] = ()
    storages: Storages = field(default_factory=Storages)
    _values: dict[Place, list[Value]] = field(default_factory=dict)
    _held: dict[Place, set[str]] = field(default_factory=dict)

    def __call__(self, node: ast.expr, value: Value) -> None:
        """Keep what an expression has come to."""
        if hasattr(node, "lineno") and self.frames:
            place = _place(node, self.frames[-1].source.path)
            kept = self._values.setdefault(place, [])
            if not any(same(value, one) for one in kept):
                kept.append(value)
            if storages := self.storages.of(value):
                self._held.setdefault(place, set()).update(self._holders(node, storages))

    def _holders(self, node: ast.expr, storages: frozenset[int]) -> Iterator[str]:
        """Yield the live names that hold one of some storages."""
        own = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        inner = self.frames[-1].function
        for frame in self.frames:
            function = frame.function
            outside = f" of {function.name}" if function is not None and function is not inner else ""
            held = dict(frame.names)
            if isinstance(frame.self_, Instance):
                held |= {f"self.{name}": one for name, one in frame.self_.attrs.items()}
            for name, value in held.items():
                if (name != own or outside) and not storages.isdisjoint(self.storages.of(value)):
                    yield f"{name}{outside}"

    def of(self, node: ast.expr, path: Path) -> Expression | None:
        """Return what an expression of a file is; None where it was never evaluated.

        Any tree of the same text will do: an expression is known by its place.
        """
        place = _place(node, path.resolve())
        return self._expression(place) if place in self._values else None

    def _expression(self, place: Place) -> Expression:
        return replace(expression_of(self._values[place]), held_by=frozenset(self._held.get(place, ())))

    def of_file(self, path: Path) -> Iterator[tuple[int, int, Expression]]:
        """Yield line, column (in bytes) and what is there of all expressions of a file, in order."""
        found = [place for place in self._values if place[0] == path.resolve()]
        for place in sorted(found, key=lambda place: place[2:4]):
            yield place[2], place[3], self._expression(place)


def _place(node: ast.expr, path: Path) -> Place:
    return path, type(node), node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def expression_of(values: Iterable[Value]) -> Expression:
    """Return what all of several values are."""
    each = tuple(one for value in values for one in options(value) if one is not ABSENT)
    tensors = [one for one in each if isinstance(one, Tensor)]
    axes, shape = _agreed([_axes(one) for one in tensors]), _agreed([_shape(one) for one in tensors])
    ranks = {None if one is None else len(one) for one in map(_sizes, tensors)}
    constants = [_constant(one) for one in each]
    single = bool(constants) and all(same(one, constants[0]) for one in constants[1:])
    return Expression(
        frozenset(map(kind_of, each)) or frozenset({"unknown"}),
        ranks.pop() if len(ranks) == 1 else None,
        tuple(one or "" for one in axes),
        shape,
        constants[0] if single else NO_CONSTANT,
        frozenset(_class_of(one) for one in each if isinstance(one, Instance) and kind_of(one) == "module"),
        values=each,
    )


_PLAIN: Mapping[type, str] = {
    bool: "bool",
    int: "number",
    float: "number",
    complex: "number",
    str: "string",
    Text: "string",
    bytes: "bytes",
    type(None): "none",
    tuple: "tuple",
    list: "list",
    set: "set",
    frozenset: "set",
    range: "range",
    slice: "slice",
    type(Ellipsis): "ellipsis",
    Size: "size",
    Names: "dict",
    Class: "class",
    Function: "function",
    Bound: "function",
    Builtin: "function",
    Partial: "function",
    Source: "file",
    Super: "super",
}


def kind_of(value: Value) -> str:
    """Return what a value is, in a word."""
    if type(value) in _PLAIN:
        return _PLAIN[type(value)]
    if isinstance(value, Tensor):
        return "tensor"
    if isinstance(value, dict):
        return "dict"
    if isinstance(value, Instance):
        return "module" if value.base or _is_module(value) else "object"
    if isinstance(value, External):
        return "class" if value.name.rpartition(".")[2].lstrip("_")[:1].isupper() else "function"
    if isinstance(value, Maybe | Repeat):
        return kind_of(value.value)
    return "size" if is_number(value) else "unknown"


def _is_module(value: Instance) -> bool:
    return any(isinstance(one, External) and one.name.startswith("torch.nn.") for one in lineage(value.cls))


def _class_of(value: Instance) -> str:
    return value.base if not isinstance(value.cls, Class) else value.cls.name


def _constant(value: Value) -> object:
    if isinstance(value, Size):
        size = long(value.atoms)
        return NO_CONSTANT if size is None else size
    return value if known(value) else NO_CONSTANT


def _sizes(tensor: Tensor) -> Sequence[object] | None:
    """Return as many things as a tensor has axes; None where that is unknown."""
    axes: tuple[Axis, ...] | None = tensor.axes
    if axes is not None:
        return axes if axes[:1] != ((REST,),) else None
    return tensor.shape


def _axes(tensor: Tensor) -> tuple[str | None, ...]:
    axes: tuple[Axis, ...] = tensor.axes or ()
    return tuple(" ".join(atom.role for atom in axis) for axis in axes) if _sizes(tensor) is axes else ()


def _shape(tensor: Tensor) -> tuple[int | None, ...]:
    axes: tuple[Axis, ...] = tensor.axes or ()
    if axes:
        return tuple(long(axis) for axis in axes) if _sizes(tensor) is axes else ()
    return tuple(size if isinstance(size, int) else None for size in tensor.shape or ())


def _agreed(found: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return what all say of each axis, None where they differ; empty where their numbers do."""
    if len({len(one) for one in found}) != 1:
        return ()
    return tuple(each[0] if len(set(each)) == 1 else None for each in zip(*found, strict=True))
