"""What is asked of a person: tensors with several answers, each with the rule that settles it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_switcheroo.match.assignment.pairing import Match, Rivalry
from ml_switcheroo.match.layouts.choosing import Chosen
from ml_switcheroo.match.making.joining import Fused, possible
from ml_switcheroo.match.making.moves import moves_of
from ml_switcheroo.match.making.spread import spreads
from ml_switcheroo.match.paths.vocabulary import LEAF_SLOTS
from ml_switcheroo.match.units.parts_read import Findings
from ml_switcheroo.match.units.unit import Index, Unit
from ml_switcheroo.moves import Move
from ml_switcheroo.renaming import one_rename
from ml_switcheroo.rule_lines import expanded, written
from ml_switcheroo.rules import Rename
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.unmoved import Ambiguity

__all__ = ["arranged", "name_of", "of_layout", "of_place", "of_rows"]


def arranged(slots: Sequence[Fused], specs: Mapping[str, TensorSpec], known: Findings) -> Iterator[Ambiguity]:
    """Ask how the parts of a fused tensor lie: once for its weight and its bias."""
    options = [possible(slot, specs, known) for slot in slots]
    if not options:
        return
    asked: dict[str, list[Move]] = {}
    for words, parts, moves in options[0]:
        others = [next((made for _, same, made in more if same == parts), None) for more in options[1:]]
        if None not in others:
            asked[words] = [*moves, *(move for made in others for move in made or ())]
    if asked:
        names = dict.fromkeys(name for made in asked.values() for move in made for name in move.sources)
        rules = tuple(", ".join(map(_rules, _by_slot(made))) for made in asked.values())
        yield Ambiguity(tuple(names), tuple(asked), rules)


def of_rows(made: Sequence[Move]) -> Ambiguity:
    """Ask in which order the rows of a fused tensor lie, where its parts or heads are axes of the leaf."""
    options = list(spreads(made))
    names = tuple(name for move in made for name in move.sources)
    return Ambiguity(
        names, tuple(words for words, _ in options), tuple(_rules(moves) for _, moves in options)
    )


def _by_slot(moves: Sequence[Move]) -> Iterator[list[Move]]:
    """Yield the moves that one rule can say together."""
    found: dict[object, list[Move]] = {}
    for move in moves:
        found.setdefault((move.ops, tuple(name.rpartition(".")[2] for name in move.sources)), []).append(move)
    yield from found.values()


def of_place(rivalry: Rivalry) -> Ambiguity:
    """Ask which of several leaves is meant."""
    names = tuple(path for slot in rivalry.source.slots.values() for path in slot.paths.values())
    return Ambiguity(
        names,
        tuple(f"{name_of(rivalry.source)} -> {name_of(target)}" for target in rivalry.targets),
        tuple(_rename(rivalry.source, target) for target in rivalry.targets),
    )


def of_layout(
    match: Match, slot: str, choice: Chosen, specs: Mapping[str, TensorSpec], known: Findings
) -> Ambiguity:
    """Ask how a leaf is laid out."""
    options = match.candidate.options[slot]
    made = [list(moves_of(match, slot, Chosen(layout), specs, known)) for layout in options]
    return Ambiguity(
        tuple(match.source.slots[match.candidate.slots[slot]].paths.values()),
        tuple(f"{layout}: {choice.why}" for layout in options),
        tuple(map(_rules, made)),
    )


def _rules(moves: Sequence[Move]) -> str:
    """Write the rule that makes some moves: one with braces where they differ in their numbers only."""
    plain = [Move(move.sources, move.leaves, move.ops) for move in moves]
    pattern = _as_pattern(moves)
    return written([pattern] if pattern is not None else plain)


def _as_pattern(moves: Sequence[Move]) -> Move | None:
    first = moves[0]
    if len(moves) < 2 or any(move.ops != first.ops for move in moves):
        return None
    columns = list(zip(*((*move.sources, *move.leaves) for move in moves), strict=False))
    if any(len({len(_NUMBER.findall(path)) for path in column}) > 1 for column in columns):
        return None
    lettered = [_lettered(dict(enumerate(column))) for column in columns]
    count = len(first.sources)
    pattern = Move(tuple(lettered[:count]), tuple(lettered[count:]), first.ops)
    try:
        meant = list(expanded(pattern, [move.sources[0] for move in moves]))
    except KeyError:
        return None
    wanted = [(move.sources, move.leaves) for move in moves]
    return pattern if [(move.sources, move.leaves) for move in meant] == wanted else None


_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+|(?<=[A-Za-z_])\d+(?=[._/]|$)")
_HOLE = re.compile(r"\{[a-z]\}")
_LETTERS = "ijkn"


def _rename(source: Unit, target: Unit) -> str:
    """Write the rule that sends a unit to another, with ``{i}`` where both count the same blocks."""
    mine, other = _modules(source), _modules(target)
    here, there = next(iter(mine.values())), next(iter(other.values()))
    shifted = one_rename((mine[i], other[i]) for i in mine) if mine.keys() == other.keys() else None
    if shifted is not None and len(mine) > 1:
        return written(shifted)
    if len(mine) > 1 and mine.keys() == other.keys():
        varying = [_counted(mine, index) for index in range(len(source.containers))]
        lettered = _lettered(mine), _lettered(other)
        alike = set(_HOLE.findall(lettered[1])) <= set(_HOLE.findall(lettered[0]))
        if alike and varying == [_counted(other, index) for index in range(len(target.containers))]:
            here, there = lettered
    return written(Rename(here, there))


def _modules(unit: Unit) -> dict[Index, str]:
    slot = next(iter(unit.slots.values()))
    paths = dict(sorted(slot.paths.items()))
    named = re.split(r"[./]", next(iter(paths.values())))[-1] in LEAF_SLOTS
    return {i: re.split(r"[./][^./]*$", p)[0] for i, p in paths.items()} if named else paths


def _counted(paths: Mapping[Index, str], place: int) -> list[str]:
    """Return the numbers that stand in the paths for one place of the index."""
    rows = {index: _NUMBER.findall(path) for index, path in paths.items()}
    for column in range(min(map(len, rows.values()))):
        seen = {index[place]: row[column] for index, row in rows.items()}
        if len(set(seen.values())) == len(seen) > 1 and all(
            row[column] == seen[index[place]] for index, row in rows.items()
        ):
            return [seen[key] for key in sorted(seen)]
    return []


def _lettered(paths: Mapping[Any, str]) -> str:
    columns = {tuple(_NUMBER.findall(path)) for path in paths.values()}
    varying = [len({row[i] for row in columns}) > 1 for i in range(min(map(len, columns)))]
    letters = iter(_LETTERS)
    holes = iter([f"{{{next(letters)}}}" if varies else "" for varies in varying])
    return _NUMBER.sub(lambda found: next(holes, "") or found[0], next(iter(paths.values())))


def name_of(unit: Unit) -> str:
    """Write the path of a unit, ``{i}`` where the number of a repeated block stands."""
    paths = _modules(unit)
    return _lettered(paths) if len(paths) > 1 else next(iter(paths.values()))
