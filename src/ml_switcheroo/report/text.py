"""A plan as text for people: every tensor, with the indices of repeated layers folded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from ml_switcheroo.report.folding import Row, columns, fold, joined
from ml_switcheroo.report.suggesting import suggested

if TYPE_CHECKING:
    from ml_switcheroo.moves import Move
    from ml_switcheroo.outcome import Outcome
    from ml_switcheroo.unmoved import Unmoved

__all__ = ["NAMES_OF_ITS_OWN", "bounded", "by_pattern", "move_texts", "plan_text", "problems_text", "summary"]

NAMES_OF_ITS_OWN = (
    'If the model has names of its own, say what PyTorch\'s is given: inputs="float32[1,3,64,64]".'
)
_RANGE = re.compile(r"\{\d+\.\.\d+\}")


def plan_text(plan: Outcome) -> str:
    """Write the whole plan: what moves how and why, and everything that does not move."""
    lines = [f"{plan.source or 'state dict'} -> {plan.target}: {summary(plan)}"]
    lines += _blocks(plan.moves)
    for note in dict.fromkeys(note for move in plan.moves for note in move.notes):
        lines.append(f"note: {note}")
    lines += _section("dropped", plan.dropped)
    lines += _section("kept as the target has them", plan.kept)
    lines += _section("unexpected: no leaf takes them", plan.unexpected)
    lines += _section("missing: nothing fills them", plan.missing)
    lines += _ambiguous(plan)
    lines += _differences(plan)
    lines += [f"note: {note}" for note in plan.notes]
    return "\n".join(lines)


def _blocks(moves: Iterable[Move]) -> list[str]:
    """Write the moves layer by layer: the kind and who decided it, then its tensors in columns."""
    layers = (
        tuple(text for move in block for text in move_texts(move)) + why
        for (_, why), block in groupby(
            moves, key=lambda move: (move.sources[0].rpartition(".")[0], _why(move))
        )
    )
    rows: list[Row] = []
    heads: dict[int, str] = {}
    last = ""
    for *texts, kind, why in fold(layers):
        if (head := f"{kind}  {why}") != last:
            heads[len(rows)] = last = head
        rows += [tuple(texts[i : i + 6]) for i in range(0, len(texts), 6)]
    aligned = columns(rows, "  ")
    return [line for i, row in enumerate(aligned) for line in ([heads[i]] if i in heads else []) + [row]]


def move_texts(move: Move) -> Row:
    """Return the texts of a line for a move: sources, their specs, an arrow, leaves, their specs, how."""
    return (
        joined(move.sources),
        ", ".join(dict.fromkeys(map(str, move.inputs))),
        "->",
        joined(move.leaves),
        ", ".join(dict.fromkeys(map(str, move.outputs))),
        move.what,
    )


def _why(move: Move) -> Row:
    return (move.kind, f"{move.origin}: {move.reason}" + (f"  ({move.where})" if move.where else ""))


def summary(plan: Outcome) -> str:
    """Count what becomes of the tensors, in one line."""
    counts = {
        "moved": len(plan.inputs),
        "dropped": len(plan.dropped),
        "unexpected": len(plan.unexpected),
        "ambiguous": len(plan.doubted),
    }
    text = ", ".join(f"{count} {word}" for word, count in counts.items() if count or word == "moved")
    filled = f"{len(plan.outputs)} leaves filled"
    filled += f", {len(plan.kept)} kept" if plan.kept else ""
    filled += f", {len(plan.missing)} missing" if plan.missing else ""
    total = sum(counts.values())
    return f"{total} tensor{'s' * (total != 1)} ({text}), {filled}"


def _differences(plan: Outcome) -> list[str]:
    head = ["different: the programs compute something else"] if plan.differences else []
    return [*head, *(f"  {line}" for line in plan.differences)]


def problems_text(plan: Outcome, missing: Sequence[str], unexpected: Sequence[str]) -> tuple[str, str]:
    """Write why a plan cannot be applied, and the cure: in at most 40 lines, and in full."""
    head = (
        f"the plan for {plan.source or 'this state dict'} -> {plan.target} is not complete: {summary(plan)}"
    )
    sections = [
        _section("missing: nothing fills them", {path: plan.missing[path] for path in missing}),
        _section("unexpected: no leaf takes them", {name: plan.unexpected[name] for name in unexpected}),
        _ambiguous(plan),
        _differences(plan),
        _rules(plan) if missing and plan.unexpected else [],
    ]
    cures = []
    if missing or unexpected:
        cures.append('add Rename("name in PyTorch", "path in the target"), Drop or Keep rules')
        cures += ["pass --allow-missing"] * bool(missing) + ["pass --allow-unexpected"] * bool(unexpected)
    if missing and plan.unexpected and not plan.differences and all(m.origin != "graph" for m in plan.moves):
        cures.append('let both programs be read: inputs="float32[1,3,64,64]", with layers= and a live model')
    if plan.differences:
        cures.append("correct the port where it computes something else")
    if plan.ambiguous:
        cures.append("say what the layers are (layers=, --layers) or add one of the rules above")
    cure = "To mend it: " + "; or ".join(cures) + "."
    short, full = (
        "\n".join([head, *(line for section in body for line in section), cure])
        for body in (bounded(sections, _LINES - 2), sections)
    )
    return short, full


_LINES = 40


_ROOM = 3000  # characters, beside the head and the cure


def _size(section: Sequence[str], share: int) -> int:
    return sum(len(line) + 1 for line in section[:share])


def bounded(sections: Sequence[list[str]], most: int) -> list[list[str]]:
    """Cut sections of lines so that together they have at most so many lines, and room in a message.

    >>> bounded([["a", "1", "2", "3", "4"], ["b", "5"]], 5)
    [['a', '1', '  ... and 3 more (--full; error.full)'], ['b', '5']]
    """
    shares = [len(section) for section in sections]
    while sum(shares) > most and max(shares) > 2:
        shares[shares.index(max(shares))] -= 1
    while sum(sizes := [_size(*pair) for pair in zip(sections, shares, strict=True)]) > _ROOM:
        longest = max(range(len(shares)), key=lambda one: sizes[one] if shares[one] > 2 else 0)
        if shares[longest] <= 2:
            break
        shares[longest] -= 1
    return [
        section
        if share == len(section)
        else [*section[: share - 1], f"  ... and {len(section) - share + 1} more (--full; error.full)"]
        for section, share in zip(sections, shares, strict=True)
    ]


def _rules(plan: Outcome) -> list[str]:
    rows = list(suggested(plan))
    return ["possible rules (only the sizes speak for them)", *columns(rows)] if rows else []


def _section(title: str, left: Mapping[str, Unmoved]) -> list[str]:
    if not left:
        return []
    rows = fold((name, str(entry.spec), entry.why) for name, entry in sorted(left.items()))
    return [f"{title} ({len(left)})", *columns(rows)]


def _ambiguous(plan: Outcome) -> list[str]:
    lines = [f"ambiguous ({len(plan.doubted)})"] if plan.ambiguous else []
    rows = fold(
        (", ".join(entry.names), "\n".join(entry.candidates), "\n".join(entry.rules))
        for entry in plan.ambiguous
    )
    for names, candidates, rules in rows:
        lines.append(f"  {names}")
        options = zip(candidates.split("\n"), rules.split("\n"), strict=True)
        lines += columns([(candidate, by_pattern(rule)) for candidate, rule in options], "    ")
    return lines


def by_pattern(rule: str) -> str:
    """Write the folded indices of a rule as the braces that a rule has.

    >>> by_pattern('Kind("h.{0..3}.fc", "linear")')
    'Kind("h.{i}.fc", "linear")'
    """
    free = [letter for letter in "ijkn" if f"{{{letter}}}" not in rule]
    letters = dict(zip(dict.fromkeys(_RANGE.findall(rule)), free, strict=False))
    return _RANGE.sub(lambda found: f"{{{letters.get(found[0], found[0])}}}", rule)
