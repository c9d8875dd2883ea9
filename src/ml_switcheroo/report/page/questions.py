"""What a person can settle in the page: questions with answers, each with the rules to write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ml_switcheroo.errors import UsageError
from ml_switcheroo.moves import Move
from ml_switcheroo.report.folding import fold
from ml_switcheroo.report.suggesting import alternatives
from ml_switcheroo.report.text import by_pattern
from ml_switcheroo.rule_lines import expanded, parse_rules, written
from ml_switcheroo.rules import Drop, Keep, Rename, Rule, match

if TYPE_CHECKING:
    from ml_switcheroo.outcome import Outcome
    from ml_switcheroo.unmoved import Ambiguity, Unmoved

__all__ = ["Option", "Question", "questions"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """One answer.

    Attributes:
        words: What it says, and what speaks for it.
        after: The specs of the leaves that it gives; empty where only a new plan tells.
        rules: The rules to write, as lines.
    """

    words: str
    after: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """Something to settle, once for all layers that repeat.

    Attributes:
        status: ambiguous, suggested, unexpected or missing.
        names: The tensors that it is about, or that the suggested rules would move.
        paths: The leaves.
        shown: The names, folded.
        spec: Their specs.
        why: Why it is asked.
        options: The answers that are known.
    """

    status: str
    names: tuple[str, ...]
    paths: tuple[str, ...]
    shown: str
    spec: str
    why: str
    options: tuple[Option, ...]


def questions(plan: Outcome) -> Iterator[Question]:
    """Yield what a person has to settle before a plan is complete, what is most certain first."""
    names = [*plan.inputs, *plan.doubted, *plan.unexpected, *plan.dropped]
    modules = dict.fromkeys(parent for name in names for parent in _parents(name))
    known = (*names, *modules)
    for group in _groups((asked, _texts(asked)) for asked in plan.ambiguous):
        yield _ambiguous(group, known)
    for rules, why in alternatives(plan):
        yield _suggested(plan, rules, why)
    for status, left in (("unexpected", plan.unexpected), ("missing", plan.missing)):
        paths = [*plan.outputs, *plan.missing, *plan.kept]
        entries = (((name, entry), (str(entry.spec), name)) for name, entry in left.items())
        for members in _groups(entries):
            yield _left(status, members, names if status == "unexpected" else paths)


# ---- what repeats is asked once ---------------------------------------------------------------------

_INDEX = re.compile(r"(?<![A-Za-z0-9 ])\d+(?=[./\[\]\"]|$)|(?<=_)\d+(?=[./\"]|$)")


def _groups(entries: Iterable[tuple[T, Sequence[str]]]) -> Iterator[list[T]]:
    """Yield together what differs in the indices of its names only, wherever those stand.

    Args:
        entries: Each entry with its specs, its names in one text, and what else must be the same.
    """
    found: dict[tuple[str, ...], list[T]] = {}
    for entry, (specs, *texts) in entries:
        indices = {
            number: f"\0{place}" for place, number in enumerate(dict.fromkeys(_INDEX.findall(texts[0])))
        }

        def placed(number: re.Match[str], at: Mapping[str, str] = indices) -> str:
            return at.get(number[0], number[0])

        key = tuple(_INDEX.sub(placed, text) for text in texts)
        found.setdefault((specs, *key), []).append(entry)
    yield from found.values()


def _shown(names: Iterable[str]) -> str:
    return ", ".join(name for (name,) in fold((name,) for name in names))


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


# ---- ambiguous --------------------------------------------------------------------------------------


def _texts(asked: Ambiguity) -> tuple[str, ...]:
    return (str(asked.specs), " ".join(asked.names), *asked.candidates, *asked.rules)


def _ambiguous(group: Sequence[Ambiguity], known: Sequence[str]) -> Question:
    first = group[0]
    specs = dict.fromkeys(map(str, first.specs))
    options = [
        Option(
            _general(group, place), _after(first, place), _short([one.rules[place] for one in group], known)
        )
        for place in range(len(first.rules))
    ]
    names = tuple(name for asked in group for name in asked.names)
    why = "several answers fit equally" if len(options) > 1 else "one answer fits, and it is not certain"
    return Question("ambiguous", names, (), _shown(names), ", ".join(specs), why, tuple(options))


def _general(group: Sequence[Ambiguity], place: int) -> str:
    """Write a candidate of repeated layers once."""
    said = dict.fromkeys(asked.candidates[place] for asked in group)
    return ", ".join(text for (text,) in fold((words,) for words in said))


def _short(lines: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Write rules of repeated layers as one with braces, if that means the same tensors and no others."""
    lines = tuple(dict.fromkeys(lines))
    folded = [by_pattern(line) for (line,) in fold((line,) for line in lines)]
    if len(lines) == 1 or len(folded) != 1:
        return lines
    try:
        one, each = parse_rules(folded[0]), [rule for line in lines for rule in parse_rules(line)]
    except UsageError:
        return lines
    meant = {name for rule in one for name in known if match(_pattern(rule), name) is not None}
    return tuple(folded) if meant == {_pattern(rule) for rule in each} else lines


