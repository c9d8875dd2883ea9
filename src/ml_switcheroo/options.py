"""What can become of one module: its moves under one finding, in a target, in a template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ml_switcheroo.axes import ONES, equation, parse
from ml_switcheroo.errors import AxesError, UsageError
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes, Op, trace
from ml_switcheroo.recipes import Dropped, Part, Target, Unsupported
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Option", "option_for"]

Place = Callable[[str, str], tuple[str, TensorSpec | None]]
"""Gives, for a leaf's name and collection, its path and (in a template) its spec; raises
:class:`UsageError` where the template has no such leaf."""


@dataclass(frozen=True, slots=True)
class Option:
    """The moves of one module under one finding.

    Attributes:
        finding: The finding.
        moves: The moves.
        dropped: Tensors that are left behind, with the reason.
        refused: Tensors that cannot be moved, with the reason.
    """

    finding: Finding
    moves: tuple[Move, ...]
    dropped: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def effect(self) -> object:
        """What it does to the bytes: options of the same effect are no ambiguity."""
        return (
            tuple((move.sources, move.leaves, move.ops) for move in self.moves),
            tuple(self.dropped),
            tuple(self.refused),
        )


def option_for(
    owner: Owner, finding: Finding, specs: Mapping[str, TensorSpec], target: Target, place: Place
) -> Option:
    """Make the moves of a module under a finding.

    Args:
        owner: The module with its tensors.
        finding: What it is taken for.
        specs: Specs of all source tensors.
        target: The target.
        place: Where leaves go.
    """
    recipe = target.kinds.get(finding.kind)
    if recipe is None or isinstance(recipe, Unsupported):
        why = recipe.why if recipe else f"target {target.name} has no recipe for kind {finding.kind}"
        return Option(finding, (), {}, dict.fromkeys(owner.tensors.values(), why))
    moves: list[Move] = []
    dropped: dict[str, str] = {}
    refused: dict[str, str] = {}
    sizes = _spatial(owner, finding, specs)
    for entry in recipe:
        if isinstance(entry, Dropped):
            if entry.slot in owner.tensors:
                dropped[owner.tensors[entry.slot]] = entry.why
            continue
        names = [owner.tensors.get(slot) for slot in entry.slots]
        present = tuple(name for name in names if name is not None)
        if not present:
            continue
        if len(present) < len(names):
            lacking = ", ".join(slot for slot, name in zip(entry.slots, names, strict=True) if name is None)
            refused.update(dict.fromkeys(present, f"{finding.kind} at {owner.path}: {lacking} is not there"))
            continue
        try:
            moves.append(_move(entry, present, finding, specs, target, place, sizes))
        except UsageError as error:
            refused.update(dict.fromkeys(present, str(error)))
    return Option(finding, tuple(moves), dropped, refused)


def _move(
    entry: Part,
    names: tuple[str, ...],
    finding: Finding,
    specs: Mapping[str, TensorSpec],
    target: Target,
    place: Place,
    sizes: Mapping[str, int],
) -> Move:
    inputs = tuple(specs[name] for name in names)
    places = [place(leaf, entry.collection) for leaf in entry.leaves]
    wanted = places[0][1]
    ops = list(entry.ops)
    notes: list[str] = []
    if len(names) == len(places) == 1 and not ops:
        source = LAYERS[finding.kind].slots[entry.slots[0]]
        result = entry.axes if entry.axes is not None else source
        if entry.slots == ("weight",) and finding.kind == "linear":
            source, result, sizes = _flattened(source, result, inputs[0], finding, target, notes)
        ops += _rearrange(source, result, sizes, inputs[0], wanted)
    outputs = trace(ops, inputs)[-1]
    for (path, spec), found in zip(places, outputs, strict=True):
        if spec is not None and spec.shape != found.shape:
            raise AxesError(f"{path} is {spec} in the target, this gives {found}")
    return Move(
        sources=names,
        leaves=tuple(path for path, _ in places),
        ops=tuple(ops),
        inputs=inputs,
        outputs=outputs,
        kind=finding.kind,
        origin=finding.origin,
        reason=finding.reason,
        where=finding.where,
        notes=tuple(notes),
    )


def _spatial(owner: Owner, finding: Finding, specs: Mapping[str, TensorSpec]) -> dict[str, int]:
    """Count the spatial axes of a module: as many axes of size 1 follow in a bias laid out for them."""
    slots = LAYERS[finding.kind].slots
    for slot, name in owner.tensors.items():
        pattern = parse(slots.get(slot, ""))
        if pattern.loose is not None and pattern.groups[pattern.loose] == ("*space",):
            return {ONES: len(specs[name].shape) - len(pattern.groups) + 1}
    return {}


def _rearrange(
    source: str, result: str, sizes: Mapping[str, int], spec: TensorSpec, wanted: TensorSpec | None
) -> list[Op]:
    rule = equation(source, result)
    view = rule.bind(spec.shape, sizes, wanted.shape if wanted else None)
    if source == result:
        return []
    return [Axes(str(rule), tuple((axis, size) for axis, size in view.sizes.items() if axis in rule.told))]


def _flattened(
    source: str, result: str, spec: TensorSpec, finding: Finding, target: Target, notes: list[str]
) -> tuple[str, str, dict[str, int]]:
    """Permute the input axis of a Linear behind a Flatten where the target is channels-last."""
    flatten = finding.flatten
    if flatten is None or flatten.channels == 1 or target.channels == "first":
        return source, result, {}
    if spec.shape[-1] == flatten.channels:
        return source, result, {}
    if spec.shape[-1] % flatten.channels:
        raise AxesError(
            f"the input axis is {spec.shape[-1]}, no multiple of the {flatten.channels} channels that are"
            f" flattened before it ({flatten.of} {flatten.where})"
        )
    origin = " ".join(word for word in (f"from {flatten.of}" if flatten.of else "", flatten.where) if word)
    notes.append(
        f"a Flatten stands before this Linear ({origin}): its input axis (c h w) becomes (h w c),"
        f" c={flatten.channels}, because {target.name} is channels-last"
    )
    result = " ".join("(*space c)" if axis == "in" else axis for axis in result.split())
    return source.replace("in", "(c *space)"), result, {"c": flatten.channels}
