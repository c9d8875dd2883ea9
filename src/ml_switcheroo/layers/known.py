"""All rows of the table, and the kinds of their classes: those that come along, and rows of your own.

A row of your own (:func:`register_layer`) says that a class which is not torch's is of a kind of the table,
under the same names of its slots or under others; or it is a kind of its own, whose tensors are moved as they
lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.layers.argument import Argument
from ml_switcheroo.layers.layer import Layer
from ml_switcheroo.layers.table import TABLE
from ml_switcheroo.layers.without import COMPOSITES, STATELESS
from ml_switcheroo.offered import load_offered, offered_as

__all__ = [
    "BASE_OF_CLASS",
    "ELSEWHERE",
    "ENTRY_POINTS",
    "KIND_OF_CLASS",
    "LAYERS",
    "OWN",
    "attends",
    "base_of",
    "is_alone",
    "layers_from",
    "load_offered_layers",
    "own_class",
    "own_name",
    "register_layer",
    "tracks",
]

ENTRY_POINTS = "ml_switcheroo.layers"
"""The entry-point group in which other packages offer rows: ``name = "package.module:ROWS"``."""

_LAYERS = dict(TABLE)
_KINDS = {name: layer.kind for layer in TABLE.values() for name in layer.classes}
_BASES = dict(_KINDS)
_OWN: dict[str, Layer] = {}

LAYERS: Mapping[str, Layer] = _LAYERS
"""The rows by kind."""

KIND_OF_CLASS: Mapping[str, str] = _KINDS
"""The kind of each class: torch's by their bare names, your own by the names that :func:`own_class` gives."""

BASE_OF_CLASS: Mapping[str, str] = _BASES
"""For each class the kind of the table that it is."""

ELSEWHERE: frozenset[str] = frozenset(
    f"{row.package}.{name}" for row in TABLE.values() if row.package != "torch.nn" for name in row.classes
)
"""The classes of the table that are not torch's, by their full names."""

OWN: Mapping[str, Layer] = _OWN
"""For each class of your own the row that has been given for it."""


def register_layer(row: Layer) -> Layer:
    """Add a row for classes that are not torch's; for a class of a kind that is there, name that kind.

    An installed package offers rows by the entry-point group ``ml_switcheroo.layers``; a project has them in
    its ``pyproject.toml``, as ``[[tool.ml-switcheroo.layers]]``.

    Args:
        row: The row. ``package`` is where the classes are defined, with all that is below it; without one
            they are known by their bare names. ``slots`` are those of the class's own state dict.

    Raises:
        UsageError: A class has another row already, or the slots are none of the kind that is named.
    """
    package = "" if row.package == "torch.nn" else row.package
    keys = [f"{package}.{name}" if package else name for name in row.classes]
    if keys and all(_OWN.get(key) == row for key in keys):
        return row
    _check(row, keys)
    new = _LAYERS[row.kind] = _whole(row, keys)
    if new.own and new.turned:
        _LAYERS[new.turned] = _twin(new)
    for key in keys:
        _KINDS[key], _BASES[key], _OWN[key] = row.kind, new.base, row
    return row


def _whole(row: Layer, keys: list[str]) -> Layer:
    """Return the row of a kind with more classes, or a new one with the facts of the kind that it is."""
    known, base = LAYERS.get(row.kind), LAYERS.get(row.like)
    if known is not None:
        arguments = dict.fromkeys(keys, row.arguments) if row.arguments else {}
        return replace(known, classes=(*known.classes, *keys), otherwise={**known.otherwise, **arguments})
    if base is None:
        return replace(row, classes=tuple(keys), matched=row.matched or "parameter", own=True)
    return replace(
        base,
        kind=row.kind,
        classes=tuple(keys),
        slots=row.slots,
        arguments=row.arguments or tuple(_under(row, one) for one in base.arguments),
        left_out=frozenset(map(row.own_name, base.left_out)),
        package=row.package,
        otherwise={},
        turned=f"{row.kind}_turned" if base.turned else "",
        like=row.like,
        renamed=row.renamed,
        own=True,
    )


def _twin(row: Layer) -> Layer:
    """Return the row of what a class is whose ``forward`` shows that its matrix lies the other way round."""
    other = TABLE[TABLE[row.like].turned]
    slots = {row.own_name(slot): axes for slot, axes in other.slots.items()}
    return replace(row, kind=row.turned, classes=(), slots=slots, like=other.kind, turned=row.kind)


def _under(row: Layer, argument: Argument) -> Argument:
    """Return an argument that switches slots under the names that a row has for them."""
    return replace(argument, switches=tuple(map(row.own_name, argument.switches)))


def own_class(module: str, name: str) -> str:
    """Return the name of a class of your own in :data:`KIND_OF_CLASS`; empty where it has no row.

    Args:
        module: The module that defines the class; empty where a person has given the bare name.
        name: Its name.

    Raises:
        UsageError: A bare name means classes of several packages.
    """
    found = [key for key in _OWN if key.rpartition(".")[2] == name and _is_in(module, key.rpartition(".")[0])]
    if not module and len(found) > 1:
        raise UsageError(f"{name} is a class of several rows: {', '.join(sorted(found))}; give its full name")
    return max(found, key=len, default="")


def is_alone(kind: str) -> bool:
    """Tell whether tensors of a kind are no layer's: parameters and buffers that a class keeps by itself.

    >>> is_alone("buffer"), is_alone("linear")
    (True, False)
    """
    return kind in LAYERS and LAYERS[kind].alone


def tracks(kind: str) -> bool:
    """Tell whether a kind keeps running statistics.

    >>> tracks("batch_norm"), tracks("layer_norm")
    (True, False)
    """
    return kind in LAYERS and LAYERS[kind].own_name("running_mean") in LAYERS[kind].slots


