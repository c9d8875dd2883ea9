"""A plan as text for people: every tensor, with the indices of repeated layers folded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_switcheroo.moves import Move
    from ml_switcheroo.plan import Left, Plan

__all__ = ["columns", "fold", "plan_text", "problems_text"]

_INDEX = re.compile(r"(?<![A-Za-z0-9 ])\d+(?=[./\[\]\"]|$)|(?<=_)\d+(?=[./\"]|$)")
_RANGE = re.compile(r"\{\d+\.\.\d+\}")

Row = tuple[str, ...]


def fold(rows: Iterable[Row]) -> list[Row]:
    """Fold rows that differ in one index only: ``layers.0.w``, ``layers.1.w`` -> ``layers.{0..1}.w``.

    A row is a tuple of texts; the index must change in the same way in all of them.

    >>> fold([("h.0.w", "h_0/w"), ("h.1.w", "h_1/w"), ("h.2.w", "h_2/w"), ("out", "out")])
    [('h.{0..2}.w', 'h_{0..2}/w'), ('out', 'out')]
    """
    result = list(rows)
    position = 0
    while True:
        folded = _fold_at(result, position)
        if folded is None:
            return result
        result, position = folded, position + 1


def _fold_at(rows: list[Row], position: int) -> list[Row] | None:
    """Fold the index that stands at ``position`` among the first text's indices."""
    groups: dict[Row, list[int]] = {}
    deep = False
    for row in rows:
        found = list(_INDEX.finditer(row[0]))
        if position < len(found):
            deep = True
            groups.setdefault(_template(row, found, position), []).append(int(found[position][0]))
        else:
            groups.setdefault(row, []).append(-1)
    return (
        [_unfold(template, run) for template, seen in groups.items() for run in _runs(seen)] if deep else None
    )


def _template(row: Row, found: Sequence[re.Match[str]], position: int) -> Row:
    """Put a hole where the index stands, in the first text and in those that have the same indices."""
    indices = [index[0] for index in found]
    template = []
    for text in row:
        here = list(_INDEX.finditer(text))
        times, rest = divmod(len(here), len(indices))
        if not rest and [index[0] for index in here] == indices * times:
            for index in reversed(here[position :: len(indices)]):
                text = text[: index.start()] + "\0" + text[index.end() :]
        template.append(text)
    return tuple(template)


def _unfold(template: Row, run: tuple[int, int]) -> Row:
    low, high = run
    text = str(low) if low == high else f"{{{low}..{high}}}"
    return tuple(part.replace("\0", text) for part in template)


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index in sorted(set(indices)):
        if runs and index == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs


