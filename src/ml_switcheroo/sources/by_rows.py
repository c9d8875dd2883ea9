"""Modules whose tensors are those of a row of your own, where nobody says of which class they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations

from ml_switcheroo.layers import LAYERS, Layer
from ml_switcheroo.sources.findings import Finding

__all__ = ["ByRows", "read_rows"]

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(slots=True)
class ByRows:
    """What the names and shapes of a module's tensors say of rows of your own.

    Attributes:
        findings: By path of the module, where its tensors fit one row, and the axes in no other order.
        doubts: By its first tensor, where they fit a row and may lie otherwise, or fit several.
    """

    findings: dict[str, Finding] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)


def read_rows(shapes: Shapes) -> ByRows:
    """Look for modules with all the tensors of one row of your own, and no others.

    A name proves nothing about the order of the axes: shapes must, or it must not matter.

    Args:
        shapes: The shapes of all tensors, by name.
    """
    found = ByRows()
    rows = [layer for layer in LAYERS.values() if layer.own and layer.classes]
    for path, own in _modules(shapes) if rows else ():
        fitting = [row for row in rows if _has(row, own) and _sizes(row, own) is not None]
        if len(fitting) == 1 and _proven(fitting[0], own):
            row = fitting[0]
            found.findings[path] = Finding(
                row.kind, "evidence", f"{', '.join(own)}: as in the row of {_who(row)}"
            )
        elif fitting:
            kinds = " or ".join(f'Kind("{path}", "{row.kind}")' for row in fitting)
            rows_of = " and of ".join(map(_who, fitting))
            first = f"{path}.{next(iter(own))}" if path else next(iter(own))
            found.doubts[first] = (
                f"{path or 'the model'}: its tensors are those of the row of {rows_of}, and do not show how"
                f" they lie; if it is one, say so: {kinds}"
            )
    return found


def _who(row: Layer) -> str:
    return ", ".join(row.classes)


def _modules(shapes: Shapes) -> Iterator[tuple[str, dict[str, tuple[int, ...]]]]:
    """Yield each module that keeps tensors itself, with these."""
    modules: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        path, _, slot = name.rpartition(".")
        modules.setdefault(path, {})[slot] = shape
    yield from modules.items()


def _has(row: Layer, own: Shapes) -> bool:
    return set(row.slots) - row.optional <= own.keys() <= row.slots.keys()


def _sizes(row: Layer, own: Shapes) -> dict[str, int] | None:
    """Return the size of each axis; None where two tensors have different ones, or another rank."""
    sizes: dict[str, int] = {}
    for slot, shape in own.items():
        axes = row.slots[slot].split()
        if any(not axis.isalnum() for axis in axes):
            continue  # "*shape" takes any
        if len(axes) != len(shape):
            return None
        for axis, size in zip(axes, shape, strict=True):
            if sizes.setdefault(axis, int(axis) if axis.isdecimal() else size) != size:
                return None
    return sizes


def _proven(row: Layer, own: Shapes) -> bool:
    """Tell whether the axes can lie in no other order, or whether that makes no difference."""
    if not row.like:
        return True  # as they lie
    for slot, shape in own.items():
        if len(shape) > 1 and not row.slots[slot].replace(" ", "").isalnum():
            return False
        for order in list(permutations(range(len(shape))))[1:]:
            turned = {**own, slot: tuple(shape[axis] for axis in order)}
            if _sizes(row, turned) is not None:
                return False
    return True