def attends(kind: str) -> bool:
    """Tell whether a kind is an attention; what is no kind of layer is none.

    >>> attends("mha"), attends("max_pool")
    (True, False)
    """
    return kind in LAYERS and LAYERS[kind].attends


def own_name(cls: str, slot: str) -> str:
    """Return what a class calls a slot of the kind that it is.

    >>> own_name("Linear", "weight")
    'weight'
    """
    return LAYERS[KIND_OF_CLASS[cls]].own_name(slot) if cls in KIND_OF_CLASS else slot


def base_of(kind: str) -> str:
    """Return the kind of the table that a kind of your own is like; any other word as it is.

    >>> base_of("linear"), base_of("norm")
    ('linear', 'norm')
    """
    return LAYERS[kind].base if kind in LAYERS else kind


def _is_in(module: str, package: str) -> bool:
    if module.partition(".")[0] == "torch":
        return False
    return not (module and package) or f"{module}.".startswith(f"{package}.")


def load_offered_layers() -> None:
    """Take in what installed packages offer, once.

    Raises:
        UsageError: A package offers what cannot be imported, is no row, or clashes with another row.
    """
    for row in _offered():
        register_layer(row)


@cache
def _offered() -> tuple[Layer, ...]:
    rows: list[Layer] = []
    for point in entry_points(group=ENTRY_POINTS):
        offered = load_offered(point, "layers")
        listed = (offered,) if isinstance(offered, Layer) or not isinstance(offered, Iterable) else offered
        rows += [offered_as(Layer, row, point, "layers") for row in listed]
    return tuple(rows)


_TEXTS, _MAPS = ("kind", "package", "like"), ("slots", "renamed")
_KEYS = {*_TEXTS, *_MAPS, "classes", "left_out"}


def layers_from(records: Any, where: str) -> list[Layer]:
    """Return the rows that a file has as ``[[tool.ml-switcheroo.layers]]``.

    Raises:
        UsageError: One has a key that is unknown or lacking, or a value of another type.
    """
    rows = []
    for record in records if isinstance(records, list) else [records]:
        if not _is_record(record):
            raise UsageError(
                f"{where}: a layer has kind, classes (a list of names), slots (each with its axes), and may"
                f" have package, like, renamed and left_out; not {record!r}"
            )
        lists = {"classes": tuple(record["classes"]), "left_out": frozenset(record.get("left_out", ()))}
        rows.append(Layer(**{"package": "", **record, **lists}))
    return rows


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict) or set(record) - _KEYS or not {"kind", "classes"} <= set(record):
        return False
    lists = [record["classes"], record.get("left_out", [])]
    return (
        all(isinstance(record.get(key, ""), str) for key in _TEXTS)
        and all(_is_of_texts(record.get(key, {})) for key in _MAPS)
        and all(isinstance(one, list) and all(isinstance(word, str) for word in one) for one in lists)
    )


def _is_of_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


# What a row must agree with ----------------------------------------------------------------


def _check(row: Layer, keys: list[str]) -> None:
    who = f"the row of {', '.join(keys) or row.kind}"
    if not keys or not row.kind.isidentifier():
        raise UsageError(f"{who}: a row needs a kind, which is one word, and classes")
    dotted = [slot for slot in row.slots if "." in slot and row.kind not in LAYERS]
    if dotted:
        raise UsageError(
            f"{who}: {', '.join(dotted)}: a child module is a layer itself; give slots of its own"
        )
    for key in keys:
        if key in KIND_OF_CLASS or key in STATELESS or key in COMPOSITES:
            what = f"of the kind {KIND_OF_CLASS[key]}" if key in KIND_OF_CLASS else "one of torch.nn"
            cure = "delete one of the two rows" if key in OWN else "say its package"
            raise UsageError(f"{who} says {row.kind}, but {key} is {what} already: {cure}")
    if row.kind in LAYERS:
        if row.like or row.renamed:
            raise UsageError(f"{who}: the kind {row.kind} is there already; like= needs another name")
        _agrees(who, row.slots, LAYERS[row.kind])
    elif not row.slots:
        raise UsageError(f"{who}: {row.kind} is a kind of its own, so the row needs slots")
    else:
        _check_like(who, row)


def _check_like(who: str, row: Layer) -> None:
    """Raise where a row of a kind of its own is not like the kind that it names."""
    if row.like and row.like not in TABLE:
        raise UsageError(f"{who}: like={row.like!r} is no kind of the table: {', '.join(TABLE)}")
    strange = [name for name in row.renamed.values() if name not in row.slots]
    if strange or (row.renamed and not row.like):
        raise UsageError(
            f"{who}: renamed= names slots of like={row.like!r} and what they are called here:"
            f" {dict(row.renamed)}; its slots are {', '.join(row.slots)}"
        )
    if row.like:
        theirs = {ours: slot for slot, ours in row.renamed.items()}
        slots = {theirs.get(slot, slot): axes for slot, axes in row.slots.items()}
        _agrees(who, slots, TABLE[row.like])


def _agrees(who: str, slots: Mapping[str, str], kind: Layer) -> None:
    """Raise where slots are none of a kind, or have other axes there."""
    odd = [
        f"{slot} ({axes!r}; there {kind.slots.get(slot, 'none')!r})"
        for slot, axes in slots.items()
        if kind.slots.get(slot) != axes
    ]
    if odd:
        fits = [other.kind for other in TABLE.values() if slots.items() <= other.slots.items()]
        cure = f"; they are those of {', '.join(fits)}" if fits else ""
        raise UsageError(f"{who}: its slots are not those of the kind {kind.kind}: {', '.join(odd)}{cure}")