def _pattern(rule: Rule) -> str:
    if isinstance(rule, Move):
        return rule.sources[0]
    return rule.source if isinstance(rule, Rename) else rule.pattern


def _after(asked: Ambiguity, place: int) -> str:
    """Return the specs of the leaves that an answer gives to the first of its tensors."""
    specs = dict(zip(asked.names, asked.specs, strict=False))
    found: dict[str, None] = {}
    try:
        for rule in parse_rules(asked.rules[place]):
            if isinstance(rule, Move):
                for move in list(expanded(rule, asked.names))[:1]:
                    found.update(dict.fromkeys(map(str, move.bind(specs).outputs)))
    except UsageError:
        return ""
    return ", ".join(found)


# ---- what is left over ------------------------------------------------------------------------------


def _suggested(plan: Outcome, rules: Sequence[Rename], why: str) -> Question:
    places = {name: place for rule in rules for name in plan.unexpected if (place := rule.apply(name))}
    homes = {_segments(place) for place in places.values()}
    paths = tuple(
        path for path in plan.missing if any(_segments(path)[-len(home) :] == home for home in homes)
    )
    options = tuple(Option(f"{rule.source} is {rule.target}", "", (written(rule),)) for rule in rules)
    return Question(
        "suggested",
        tuple(places),
        paths,
        _shown(dict.fromkeys(name.rpartition(".")[0] or name for name in places)),
        "",
        f"only the sizes speak for it: {why}",
        options,
    )


def _segments(path: str) -> tuple[str, ...]:
    """Return the path of the module that holds a leaf."""
    return tuple(re.split(r"[./]", path)[:-1])


def _left(status: str, members: Sequence[tuple[str, Unmoved]], known: Sequence[str]) -> Question:
    names = tuple(name for name, _ in members)
    entry = members[0][1]
    rule, words = (
        (Drop, "leave it out") if status == "unexpected" else (Keep, "leave it as the target has it")
    )
    options = []
    if not any(_SIGNS & set(name) for name in names):
        lines = [written(rule(name)) for name in names]
        options = [Option(words, "", _short(lines, known))]
    shown = _shown(names)
    tensors, paths = (names, ()) if status == "unexpected" else ((), names)
    return Question(status, tensors, paths, shown, str(entry.spec), _whys(members), tuple(options))


_MOST = 3  # reasons of one question


def _whys(members: Sequence[tuple[str, Unmoved]]) -> str:
    reasons = [why for (why,) in fold((left.why,) for _, left in members)]
    return "; ".join(dict.fromkeys(reasons[:_MOST])) + (" ..." if len(reasons) > _MOST else "")


_SIGNS = frozenset("{}*")
"""What a pattern does not take as it stands."""
