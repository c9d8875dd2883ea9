"""Let values decide where structure cannot: run both models, keep the candidates whose outputs agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ml_switcheroo.errors import SwitcherooError
from ml_switcheroo.moves import Move
from ml_switcheroo.plan import Plan
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.rule_lines import parse_rules
from ml_switcheroo.rules import Rule
from ml_switcheroo.unmoved import Ambiguity
from ml_switcheroo.verification.judging import Trials
from ml_switcheroo.verification.reference import Reference

__all__ = ["settled"]

MARGIN = 10.0
"""The second-best candidate must be off by this multiple of the tolerance."""


@dataclass(frozen=True)
class _Candidate:
    text: str
    moves: tuple[Move, ...]


@dataclass
class _Doubt:
    """An ambiguity, the moves of its candidates, and their measured errors.

    Attributes:
        entry: The ambiguity.
        candidates: The candidates that make moves; no two have the same effect.
        errors: The measured error of a candidate, by its number.
        winner: The number of the candidate that was kept.
        why: Why no candidate was kept.
    """

    entry: Ambiguity
    candidates: list[_Candidate]
    errors: dict[int, float]
    winner: int | None = None
    why: str = ""

    @property
    def open(self) -> bool:
        return self.winner is None and not self.why

    @property
    def best(self) -> int:
        return min(self.errors, key=self.errors.__getitem__, default=0)


def settled(
    reference: Reference, model: Any, rules: Sequence[Rule], options: Mapping[str, Any], runs: int
) -> Plan:
    """Settle what is ambiguous in the plan of two models.

    Args:
        reference: PyTorch's run, and the plan.
        model: The live model of the target; it has its own weights again at the end.
        rules: The rules that the plan was made with.
        options: What else the plan was made with: the keyword arguments of ``make_plan``.
        runs: How often the target may run.
    """
    plan = reference.sides.plan
    doubts = [_doubt(entry, plan, reference.state, rules, options) for entry in plan.ambiguous]
    with Trials(reference, model, runs) as trials:
        _layer_by_layer(doubts, trials)
        _by_outputs(doubts, trials)
    return _settled(plan, doubts)


def _doubt(
    entry: Ambiguity, plan: Plan, state: Mapping[str, Any], rules: Sequence[Rule], options: Mapping[str, Any]
) -> _Doubt:
    """Find the moves that each candidate leads to."""
    taken = {*plan.inputs, *(name for other in plan.ambiguous if other is not entry for name in other.names)}
    found: dict[object, _Candidate] = {}
    for text, line in zip(entry.candidates, entry.rules, strict=True):
        try:
            made = make_plan(state, rules=[*rules, *parse_rules(line)], **options)
        except SwitcherooError:
            continue
        moves = tuple(move for move in made.moves if taken.isdisjoint(move.sources))
        moved = {name for move in moves for name in move.sources}
        if moves and moved.issuperset(set(entry.names) - set(made.dropped)):
            effect = tuple((move.sources, move.leaves, move.ops) for move in moves)
            found.setdefault(repr(effect), _Candidate(text, moves))
    why = "" if found else "none of its candidates makes a move that fits the target"
    return _Doubt(entry, list(found.values()), {}, why=why)


def _layer_by_layer(doubts: Sequence[_Doubt], trials: Trials) -> None:
    """Judge candidates by their layers, until a round shows nothing new."""
    while True:
        waiting = [doubt for doubt in doubts if doubt.open]
        turns = max((len(doubt.candidates) for doubt in waiting), default=0)
        before = sum(len(doubt.errors) for doubt in waiting)
        for turn in range(turns):
            taking_part = _without_clashes(doubts, [_number(doubt, turn) for doubt in doubts])
            trial = trials.run(_moves(taking_part))
            if trial is None:
                return
            for doubt, number in taking_part:
                error = trial.error_of(doubt.candidates[number].moves) if doubt.open else None
                if error is not None:
                    doubt.errors[number] = error
        for doubt in waiting:
            if len(doubt.errors) == len(doubt.candidates) and not _why_not(doubt, trials.tolerance):
                doubt.winner = doubt.best
        if sum(len(doubt.errors) for doubt in waiting) == before:
            return


Chosen = Sequence[tuple[_Doubt, int]]


def _without_clashes(doubts: Iterable[_Doubt], numbers: Iterable[int]) -> list[tuple[_Doubt, int]]:
    """Leave out each candidate that wants a tensor or a leaf that an earlier one has."""
    taken: set[tuple[str, str]] = set()
    found = []
    for doubt, number in zip(doubts, numbers, strict=True):
        if doubt.candidates:
            moves = doubt.candidates[number].moves
            mine = {("source", name) for move in moves for name in move.sources}
            mine |= {("leaf", path) for move in moves for path in move.leaves}
            if taken.isdisjoint(mine):
                taken |= mine
                found.append((doubt, number))
    return found


def _moves(chosen: Chosen) -> Iterator[Move]:
    for doubt, number in chosen:
        yield from doubt.candidates[number].moves


def _number(doubt: _Doubt, turn: int) -> int:
    """Return the number of the candidate to run: the one that was decided on, or else each in turn."""
    if not doubt.candidates:
        return 0
    if not doubt.open:
        return doubt.best if doubt.winner is None else doubt.winner
    unknown = [n for n in range(len(doubt.candidates)) if n not in doubt.errors]
    return unknown[turn % len(unknown)] if unknown else doubt.best


def _why_not(doubt: _Doubt, tolerance: float) -> str:
    """Say why the errors of a doubt do not settle it; empty if they do."""
    best = doubt.best
    others = [error for number, error in doubt.errors.items() if number != best]
    if doubt.errors[best] > tolerance:
        return f"no candidate agrees; the best is off by {doubt.errors[best]:.1e}"
    if min(others, default=math.inf) <= tolerance:
        return "the outputs do not distinguish its candidates"
    if min(others, default=math.inf) <= MARGIN * tolerance:
        return f"the next best is off by only {min(others):.1e}"
    return ""


def _combinations(doubts: Sequence[_Doubt], before: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Yield every choice of one candidate for each doubt in which no two want the same."""
    if len(before) == len(doubts):
        yield before
        return
    for number in range(len(doubts[len(before)].candidates)):
        numbers = (*before, number)
        if len(_without_clashes(doubts[: len(numbers)], numbers)) == len(numbers):
            yield from _combinations(doubts, numbers)


