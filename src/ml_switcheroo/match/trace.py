"""What the matcher weighed for one tensor or leaf, told from what it kept: for ``plan --explain``.

The stages record nothing. Where a trace is asked for, :func:`ml_switcheroo.match.structure.solve` keeps
what it had in hand anyway, and this module asks the functions that decided to say why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ml_switcheroo.match.assignment.best import Pair
from ml_switcheroo.match.assignment.field import Field, ruled_out
from ml_switcheroo.match.assignment.margins import unlikely
from ml_switcheroo.match.assignment.numbering import numbering
from ml_switcheroo.match.assignment.pairing import Paired, Verdict
from ml_switcheroo.match.assignment.similarity import TERMS, Lexicon, terms
from ml_switcheroo.match.candidates.candidate import misfit, veto
from ml_switcheroo.match.layouts.choosing import Chosen
from ml_switcheroo.match.making.doubts import name_of
from ml_switcheroo.match.units.roles import ROLE_NAMES
from ml_switcheroo.match.units.unit import Unit

__all__ = ["Account", "Considered", "Weighing", "accounts"]


@dataclass(frozen=True)
class Weighing:
    """What the matcher had in hand when it was done.

    Attributes:
        field: All units, with all candidates.
        narrow: The same without the candidates that the evidence of other leaves rules out.
        scores: The score of each candidate.
        paired: The matches, and what is in doubt.
        chosen: The layout of each slot, or why it is in doubt; match by match.
    """

    field: Field
    narrow: Field
    scores: Mapping[Pair, float]
    paired: Paired
    chosen: Sequence[Mapping[str, Chosen]]


@dataclass(frozen=True, slots=True)
class Considered:
    """One thing that a tensor could become, or that a leaf could be made of.

    Attributes:
        name: Its path.
        stage: The stage that had the last word on it: ``candidates``, ``layouts``, ``assignment`` or
            ``leftovers``.
        taken: Whether it was taken.
        why: What that stage said; empty where it only lost.
        score: Its score; None for what is no candidate.
        terms: What speaks for it and against it.
    """

    name: str
    stage: str
    taken: bool
    why: str
    score: float | None = None
    terms: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """What was weighed for one unit.

    Attributes:
        name: Its path, ``{i}`` where the number of a repeated block stands.
        role: Which part of the network it was taken for; empty for none.
        considered: All that it could be matched with, the best first.
        margin: What the whole assignment loses without what was chosen; None where nothing was.
        needed: What it had to lose at least.
        rival: What takes its place then; empty for nothing.
        doubt: Why the choice is in doubt; empty where it is not.
        layouts: For each slot the layout, and what decided it or why it is in doubt.
    """

    name: str
    role: str
    considered: tuple[Considered, ...]
    margin: float | None = None
    needed: float = 0.0
    rival: str = ""
    doubt: str = ""
    layouts: tuple[tuple[str, str | None, str], ...] = ()


def accounts(weighing: Weighing, path: str) -> Iterator[Account]:
    """Yield what was weighed for a tensor or a leaf: once for each part, where it is fused.

    Args:
        weighing: What the matcher kept.
        path: The name of the tensor, or the path of the leaf.
    """
    field = weighing.field
    for number, unit in enumerate(field.sources):
        if _holds(unit, path):
            pairs = [(number, j) for j in range(len(field.targets))]
            yield _account(weighing, unit, pairs, weighing.paired.verdicts.get(number), of_source=True)
    for number, unit in enumerate(field.targets):
        if _holds(unit, path):
            pairs = [(i, number) for i in range(len(field.sources))]
            verdicts = weighing.paired.verdicts.values()
            mine = next((one for one in verdicts if one.choice.target == number), None)
            yield _account(weighing, unit, pairs, mine, of_source=False)


def _holds(unit: Unit, path: str) -> bool:
    return any(path in slot.paths.values() for slot in unit.slots.values())


def _account(
    weighing: Weighing, unit: Unit, pairs: Sequence[Pair], verdict: Verdict | None, *, of_source: bool
) -> Account:
    field = weighing.field
    lexicons = Lexicon(field.sources), Lexicon(field.targets)
    numbers = numbering(field.sources, field.targets, field.candidates)
    found = []
    for i, j in pairs:
        source, target = field.sources[i], field.targets[j]
        told: tuple[tuple[str, float], ...] = ()
        if (i, j) in field.candidates:
            weighed = terms(source, target, field.candidates[i, j], *lexicons, numbers)
            told = tuple(zip(_labels(source, target), weighed, strict=True))
        stage, taken, why = _fate(weighing, (i, j))
        name = _name(target if of_source else source)
        one = Considered(name, stage, taken, why, weighing.scores.get((i, j)), told)
        found.append((len(source.said & target.said), one))
    # What was taken comes first, then the candidates by score, then the rest by the words in common.
    found.sort(key=lambda one: (not one[1].taken, one[1].score is None, -(one[1].score or 0.0), -one[0]))
    considered = tuple(one for _, one in found)
    role = ROLE_NAMES.get(unit.role, unit.role)
    account = Account(name_of(unit), role, considered, layouts=_layouts(weighing, unit))
    if verdict is None:
        return account
    choice = verdict.choice
    rival = _name(field.targets[choice.rival[1]]) if choice.rival is not None else ""
    return replace(account, margin=choice.margin, needed=verdict.needed, rival=rival, doubt=verdict.doubt)


def _labels(source: Unit, target: Unit) -> Iterator[str]:
    """Name the terms; the first three with the words that they weigh."""
    said = (source.said & target.said, source.said - target.said, target.said - source.said)
    for term, words in zip(TERMS, said, strict=False):
        yield f"{term} ({', '.join(sorted(words))})" if words else term
    yield from TERMS[len(said) :]


def _name(unit: Unit) -> str:
    """Write the path of a unit; several units stand under the path of a fused tensor."""
    return f"{name_of(unit)} ({ROLE_NAMES.get(unit.role, unit.role)})" if unit.piece else name_of(unit)


def _fate(weighing: Weighing, pair: Pair) -> tuple[str, bool, str]:
    """Return the stage that had the last word on a pair, whether it was taken, and what the stage said."""
    field, paired = weighing.field, weighing.paired
    source, target = field.sources[pair[0]], field.targets[pair[1]]
    if pair not in field.candidates:
        if ruled_out(pair, field.forced, set(field.forced.values())):
            return "candidates", False, "a rule says otherwise"
        return "candidates", False, veto(source, target) or misfit(source, target)
    if pair not in weighing.narrow.candidates:
        return "layouts", False, "other leaves show that it would be laid out otherwise"
    match = next((one for one in paired.matches if one.source is source and one.target is target), None)
    verdict = paired.verdicts.get(pair[0])
    assigned = verdict is not None and verdict.choice.target == pair[1]
    if match is not None:
        return "assignment" if assigned else "leftovers", True, match.why
    if assigned:
        return "assignment", False, verdict.doubt if verdict is not None else ""
    candidate = weighing.narrow.candidates[pair]
    return "assignment", False, unlikely(source, target, candidate, weighing.scores[pair])


def _layouts(weighing: Weighing, unit: Unit) -> tuple[tuple[str, str | None, str], ...]:
    field = weighing.field
    for match, chosen in zip(weighing.paired.matches, weighing.chosen, strict=True):
        if unit is not match.source and unit is not match.target:
            continue
        (before,) = (
            candidate.options
            for (i, j), candidate in field.candidates.items()
            if field.sources[i] is match.source and field.targets[j] is match.target
        )
        return tuple(
            (
                slot,
                choice.layout,
                choice.why or _narrowed(len(before[slot]), len(match.candidate.options[slot])),
            )
            for slot, choice in chosen.items()
        )
    return ()


def _narrowed(before: int, after: int) -> str:
    return f"other leaves rule out {before - after} of {before} layouts" if after < before else ""
