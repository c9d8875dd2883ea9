"""Choose the layout of each leaf: by its shape, by leaves like it that are not square, by convention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from ml_switcheroo.match.assignment.field import Field
from ml_switcheroo.match.assignment.pairing import Match
from ml_switcheroo.match.layouts.layout_evidence import (
    LayoutEvidence,
    agreed,
    bare,
    contradicted,
    is_square,
    leaf_key,
    leaf_name,
    may_be_table,
    relative,
    shown_by,
    unlike,
)
from ml_switcheroo.match.units.unit import Unit

__all__ = ["Chosen", "choose"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen for a slot of a match.

    Attributes:
        layout: The layout; None where it is in doubt.
        why: What decided, where the shape alone did not; for a doubt, why it is one.
    """

    layout: str | None
    why: str = ""


def choose(
    matches: Sequence[Match],
    usual: Mapping[tuple[str, str], str],
    shown: LayoutEvidence,
    field: Field,
) -> tuple[list[dict[str, Chosen]], set[str]]:
    """Choose a layout for each slot of each match.

    A leaf whose shape allows one layout only shows how leaves of its name and kind are kept; where all of
    them agree, they decide for a leaf whose shape allows several.

    Args:
        matches: The matches.
        usual: The framework's conventions.
        shown: What leaves that are filled already show.
        field: All units with all candidates: a leaf that nothing fits under a convention speaks against it.

    Returns:
        For each match the layouts by slot; and the kinds that are not kept as the framework keeps them.
    """
    against = contradicted(field, usual)
    followed = {key: layout for key, layout in usual.items() if key not in against}
    found = shown_by(matches, shown)
    silent = _silent(field)
    choices = [
        {
            slot: _confirmed(match, slot, found, usual)
            or _choice(match, slot, list(options), found, followed, silent)
            for slot, options in match.candidate.options.items()
        }
        for match in matches
    ]
    return choices, {kind for kind, _ in against | unlike(found, usual)} | (
        {"conv"} if _unfit(field) else set()
    )


def _silent(field: Field) -> set[tuple[str, str]]:
    """Return the kinds and names of leaves that nothing fits, though their shapes would show their layout."""
    fitting = {target for _, target in field.candidates}
    return {
        (kind, leaf_name(unit, "weight"))
        for number, unit in enumerate(field.targets)
        if number not in fitting and "weight" in unit.slots
        for kind in unit.kinds & {"linear", "conv"}
        if any(
            len(set(spec.shape)) > 1 for spec in unit.slots["weight"].specs.values() if len(spec.shape) > 1
        )
    }


def _unfit(field: Field) -> bool:
    """Tell whether a kernel has a leaf of its name and sizes that no layout gives."""
    fitting = {target for _, target in field.candidates}
    kernels = {(unit.tail, sizes) for unit in field.sources if (sizes := _sizes(unit))}
    return any(
        (unit.tail, _sizes(unit)) in kernels
        for number, unit in enumerate(field.targets)
        if number not in fitting
    )


def _sizes(unit: Unit) -> tuple[int, ...]:
    if "conv" not in unit.kinds or "weight" not in unit.slots or unit.slots["weight"].rank < _KERNEL:
        return ()
    return tuple(sorted(next(iter(unit.slots["weight"].specs.values())).shape))


_KERNEL = 3


def _confirmed(
    match: Match, slot: str, found: LayoutEvidence, usual: Mapping[tuple[str, str], str]
) -> Chosen | None:
    """Doubt a convention that no leaf follows which is not square, where it splits heads off a square matrix.

    The source may keep all its matrices as in-out; nothing else would show it.
    """
    kind, name, stacked = leaf_key(match.candidate, match.target, slot)
    convention, options = usual.get((kind, name)), {bare(layout) for layout in match.candidate.options[slot]}
    sure = {bare(one.layout) for one in found.get((kind, name, stacked), {}).values() if not one.square}
    if options == {convention} and is_square(match, slot) and sure and convention not in sure:
        return Chosen(None, f"leaves called {name} are kept otherwise than the framework keeps them")
    return None


def _choice(
    match: Match,
    slot: str,
    options: list[str],
    found: LayoutEvidence,
    usual: Mapping[tuple[str, str], str],
    silent: Set[tuple[str, str]],
) -> Chosen:
    if len(options) == 1:
        return Chosen(options[0])
    candidate = match.candidate
    kind, name, stacked = key = leaf_key(candidate, match.target, slot)
    fitting = [witness for witness in found.get(key, {}).values() if witness.layout in options]
    shown = agreed(fitting, {layout: relative(layout, candidate.order) for layout in options})
    if len(shown) > 1:
        return Chosen(None, f"leaves called {name} are kept in several ways: {', '.join(sorted(shown))}")
    convention = usual.get((kind, name), "same" if kind == "embedding" else "")
    others = {bare(witness.layout) for witness in found.get((kind, name, not stacked), {}).values()}
    # A stack of matrices is a matrix with one axis more.
    fit = next((layout for layout in options if bare(layout) == convention), "")
    if shown:
        chosen = Chosen(shown.pop(), f"like the leaves called {name} that are not square")
    elif slot == candidate.slots[slot] == "parameter" and "same" in options:
        chosen = Chosen("same", "a tensor with a name of its own is kept as it is")
    elif fit and others - {convention}:
        return Chosen(None, f"leaves called {name} are kept otherwise than the framework keeps them")
    elif fit and not others and (kind, name) in silent:
        return Chosen(None, f"nothing fills a leaf called {name} that would show how they are kept")
    elif fit:
        chosen = Chosen(fit, f"as the framework keeps a {name}")
    else:
        return Chosen(None, f"its shape fits several layouts: {', '.join(options)}")
    turned = any(way.ops for way in candidate.options[slot][str(chosen.layout)].values())
    if turned and may_be_table(match.source, match.target, candidate):
        return Chosen(None, "a linear would be turned, an embedding would not")
    if turned and candidate.kind == "conv" and _may_be_stack(match, slot):
        return Chosen(None, "a convolution would be turned, a stack of matrices would not")
    return chosen


def _may_be_stack(match: Match, slot: str) -> bool:
    """Tell whether what is read as a convolution may be square matrices, such as those of experts."""
    source = match.source
    shapes = (spec.shape for spec in source.slots[match.candidate.slots[slot]].specs.values())
    part = bool(source.role) or not source.said.isdisjoint({"moe", "experts"})
    return part and "bias" not in source.slots and any(len(s) == 3 and s[1] == s[2] > 1 for s in shapes)