def columns(rows: Sequence[Row], indent: str = "  ") -> list[str]:
    """Align texts in columns, two blanks between them."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [indent + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def plan_text(plan: Plan) -> str:
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
    lines += [f"note: {note}" for note in plan.notes]
    return "\n".join(lines)


def _blocks(moves: Iterable[Move]) -> list[str]:
    """Write the moves layer by layer: the kind and who decided it, then its tensors in columns."""
    layers = (
        tuple(text for move in block for text in _texts(move)) + why
        for (_, why), block in groupby(
            moves, key=lambda move: (move.sources[0].rpartition(".")[0], _why(move))
        )
    )
    rows: list[Row] = []
    heads: dict[int, str] = {}
    for *texts, kind, why in fold(layers):
        heads[len(rows)] = f"{kind}  {why}"
        rows += [tuple(texts[i : i + 6]) for i in range(0, len(texts), 6)]
    aligned = columns(rows, "  ")
    return [line for i, row in enumerate(aligned) for line in ([heads[i]] if i in heads else []) + [row]]


def _texts(move: Move) -> Row:
    return (
        joined(move.sources),
        ", ".join(dict.fromkeys(map(str, move.inputs))),
        "->",
        joined(move.leaves),
        ", ".join(dict.fromkeys(map(str, move.outputs))),
        move.what,
    )


def joined(paths: Sequence[str]) -> str:
    """Write paths that differ in the middle once, with the difference in braces.

    >>> joined(("attn.query.kernel", "attn.key.kernel", "attn.value.kernel"))
    'attn.{query,key,value}.kernel'
    >>> joined(("a.b", "c"))
    'a.b, c'
    """
    rows = [re.split(r"(?<=[./])", path) for path in paths]
    first, shortest = rows[0], min(map(len, rows))
    head = next((i for i in range(shortest) if len({row[i] for row in rows}) > 1), shortest)
    tail = next(
        (i for i in range(shortest - head) if len({row[-1 - i] for row in rows}) > 1), shortest - head
    )
    if len(paths) == 1 or not head + tail:
        return ", ".join(paths)
    middles = ["".join(row[head : len(row) - tail]) for row in rows]
    ends = {middle[-1:] for middle in middles}
    end = ends.pop() if len(ends) == 1 and tail else ""
    inside = ",".join(middle.removesuffix(end) for middle in middles)
    return "".join(first[:head]) + f"{{{inside}}}{end}" + "".join(first[len(first) - tail :])


def _why(move: Move) -> Row:
    return (move.kind, f"{move.origin}: {move.reason}" + (f"  ({move.where})" if move.where else ""))


def summary(plan: Plan) -> str:
    """Count what becomes of the tensors, in one line."""
    ambiguous = sum(len(entry.names) for entry in plan.ambiguous)
    counts = {
        "moved": len(plan.inputs),
        "dropped": len(plan.dropped),
        "unexpected": len(plan.unexpected),
        "ambiguous": ambiguous,
    }
    text = ", ".join(f"{count} {word}" for word, count in counts.items() if count or word == "moved")
    filled = f"{len(plan.outputs)} leaves filled"
    filled += f", {len(plan.kept)} kept" if plan.kept else ""
    filled += f", {len(plan.missing)} missing" if plan.missing else ""
    total = sum(counts.values())
    return f"{total} tensor{'s' * (total != 1)} ({text}), {filled}"


def problems_text(plan: Plan, missing: Sequence[str], unexpected: Sequence[str]) -> str:
    """Write what keeps a plan from being applied, and the cure."""
    head = (
        f"the plan for {plan.source or 'this state dict'} -> {plan.target} is not complete: {summary(plan)}"
    )
    lines = [head]
    lines += _section("missing: nothing fills them", {path: plan.missing[path] for path in missing})
    lines += _section("unexpected: no leaf takes them", {name: plan.unexpected[name] for name in unexpected})
    lines += _ambiguous(plan)
    cures = []
    if missing or unexpected:
        cures.append('add Rename("name in PyTorch", "path in the target"), Drop or Keep rules')
        cures += ["pass --allow-missing"] * bool(missing) + ["pass --allow-unexpected"] * bool(unexpected)
    if plan.ambiguous:
        cures.append("say what the layers are (layers=, --layers) or add one of the rules above")
    return "\n".join([*lines, "To mend it: " + "; or ".join(cures) + "."])


def _section(title: str, left: Mapping[str, Left]) -> list[str]:
    if not left:
        return []
    rows = fold((name, str(entry.spec), entry.why) for name, entry in sorted(left.items()))
    return [f"{title} ({len(left)})", *columns(rows)]


def _ambiguous(plan: Plan) -> list[str]:
    lines = [f"ambiguous ({sum(len(e.names) for e in plan.ambiguous)})"] if plan.ambiguous else []
    rows = fold(
        (", ".join(entry.names), "\n".join(entry.candidates), "\n".join(entry.rules))
        for entry in plan.ambiguous
    )
    for names, candidates, rules in rows:
        lines.append(f"  {names}")
        options = zip(candidates.split("\n"), rules.split("\n"), strict=True)
        lines += columns([(candidate, _pattern(rule)) for candidate, rule in options], "    ")
    return lines


def _pattern(rule: str) -> str:
    """Write the folded indices of a rule as the braces that a rule has."""
    free = [letter for letter in "ijkn" if f"{{{letter}}}" not in rule]
    letters = dict(zip(dict.fromkeys(_RANGE.findall(rule)), free, strict=False))
    return _RANGE.sub(lambda found: f"{{{letters.get(found[0], found[0])}}}", rule)
