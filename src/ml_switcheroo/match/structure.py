"""Find for the leaves of a template the tensors they are made of: by structure, kinds and words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as default
from typing import Any

from ml_switcheroo.match.assignment.leftovers import folded
from ml_switcheroo.match.assignment.pairing import Match, Rivalry, lay_out, pair, weigh
from ml_switcheroo.match.layouts.choosing import Chosen, choose
from ml_switcheroo.match.layouts.layout_evidence import conventions, narrowed, shown_before, testimony
from ml_switcheroo.match.making.joining import Fused, certain, possible
from ml_switcheroo.match.making.moves import moves_of
from ml_switcheroo.match.making.spread import is_spread, spread_as, spreads
from ml_switcheroo.match.paths.repeats import Position, Token, positions
from ml_switcheroo.match.paths.spelling import segments
from ml_switcheroo.match.paths.vocabulary import LEAF_ROLES
from ml_switcheroo.match.units.fused import cut
from ml_switcheroo.match.units.kinds_by_name import kind_of_class, kinds_of_leaf, kinds_of_words, plain_kind
from ml_switcheroo.match.units.norms import with_standings
from ml_switcheroo.match.units.orders import orders
from ml_switcheroo.match.units.parts_read import reader_of, roles_read
from ml_switcheroo.match.units.roles import routed, ungated, with_roles
from ml_switcheroo.match.units.unit import Index, Piece, Unit, below_root, units
from ml_switcheroo.moves import Move
from ml_switcheroo.recipes import Target
from ml_switcheroo.renaming import one_rename
from ml_switcheroo.rule_lines import expanded, written
from ml_switcheroo.rules import Rename
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Doubt", "Found", "Question", "solve"]


@dataclass(frozen=True)
class Question:
    """What is to be matched.

    Attributes:
        specs: The tensors that have no leaf yet.
        leaves: The leaves that have no source yet.
        target: The target.
        findings: What is known of a tensor's module, by the name of the tensor.
        classes: The class of a tensor's module, where only its name is known.
        renamed: The path that the user's rules give to a tensor.
        all_names: All tensors of the checkpoint.
        all_leaves: All leaves of the template.
        kinds: Kinds of the target's modules that a live model proves, by path.
        filled: Moves that are certain already.
    """

    specs: Mapping[str, TensorSpec]
    leaves: Mapping[str, TensorSpec]
    target: Target
    findings: Mapping[str, Sequence[Finding]] = default(default_factory=dict)
    classes: Mapping[str, str] = default(default_factory=dict)
    renamed: Mapping[str, str] = default(default_factory=dict)
    all_names: Sequence[str] = ()
    all_leaves: Sequence[str] = ()
    kinds: Mapping[str, str] = default(default_factory=dict)
    filled: Sequence[Move] = ()


@dataclass(frozen=True, slots=True)
class Doubt:
    """Tensors for which several answers are as good.

    Attributes:
        names: The tensors.
        candidates: Each answer, with what speaks for it.
        rules: For each answer the rule to write.
    """

    names: tuple[str, ...]
    candidates: tuple[str, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Attributes:
        moves: The moves.
        doubts: What has several answers.
        odd: The kinds of which this tree keeps matrices otherwise than its framework.
    """

    moves: tuple[Move, ...]
    doubts: tuple[Doubt, ...]
    odd: frozenset[str] = frozenset()


def solve(question: Question) -> Found:
    """Match what a question asks."""
    names = positions(dict.fromkeys([*question.all_names, *question.specs]))
    paths = positions(dict.fromkeys([*question.all_leaves, *question.leaves]))
    sources = with_standings(with_roles(units(question.specs, _source_kinds(question), names)), names)
    targets = with_standings(with_roles(units(question.leaves, _target_kinds(question), paths)), paths)
    if not sources or not targets:
        return Found((), ())
    sources = roles_read(sources, targets, question.findings)
    sources, targets = ungated(sources, targets), ungated(targets, sources)
    sources, targets = routed(sources, targets), routed(targets, sources)
    sources, targets = below_root(sources, names, paths), below_root(targets, paths, names)
    whole = sources
    read = reader_of(question.findings)
    sources, targets = cut(sources, targets, read), cut(targets, whole)
    source_orders = orders(sources, _known_orders(question, sources, names))
    field = lay_out(sources, targets, source_orders, _forced(question, sources, targets))
    scores = weigh(field)
    matches, _ = pair(field, scores)
    # What the first matches show of the target's layouts rules out the candidates that contradict it.
    usual = conventions(question.target)
    shown = shown_before(targets, question.filled, usual, paths)
    matches, rivalries = pair(replace(field, candidates=narrowed(field, testimony(matches, shown))), scores)
    chosen, odd = choose(matches, usual, shown, field)
    odd |= {"linear"} if "io" in source_orders else set()
    for number, why in folded(matches, sources, targets).items():
        chosen[number] = dict.fromkeys(chosen[number], Chosen(None, why))
    moves: list[Move] = []
    doubts = [_rivals(rivalry) for rivalry in rivalries]
    fused: dict[tuple[Token, ...], dict[str, dict[Piece, tuple[Match, Chosen]]]] = {}
    for match, layouts in zip(matches, chosen, strict=True):
        for role, choice in layouts.items():
            piece = match.source.piece or match.target.piece
            if choice.layout is None:
                doubts.append(_open(question, match, role, choice))
            elif piece is None:
                made = list(moves_of(match, role, choice, question.specs, question.findings))
                known = read(match.source) if is_spread(match, made) else None
                told = spread_as(made, known[0].parts, known[1]) if known is not None else None
                if is_spread(match, made) and told is None:
                    doubts.append(_spread(made))
                else:
                    moves += told or made
            else:
                whole_unit = match.source if match.source.piece else match.target
                fused.setdefault(whole_unit.pattern, {}).setdefault(role, {})[piece] = match, choice
    for by_role in fused.values():
        slots = [
            Fused(role, [parts[piece] for piece in sorted(parts, key=lambda piece: piece.number)])
            for role, parts in by_role.items()
            if len(parts) == next(iter(parts)).count
        ]
        found = [certain(slot, question.specs, question.findings) for slot in slots]
        if all(found):
            moves += [move for made in found for move in made]
        else:
            doubts += _arranged(slots, question)
    return Found(tuple(moves), tuple(doubts), frozenset(odd))


