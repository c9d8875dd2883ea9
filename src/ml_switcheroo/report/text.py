"""What is said of a plan: a summary, what needs a person, and in full every tensor."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

from ml_switcheroo.laid import Block, Cell, Line, Role, plain
from ml_switcheroo.report.folding import Row, fold, joined

if TYPE_CHECKING:
    from ml_switcheroo.moves import Move
    from ml_switcheroo.outcome import Outcome
    from ml_switcheroo.unmoved import Unmoved

__all__ = [
    "NAMES_OF_ITS_OWN",
    "ambiguous_block",
    "by_pattern",
    "differences_block",
    "left_block",
    "move_texts",
    "plan_blocks",
    "plan_text",
    "summary",
    "titled",
    "written_blocks",
]

NAMES_OF_ITS_OWN = (
    'If the model has names of its own, say what PyTorch\'s is given: inputs="float32[1,3,64,64]".'
)
_RANGE = re.compile(r"\{\d+\.\.\d+\}")
_TITLES: Mapping[Role, str] = {
    "dropped": "dropped",
    "kept": "kept as the target has them",
    "unexpected": "unexpected: no leaf takes them",
    "missing": "missing: nothing fills them",
}
_NEEDING: tuple[Role, ...] = ("unexpected", "missing")
"""What of these needs a person."""
_MOST_REASONS, _MOST_ROWS, _MOST_NOTES, _MOST_KINDS = 8, 20, 5, 5
"""How much of each is shown where not everything is asked for."""


def plan_text(plan: Outcome) -> str:
    """Write the whole plan: what moves how and why, and everything that does not move."""
    return "\n".join(plain(plan_blocks(plan, full=True)))


def plan_blocks(plan: Outcome, *, full: bool = False) -> Iterator[Block]:
    """Yield what is said of a plan.

    Args:
        plan: The plan.
        full: Say what becomes of every tensor; else sum it up, and list what needs a person.
    """
    yield from titled(plan)
    sections: list[Block] = [[_head("moved", f"moved ({len(plan.inputs)})"), *_layers(plan.moves)]] * full
    sections += [_cut(left_block(plan, role), full=full) for role in _TITLES if full or role in _NEEDING]
    sections += [_cut(ambiguous_block(plan), full=full), _cut(differences_block(plan), full=full)]
    notes = dict.fromkeys([*(note for move in plan.moves for note in move.notes), *plan.notes])
    lines = [Line((Cell(f"note: {note}", "note"),)) for note in notes]
    for section in (*sections, _cut(lines, full=full, most=_MOST_NOTES)):
        if section:
            yield [Line((Cell(""),)), *section]


def titled(plan: Outcome) -> Iterator[Block]:
    """Yield the summary: a line for what moves, for each reason why something stays, and for what is open."""
    total = len(plan.inputs) + len(plan.dropped) + len(plan.unexpected) + len(plan.doubted)
    yield [
        Line((Cell(f"{plan.source or 'state dict'} -> {plan.target}: {_count(total, 'tensor')}", "title"),))
    ]
    rows = list(_summed(plan))
    wide = max(len(f"{count:,}") for _, count, _ in rows)
    yield [
        Line((Cell(role, role), Cell(f"{count:,}".rjust(wide)), Cell(said)), 2) for role, count, said in rows
    ]


def written_blocks(plan: Outcome, out: str, nbytes: int) -> Iterator[Block]:
    """Yield what is said when a plan was carried out: what was written, and what became of the tensors."""
    _, summed = titled(plan)
    yield [Line((Cell(f"{out}: {_count(len(plan.outputs), 'leaf', 'leaves')}, {nbytes:,} bytes", "title"),))]
    yield summed


def _summed(plan: Outcome) -> Iterator[tuple[Role, int, str]]:
    kinds = Counter(kind for move in plan.moves for kind in [move.kind] * len(move.sources))
    most = _MOST_KINDS if len(kinds) > _MOST_KINDS + 1 else len(kinds)
    ordered = sorted(kinds.items(), key=lambda one: (-one[1], one[0]))
    counted = [f"{count:,} {kind}" for kind, count in ordered[:most]]
    counted += [f"{len(kinds) - most} other kinds"] * (len(kinds) > most)
    into = f"{_count(len(plan.outputs), 'leaf', 'leaves')} filled"
    yield "moved", len(plan.inputs), f"{into}: {', '.join(counted)}" if counted else into
    for role in ("dropped", "kept"):
        yield from _reasons(role, getattr(plan, role))
    if plan.unexpected:
        yield "unexpected", len(plan.unexpected), "no leaf takes them"
    if plan.missing:
        yield "missing", len(plan.missing), f"{_leaves(len(plan.missing))} that nothing fills"
    if plan.ambiguous:
        yield "ambiguous", len(plan.doubted), "several answers fit"
    if plan.differences:
        yield "different", len(plan.differences), "the programs compute something else"


def _leaves(count: int) -> str:
    return "a leaf" if count == 1 else "leaves"


def _reasons(role: Role, left: Mapping[str, Unmoved]) -> Iterator[tuple[Role, int, str]]:
    """Yield how many are left for each reason; reasons that differ in names and numbers alone are one."""
    alike: dict[str, Counter[str]] = {}
    for name, entry in left.items():
        sort = re.sub(r"\d+", "#", _without(entry.why, name))
        alike.setdefault(sort, Counter())[entry.why] += 1
    most = sorted(alike.values(), key=lambda whys: -whys.total())
    for whys in most[:_MOST_REASONS]:
        first, *others = whys
        yield role, whys.total(), f"{first}, and {_count(len(others), 'other')} alike" if others else first
    rest = most[_MOST_REASONS:]
    if rest:
        yield role, sum(whys.total() for whys in rest), f"for {_count(len(rest), 'other reason')} (--full)"


def _without(why: str, name: str) -> str:
    """Put a hole where a reason names what it is about, or its module."""
    for named in (name, name.rpartition(".")[0]):
        why = why.replace(named, "*") if named else why
    return why


def _count(number: int, word: str, words: str = "") -> str:
    return f"{number:,} {word if number == 1 else words or f'{word}s'}"


def _cut(block: Block, *, full: bool, most: int = _MOST_ROWS) -> Block:
    """Cut a block where not everything is asked for, and say how much is left out."""
    if full or len(block) <= most + 1:
        return block
    indent = block[-1].indent
    return [
        *block[:most],
        Line((Cell(f"... and {len(block) - most:,} more lines (--full)", "faint"),), indent),
    ]


def _head(role: Role, text: str) -> Line:
    return Line((Cell(text, role),))


def _layers(moves: Iterable[Move]) -> Iterator[Line]:
    """Yield the moves layer by layer: the kind and who decided it, then its tensors in columns."""
    layers = (
        tuple(text for move in block for text in move_texts(move)) + why
        for (_, why), block in groupby(
            moves, key=lambda move: (move.sources[0].rpartition(".")[0], _why(move))
        )
    )
    last = ""
    for *texts, kind, why in fold(layers):
        if (head := f"{kind}  {why}") != last:
            yield Line((Cell(head, "faint"),), 2)
            last = head
        yield from (_move_line(tuple(texts[i : i + 6])) for i in range(0, len(texts), 6))


def _move_line(texts: Row) -> Line:
    source, given, arrow, leaf, made, how = texts
    cells = (Cell(source), Cell(given, "faint"), Cell(arrow), Cell(leaf, "moved"), Cell(made, "faint"))
    return Line((*cells, Cell(how)), 4)


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


def differences_block(plan: Outcome) -> Block:
    """Return where the programs differ, under a head."""
    if not plan.differences:
        return []
    head = _head("different", "different: the programs compute something else")
    return [head, *(Line((Cell(line),), 2) for line in plan.differences)]


def left_block(plan: Outcome, role: Role, names: Iterable[str] | None = None) -> Block:
    """Return what no move touches for one sort of reason, folded, under a head.

    Args:
        plan: The plan.
        role: The sort: ``dropped``, ``kept``, ``unexpected`` or ``missing``.
        names: Only these.
    """
    left: Mapping[str, Unmoved] = getattr(plan, role)
    if names is not None:
        left = {name: left[name] for name in names}
    if not left:
        return []
    rows = fold((name, str(entry.spec), entry.why) for name, entry in sorted(left.items()))
    head = _head(role, f"{_TITLES[role]} ({len(left)})")
    return [
        head,
        *(Line((Cell(name), Cell(spec, "faint"), Cell(_pasted(why))), 2) for name, spec, why in rows),
    ]


def _pasted(why: str) -> str:
    """Write the rule that a reason ends in so that it can be pasted."""
    said, name, rule = why.partition("Kind(")
    return said + by_pattern(name + rule)


def ambiguous_block(plan: Outcome) -> Block:
    """Return the tensors that have several answers, each with the rule to write for it, under a head."""
    if not plan.ambiguous:
        return []
    rows = fold(
        (", ".join(entry.names), "\n".join(entry.candidates), "\n".join(entry.rules))
        for entry in plan.ambiguous
    )
    lines = [_head("ambiguous", f"ambiguous: several answers fit, each with its rule ({len(plan.doubted)})")]
    for names, candidates, rules in rows:
        lines.append(Line((Cell(names),), 2))
        options = zip(candidates.split("\n"), rules.split("\n"), strict=True)
        lines += [Line((Cell(said), Cell(by_pattern(rule), "rule")), 4) for said, rule in options]
    return lines


def by_pattern(rule: str) -> str:
    """Write the folded indices of a rule as the braces that a rule has.

    >>> by_pattern('Kind("h.{0..3}.fc", "linear")')
    'Kind("h.{i}.fc", "linear")'
    """
    free = [letter for letter in "ijkn" if f"{{{letter}}}" not in rule]
    letters = dict(zip(dict.fromkeys(_RANGE.findall(rule)), free, strict=False))
    return _RANGE.sub(lambda found: f"{{{letters.get(found[0], found[0])}}}", rule)
