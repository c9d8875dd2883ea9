"""Where an attribute of a live layer is not what the constructor argument in PyTorch says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ml_switcheroo.computed import PAD, Computed
from ml_switcheroo.differences.padding import OURS, THEIRS, said_of_padding
from ml_switcheroo.layers import LAYERS, base_of
from ml_switcheroo.moves import Move
from ml_switcheroo.recipes import Difference, Lack, Padding, Target
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tree import Template

__all__ = ["Pads", "by_attributes", "listed", "said_of"]

SHOWN = 3


def by_attributes(
    target: Target,
    template: Template,
    moves: Iterable[Move],
    findings: Mapping[str, Finding],
    there: Mapping[str, tuple[Computed, ...]] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Compare the attributes of live modules with the constructor arguments in PyTorch; one note for each.

    Args:
        target: The target, whose ``differences`` say what is compared.
        template: The live model, with the attributes of its modules.
        moves: The moves: they tell which module of the target stands for which in PyTorch.
        findings: What is known of the module of each source tensor.
        there: What PyTorch's modules compute, by path.
    """
    pads = Pads.of(target, template, there)
    found: dict[str, list[str]] = {}
    for move in moves:
        finding = findings.get(move.sources[0]) if move.sources else None
        if finding is None:
            continue
        kind = base_of(finding.kind)
        module, attributes = _module(move, kind, target, template)
        for entry in target.differences.get(kind, ()):
            text = said_of(entry, finding, attributes)
            made_up = text and pads.make_up(text, move.leaves[0], move.sources[0])
            if text and not made_up and module not in found.setdefault(text, []):
                found[text].append(module)
    return tuple(f"{text}: {listed(modules)}" for text, modules in found.items())


@dataclass(frozen=True, slots=True)
class Pads:
    """What the paths begin with of all that stands in or beside a module that pads.

    Attributes:
        ours: In the target.
        theirs: In PyTorch's model.
    """

    ours: frozenset[str]
    theirs: frozenset[str]

    @classmethod
    def of(cls, target: Target, template: Template, there: Mapping[str, tuple[Computed, ...]]) -> Pads:
        """Read it from what the modules of both compute."""
        return cls(_padding(template.computed, target.naming.separator), _padding(there, "."))

    def make_up(self, text: str, ours: str, theirs: str) -> bool:
        """Tell whether the pads may make up for the difference of a note, of what has these paths."""
        sides = ((OURS, self.ours, ours), (THEIRS, self.theirs, theirs))
        who = next((side for side in sides if side[0] in text), None)
        return who is not None and any(who[2].startswith(start) for start in who[1])


def _padding(words: Mapping[str, tuple[Computed, ...]], separator: str) -> frozenset[str]:
    above = (path.rpartition(separator)[0] for path, own in words.items() if PAD in own)
    return frozenset(f"{path}{separator}" if path else "" for path in above)


def _module(move: Move, kind: str, target: Target, template: Template) -> tuple[str, Mapping[str, Any]]:
    """Return the live module of that kind (or its cell) above the first leaf of a move."""
    path = move.leaves[0] if move.leaves else ""
    while path:
        path = path.rpartition(target.naming.separator)[0]
        if template.kinds.get(path) in (kind, f"{kind}_cell"):
            return path, template.attributes.get(path, {})
    return "", {}


def said_of(entry: Difference | Padding | Lack, finding: Finding, attributes: Mapping[str, Any]) -> str:
    """Say how an attribute differs; empty where it does not, or where a side is not known."""
    if isinstance(entry, Lack):
        return ""
    if isinstance(entry, Padding):
        return said_of_padding(entry, finding, attributes)
    if entry.attribute not in attributes:
        return ""
    real = attributes[entry.attribute]
    real = entry.nothing if real is None else real
    head = f"{finding.kind}: {entry.attribute} is {real} in the target"
    if not entry.arg:
        expected = entry.convert(None)
        return "" if _same(real, expected) else f"{head}, always {expected} in PyTorch"
    defaults = _defaults(finding.kind)
    stated = entry.arg in finding.args
    written = "written" in finding.args  # by a class of the user's own, which has no defaults of torch's
    if not stated and (written or entry.arg not in defaults):
        return ""
    value = finding.args[entry.arg] if stated else defaults[entry.arg]
    if value is None:
        return f"{head}, {entry.arg} is None in PyTorch: the average of all batches"
    expected = entry.convert(value)
    if _same(real, expected):
        return ""
    there = "" if expected == value else f" ({entry.attribute} {expected:g} there)"
    return f"{head}, {entry.arg} is {value}{'' if stated else ' by default'} in PyTorch{there}"


def _defaults(kind: str) -> dict[str, Any]:
    """Return torch's defaults; none for what has no weights, whose arguments are all there."""
    layer = LAYERS.get(kind)
    # What the shapes of the weights go by has no default as long as nothing is known of the code.
    sizes = set(layer.sizes.values()) if layer is not None else set()
    return {key: value for key, value in (layer.defaults if layer else {}).items() if key not in sizes}


def _same(real: Any, expected: Any) -> bool:
    if isinstance(real, list | tuple) or isinstance(expected, list | tuple):
        return _same_axes(real, expected)
    if isinstance(real, float) and isinstance(expected, int | float):
        return math.isclose(real, expected, rel_tol=1e-6)
    return bool(real == expected)


def _same_axes(real: Any, expected: Any) -> bool:
    """Compare numbers for each axis; one number, or a tuple of one, stands for all of them."""
    sides = [list(side) if isinstance(side, list | tuple) else [side] for side in (real, expected)]
    axes = max(map(len, sides))
    first, second = (side * axes if len(side) == 1 else side for side in sides)
    return first == second


def listed(modules: Sequence[str]) -> str:
    """Name the first modules, and how many more there are."""
    more = f" and {len(modules) - SHOWN} more" if len(modules) > SHOWN else ""
    return ", ".join(module or "the model" for module in modules[:SHOWN]) + more