def _by_outputs(doubts: Sequence[_Doubt], trials: Trials) -> None:
    """Judge candidates by the outputs of the model: all combinations of what is left."""
    waiting = [doubt for doubt in doubts if doubt.open]
    combinations = list(islice(_combinations(waiting), trials.left + 1)) if waiting else []
    if len(combinations) > trials.left:
        for doubt in waiting:
            doubt.why = (
                f"no layer shows it, and its combinations with others need more than {trials.left} runs"
            )
        return
    errors: dict[tuple[int, ...], float] = {}
    for numbers in combinations:
        chosen = dict(zip(map(id, waiting), numbers, strict=True))
        every = [chosen.get(id(doubt), _number(doubt, 0)) for doubt in doubts]
        trial = trials.run(_moves(_without_clashes(doubts, every)))
        errors[numbers] = math.inf if trial is None else trial.output_error
    for place, doubt in enumerate(waiting):
        doubt.errors.clear()
        for numbers, error in errors.items():
            number = numbers[place]
            doubt.errors[number] = min(error, doubt.errors.get(number, math.inf))
        doubt.why = _why_not(doubt, trials.tolerance) if doubt.errors else "its candidates exclude each other"
        doubt.winner = None if doubt.why else doubt.best


def _withdraw_clashes(doubts: Sequence[_Doubt]) -> None:
    """Leave all winners open if two of them move the same tensor or fill the same leaf."""
    won = [doubt for doubt in doubts if doubt.winner is not None]
    kept = [doubt for doubt, _ in _without_clashes(won, [doubt.winner or 0 for doubt in won])]
    if len(kept) < len(won):
        for doubt in won:
            doubt.winner, doubt.why = None, "the candidate that agrees contradicts one that agrees elsewhere"


def _settled(plan: Plan, doubts: Sequence[_Doubt]) -> Plan:
    _withdraw_clashes(doubts)
    moves: list[Move] = []
    for doubt in doubts:
        if doubt.winner is not None:
            reason = _reason(doubt)
            moves += [
                replace(move, origin="settled", reason=reason)
                for move in doubt.candidates[doubt.winner].moves
            ]
    moved = {name for move in moves for name in move.sources}
    filled = {path for move in moves for path in move.leaves}
    notes = [f"not settled: {', '.join(doubt.entry.names)}: {doubt.why}" for doubt in doubts if doubt.why]
    return replace(
        plan,
        moves=(*plan.moves, *moves),
        ambiguous=tuple(doubt.entry for doubt in doubts if doubt.winner is None),
        missing={path: left for path, left in plan.missing.items() if path not in filled},
        unexpected={name: left for name, left in plan.unexpected.items() if name not in moved},
        notes=(*plan.notes, *notes),
    )


def _reason(doubt: _Doubt) -> str:
    winner = doubt.winner or 0
    mine = doubt.candidates[winner]
    text = f"values: {mine.text}; off by {doubt.errors[winner]:.1e}"
    others = [(error, number) for number, error in doubt.errors.items() if number != winner]
    if others:
        error, number = min(others)
        text += f", the next best ({doubt.candidates[number].text}) by {error:.1e}"
    return text
