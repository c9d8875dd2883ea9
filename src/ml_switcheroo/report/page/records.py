"""The facts of a plan as tables of numbers and words: 10,000 tensors make a page of about 2 MB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ml_switcheroo.report.page.lines import source_lines
from ml_switcheroo.report.page.questions import Question, questions
from ml_switcheroo.report.page.values import Sample, samples
from ml_switcheroo.report.suggesting import by_number
from ml_switcheroo.rules import Rule
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.unmoved import Unmoved

if TYPE_CHECKING:
    from ml_switcheroo.moves import Move
    from ml_switcheroo.outcome import Outcome

__all__ = ["plan_record"]


class _Words:
    """Each text once, known by its number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def listed(self) -> list[str]:
        return list(self._numbers)


class _Side:
    """The tensors or the leaves: name, spec, what became of each, and why."""

    def __init__(self, words: _Words) -> None:
        self.rows: list[list[Any]] = []
        self._words = words
        self._numbers: dict[str, int] = {}

    def add(self, name: str, spec: TensorSpec | None, status: str, why: str = "") -> int:
        number = self._numbers.setdefault(name, len(self.rows))
        if number == len(self.rows):
            self.rows.append([name, *map(self._words, (str(spec or ""), status, why))])
        return number

    def of(self, names: Iterable[str]) -> list[int]:
        return [self._numbers[name] for name in names if name in self._numbers]


def plan_record(
    plan: Outcome,
    *,
    rules: Iterable[Rule] = (),
    state: Mapping[str, Any] | None = None,
    sources: Iterable[str] = (),
) -> dict[str, Any]:
    """Return everything that the page shows, with JSON's types.

    Rows are ``[name, spec, status, why]`` for tensors and leaves, and ``[tensors, leaves, move, kind, origin,
    reason, where, notes]`` for moves; every text but a name stands as its number in ``words``, and tensors
    and leaves by their row.
    """
    words = _Words()
    tensors, leaves = _Side(words), _Side(words)
    moves = [_move(move, tensors, leaves, words) for move in plan.moves]
    for asked in plan.ambiguous:
        why = "; or ".join(asked.candidates)
        for place, name in enumerate(asked.names):
            tensors.add(name, asked.specs[place] if asked.specs else None, "ambiguous", why)
    for status, side in _LEFT.items():
        left: Mapping[str, Unmoved] = getattr(plan, status)
        for name, entry in sorted(left.items(), key=lambda pair: by_number(pair[0])):
            (leaves if side == "leaves" else tensors).add(name, entry.spec, status, entry.why)
    found = samples(plan, state) if state is not None else {}
    lines = source_lines((move.where for move in plan.moves), sources)
    return {
        "target": plan.target,
        "source": plan.source or "state dict",
        "moves": moves,
        "tensors": tensors.rows,
        "leaves": leaves.rows,
        "lines": [[words(where), line] for where, line in lines.items()],
        "questions": [_question(asked, tensors, leaves) for asked in questions(plan)],
        "rules": list(map(repr, rules)),
        "values": {
            "tensors": list(_sampled(found, tensors, "tensor")),
            "leaves": list(_sampled(found, leaves, "leaf")),
        },
        "notes": list(dict.fromkeys([note for move in plan.moves for note in move.notes] + list(plan.notes))),
        "differences": list(plan.differences),
        "words": words.listed(),
    }


_LEFT = {"unexpected": "tensors", "dropped": "tensors", "missing": "leaves", "kept": "leaves"}


def _move(move: Move, tensors: _Side, leaves: _Side, words: _Words) -> list[Any]:
    return [
        [tensors.add(*pair, "moved") for pair in zip(move.sources, move.inputs, strict=True)],
        [leaves.add(*pair, "moved") for pair in zip(move.leaves, move.outputs, strict=True)],
        *map(words, (move.what, move.kind, move.origin, move.reason, move.where)),
        [words(note) for note in move.notes],
    ]


def _question(asked: Question, tensors: _Side, leaves: _Side) -> dict[str, Any]:
    return {
        "status": asked.status,
        "tensors": tensors.of(asked.names),
        "leaves": leaves.of(asked.paths),
        "shown": asked.shown,
        "spec": asked.spec,
        "why": asked.why,
        "options": [[option.words, option.after, *option.rules] for option in asked.options],
    }


def _sampled(found: Mapping[tuple[str, str], Sample], side: _Side, which: str) -> Iterator[list[Any]]:
    for (what, name), sample in found.items():
        if what == which:
            for number in side.of([name]):
                yield [number, *sample.record()]
