"""The moves of one module under one finding, in a target, in a template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.moves import Move
from ml_switcheroo.planning.options.gather import Gathered, gather
from ml_switcheroo.planning.options.kept_norms import kept_in
from ml_switcheroo.planning.options.moving import Locate, NothingToDo, Task, move_of
from ml_switcheroo.recipes import Dropped, Form, Part, Target, Unsupported, recipe_of
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Locate", "Option", "option_for"]

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Option:
    """The moves of one module under one finding.

    Attributes:
        finding: The finding.
        moves: The moves.
        dropped: Tensors that are left behind, with the reason.
        refused: Tensors that cannot be moved, with the reason.
        final: Whether no other place in the target is possible.
    """

    finding: Finding
    moves: tuple[Move, ...]
    dropped: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    final: bool = False

    @property
    def effect(self) -> object:
        """What it does to the bytes: options of the same effect are no ambiguity."""
        return (
            tuple((move.sources, move.leaves, move.ops) for move in self.moves),
            tuple(self.dropped),
            tuple(self.refused),
        )


def option_for(
    owner: Owner,
    finding: Finding,
    specs: Mapping[str, TensorSpec],
    target: Target,
    locate: Locate,
    shown: Mapping[str, Any] = NOTHING,
) -> Option:
    """Make the moves of a module under a finding.

    Args:
        owner: The module with its tensors.
        finding: What it is taken for.
        specs: Specs of all source tensors.
        target: The target.
        locate: Where leaves go.
        shown: Attributes of the live module in the target, by the target's names.
    """
    recipe = recipe_of(target, finding.kind)
    if isinstance(recipe, Unsupported):
        return _refusal(owner, finding, recipe.why)
    gathered = gather(owner, finding.kind, specs, finding.args)
    forms = [entry if isinstance(entry, Form) else None for entry in recipe]
    possible = [form for form in forms if form is not None and _agrees(form, shown)]
    if None in forms:
        possible = [Form(tuple(entry for entry in recipe if not isinstance(entry, Form)))]
    task = Task(owner, finding, specs, target, locate, gathered)
    first: Option | None = None
    for form in possible:
        option = _with_words(_inside(task, form, shown) or _option(task, form), form)
        if not option.refused or option.final:
            return option
        first = first or option
    return first or _refusal(owner, finding, f"target {target.name} has no form for {dict(shown)}")


def _agrees(form: Form, shown: Mapping[str, Any]) -> bool:
    return all(shown.get(name, value) == value for name, value in form.when.items())


def _refusal(owner: Owner, finding: Finding, why: str) -> Option:
    text = f"{finding.kind} at {owner.path or 'the model itself'}: {why}"
    return Option(finding, (), {}, dict.fromkeys(owner.tensors.values(), text))


def _with_words(option: Option, form: Form) -> Option:
    if option.refused and form.misfit:
        return replace(option, refused={n: f"{why}; {form.misfit}" for n, why in option.refused.items()})
    if not form.note or not option.moves:
        return option
    first, *rest = option.moves
    return replace(option, moves=(replace(first, notes=(*first.notes, form.note)), *rest))


def _inside(task: Task, form: Form, shown: Mapping[str, Any]) -> Option | None:
    """Make the moves of one form in a wrapper that keeps the norm of the weight, where there is one."""
    kept = kept_in(task, form, shown)
    if kept is None:
        return None
    if kept.refused:
        return replace(_refusal(task.owner, task.finding, kept.refused), final=True)
    option = _option(kept.task, form)
    filled = {path for move in kept.moves for path in move.leaves}
    moved = {name for move in kept.moves for name in move.sources}
    moves = (*kept.moves, *(move for move in option.moves if filled.isdisjoint(move.leaves)))
    refused = {name: why for name, why in option.refused.items() if name not in moved}
    return replace(option, moves=moves, refused=refused)


def _option(task: Task, form: Form) -> Option:
    """Make the moves of one form."""
    gathered = task.gathered
    patterns = {pattern for pattern, _ in gathered.slots if pattern}
    for entry in form.entries:
        if isinstance(entry, Unsupported) and (entry.slot in patterns or _lacks(entry, task.finding)):
            return _refusal(task.owner, task.finding, entry.why)
    moves: list[Move] = []
    dropped: dict[str, str] = {}
    refused = dict(gathered.broken)
    for entry in form.entries:
        if isinstance(entry, Dropped):
            dropped.update(dict.fromkeys(_names(gathered, (entry.slot,)), entry.why))
        elif isinstance(entry, Part):
            _add(task, entry, moves, refused)
    known = {*dropped, *refused, *(name for move in moves for name in move.sources)}
    left = [name for name in task.owner.tensors.values() if name not in known]
    why = f"{task.finding.kind} at {task.owner.path}: {task.target.name} has no place for it"
    return Option(task.finding, tuple(moves), dropped, {**refused, **dict.fromkeys(left, why)})


def _lacks(entry: Unsupported, finding: Finding) -> bool:
    """Tell whether a layer was made otherwise than the target needs it; unstated arguments have defaults."""
    usual = LAYERS[finding.kind].defaults
    return any(finding.args.get(arg, usual.get(arg, value)) != value for arg, value in entry.needs.items())


def _add(task: Task, entry: Part, moves: list[Move], refused: dict[str, str]) -> None:
    """Add the moves of a part: one for each layer and way."""
    gathered = task.gathered
    ways = gathered.ways(entry.slots)
    if not ways and entry.absent is not None:
        ways = gathered.ways(())
    for at in ways:
        sources = [gathered.slots.get((slot, at)) for slot in entry.slots]
        present = [source for source in sources if source is not None]
        names = [name for source in present for name in source.names]
        lacking = [slot for slot, source in zip(entry.slots, sources, strict=True) if source is None]
        if present and lacking:
            why = f"{task.finding.kind} at {task.owner.path}: {', '.join(lacking)} is not there"
            refused.update(dict.fromkeys(names, why))
            continue
        try:
            moves.append(move_of(task, entry, at, present))
        except NothingToDo:
            continue
        except UsageError as error:
            # A cure for a layer without the leaf helps only where the target has the layer at all.
            cure = f": {entry.prepared}" if entry.prepared and moves else ""
            refused.update(dict.fromkeys(names, f"{error}{cure}"))


def _names(gathered: Gathered, patterns: Sequence[str]) -> list[str]:
    found = (source for (pattern, _), source in gathered.slots.items() if pattern in patterns)
    return [name for source in found for name in source.names]