def _source_kinds(question: Question) -> Callable[[str, str], frozenset[str]]:
    def kinds(path: str, role: str) -> frozenset[str]:
        findings = question.findings.get(path, ())
        plain = {plain_kind(finding.kind) for finding in findings} - {None}
        if role in ("weight", "bias") and all(finding.origin == "evidence" for finding in findings):
            # Shapes that fit no layer of torch: a layer of somebody else's, such as one that keeps in-out.
            plain -= {"parameter"}
            rank = len(question.specs[path].shape)
            plain = plain & kinds_of_words(path, rank) or plain
        if plain:
            return frozenset(str(kind) for kind in plain)
        said = kind_of_class(question.classes.get(path, "")) if role != "parameter" else None
        return frozenset({said}) if said else kinds_of_words(path, len(question.specs[path].shape))

    return kinds


def _target_kinds(question: Question) -> Callable[[str, str], frozenset[str]]:
    def kinds(path: str, _: str) -> frozenset[str]:
        owner = path.replace("/", ".").rpartition(".")[0]
        known = plain_kind(question.kinds.get(owner, ""))
        return frozenset({known}) if known else kinds_of_leaf(path, len(question.leaves[path].shape))

    return kinds


def _known_orders(
    question: Question, sources: Sequence[Unit], where: Mapping[str, Position]
) -> dict[tuple[Token, ...], str]:
    """Return how the matrices are kept of which somebody who knows says what they are, or that are placed."""
    known: dict[tuple[Token, ...], str] = {}
    for move in question.filled:
        square = len(set(move.inputs[0].shape)) < 2
        if (
            move.kind in _ORDERS
            and not square
            and len(move.inputs[0].shape) == 2
            and move.sources[0] in where
        ):
            known[where[move.sources[0]].pattern] = _ORDERS[move.kind]
    for unit in sources:
        if unit.piece is not None and unit.piece.part is not None:
            known[unit.pattern] = "io" if unit.piece.axis else "oi"
            continue
        for slot in unit.slots.values():
            found = {
                finding.kind if finding.origin != "evidence" else ""
                for path in slot.paths.values()
                for finding in question.findings.get(path, ())
            }
            if len(found) == 1 and (kind := found.pop()) in _ORDERS:
                known[unit.pattern] = _ORDERS[kind]
    return known


_ORDERS = {"linear": "oi", "linear_in_out": "io", "mha": "oi"}


def _forced(question: Question, sources: Sequence[Unit], targets: Sequence[Unit]) -> dict[int, int]:
    """Return the pairs that the user's Rename rules name."""
    spelled: dict[tuple[str, ...], int] = {}
    for number, unit in enumerate(targets):
        for slot in unit.slots.values():
            for path in slot.paths.values():
                spelled.setdefault(segments(path)[:-1], number)
                spelled.setdefault(segments(path), number)
    forced: dict[int, int] = {}
    for number, unit in enumerate(sources):
        for slot in unit.slots.values():
            for name in slot.paths.values():
                new = question.renamed.get(name)
                for key in (segments(new), segments(new)[:-1]) if new else ():
                    if key in spelled:
                        forced.setdefault(number, spelled[key])
    return forced


def _arranged(slots: Sequence[Fused], question: Question) -> Iterator[Doubt]:
    """Ask how the parts of a fused tensor lie: once for its weight and its bias."""
    options = [possible(slot, question.specs, question.findings) for slot in slots]
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
        yield Doubt(tuple(names), tuple(asked), rules)


def _spread(made: Sequence[Move]) -> Doubt:
    """Ask how the rows of a fused tensor lie whose parts or heads are axes of the leaf."""
    options = list(spreads(made))
    names = tuple(name for move in made for name in move.sources)
    return Doubt(names, tuple(words for words, _ in options), tuple(_rules(moves) for _, moves in options))


def _by_slot(moves: Sequence[Move]) -> Iterator[list[Move]]:
    """Yield the moves that one rule can say together."""
    found: dict[object, list[Move]] = {}
    for move in moves:
        found.setdefault((move.ops, tuple(name.rpartition(".")[2] for name in move.sources)), []).append(move)
    yield from found.values()


def _rivals(rivalry: Rivalry) -> Doubt:
    names = tuple(path for slot in rivalry.source.slots.values() for path in slot.paths.values())
    return Doubt(
        names,
        tuple(f"{_pattern(rivalry.source)} -> {_pattern(target)}" for target in rivalry.targets),
        tuple(_rename(rivalry.source, target) for target in rivalry.targets),
    )


def _open(question: Question, match: Match, role: str, choice: Chosen) -> Doubt:
    options = match.candidate.options[role]
    made = [
        list(moves_of(match, role, Chosen(layout), question.specs, question.findings)) for layout in options
    ]
    return Doubt(
        tuple(match.source.slots[match.candidate.slots[role]].paths.values()),
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
    named = re.split(r"[./]", next(iter(paths.values())))[-1] in LEAF_ROLES
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


def _pattern(unit: Unit) -> str:
    paths = _modules(unit)
    return _lettered(paths) if len(paths) > 1 else next(iter(paths.values()))
