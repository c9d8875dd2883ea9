"""Find for the leaves of a template the tensors they are made of: by structure, kinds and words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as default

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.match.assignment.field import lay_out, weigh
from ml_switcheroo.match.assignment.leftovers import folded
from ml_switcheroo.match.assignment.pairing import Match, pair
from ml_switcheroo.match.layouts.choosing import Chosen, choose
from ml_switcheroo.match.layouts.layout_evidence import conventions, narrowed, shown_before, shown_by
from ml_switcheroo.match.making.doubts import arranged, of_layout, of_place, of_rows
from ml_switcheroo.match.making.joining import Fused, certain
from ml_switcheroo.match.making.moves import moves_of
from ml_switcheroo.match.making.spread import is_spread, spread_as
from ml_switcheroo.match.paths.repeats import Position, Token, positions
from ml_switcheroo.match.paths.spelling import segments
from ml_switcheroo.match.trace import Weighing
from ml_switcheroo.match.units.fused import cut
from ml_switcheroo.match.units.kinds_by_name import kind_of_class, kinds_of_leaf, kinds_of_words, plain_kind
from ml_switcheroo.match.units.norms import with_standings
from ml_switcheroo.match.units.orders import orders
from ml_switcheroo.match.units.parts_read import reader_of, roles_read
from ml_switcheroo.match.units.roles import routed, ungated, with_roles
from ml_switcheroo.match.units.unit import Piece, Unit, below_root, units
from ml_switcheroo.moves import Move
from ml_switcheroo.recipes import Target
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.unmoved import Ambiguity

__all__ = ["Found", "Question", "solve"]


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
        trace: Where to keep what was weighed; None for nowhere.
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
    trace: list[Weighing] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Attributes:
        moves: The moves.
        doubts: What has several answers.
        odd: The kinds whose matrices this tree keeps otherwise than its framework does.
    """

    moves: tuple[Move, ...]
    doubts: tuple[Ambiguity, ...]
    odd: frozenset[str] = frozenset()


def solve(question: Question) -> Found:
    """Match what a question asks: the stages of :mod:`ml_switcheroo.match`, one after another."""
    names = positions(dict.fromkeys([*question.all_names, *question.specs]))
    paths = positions(dict.fromkeys([*question.all_leaves, *question.leaves]))
    sources, targets = _units(question, names, paths)
    if not sources or not targets:
        return Found((), ())
    source_orders = orders(sources, _known_orders(question, sources, names))
    field = lay_out(sources, targets, source_orders, _forced(question, sources, targets))
    scores = weigh(field)
    # What the first pairs show of the target's layouts rules out the candidates that contradict it.
    usual = conventions(question.target)
    shown = shown_before(targets, question.filled, usual, paths)
    narrow = replace(field, candidates=narrowed(field, shown_by(pair(field, scores).matches, shown)))
    paired = pair(narrow, scores)
    chosen, odd = choose(paired.matches, usual, shown, field)
    odd |= {"linear"} if "io" in source_orders else set()
    for number, why in folded(paired.matches, sources, targets).items():
        chosen[number] = dict.fromkeys(chosen[number], Chosen(None, why))
    if question.trace is not None:
        question.trace.append(Weighing(field, narrow, scores, paired, chosen))
    moves, doubts = _made(question, paired.matches, chosen)
    return Found(tuple(moves), (*map(of_place, paired.rivalries), *doubts), frozenset(odd))


def _units(
    question: Question, names: Mapping[str, Position], paths: Mapping[str, Position]
) -> tuple[list[Unit], list[Unit]]:
    """Group both sides into units, and say of each what it is for."""
    sources = with_standings(with_roles(units(question.specs, _source_kinds(question), names)), names)
    targets = with_standings(with_roles(units(question.leaves, _target_kinds(question), paths)), paths)
    if not sources or not targets:
        return sources, targets
    # Each step needs both sides as the step before left them.
    sources = roles_read(sources, targets, question.findings)
    sources, targets = ungated(sources, targets), ungated(targets, sources)
    sources, targets = routed(sources, targets), routed(targets, sources)
    sources, targets = below_root(sources, names, paths), below_root(targets, paths, names)
    return cut(sources, targets, reader_of(question.findings)), cut(targets, sources)


def _made(
    question: Question, matches: Sequence[Match], chosen: Sequence[Mapping[str, Chosen]]
) -> tuple[list[Move], list[Ambiguity]]:
    """Make the moves of the matches, and the doubts of those whose layouts are open."""
    specs, known = question.specs, question.findings
    moves: list[Move] = []
    doubts: list[Ambiguity] = []
    # By fused unit, by its slot, by its part: the parts of one tensor make one move together.
    fused: dict[tuple[Token, ...], dict[str, dict[Piece, tuple[Match, Chosen]]]] = {}
    for match, layouts in zip(matches, chosen, strict=True):
        for slot, choice in layouts.items():
            piece = match.source.piece or match.target.piece
            if choice.layout is None:
                doubts.append(of_layout(match, slot, choice, specs, known))
            elif piece is None:
                made = list(moves_of(match, slot, choice, specs, known))
                told = _told(question, match, made)
                moves += told or ()
                doubts += [of_rows(made)] if told is None else []
            else:
                whole = match.source if match.source.piece else match.target
                fused.setdefault(whole.pattern, {}).setdefault(slot, {})[piece] = match, choice
    for by_slot in fused.values():
        slots = [
            Fused(slot, [parts[piece] for piece in sorted(parts, key=lambda piece: piece.number)])
            for slot, parts in by_slot.items()
            if len(parts) == next(iter(parts)).count
        ]
        found = [certain(slot, specs, known) for slot in slots]
        if all(found):
            moves += [move for made in found for move in made]
        else:
            doubts += arranged(slots, specs, known)
    return moves, doubts


def _told(question: Question, match: Match, made: list[Move]) -> list[Move] | None:
    """Return the moves of one slot; None where its rows are divided and nobody knows their order."""
    if not is_spread(match, made):
        return made
    known = reader_of(question.findings)(match.source)
    return spread_as(made, known[0].parts, known[1]) if known is not None else None


def _source_kinds(question: Question) -> Callable[[str, str], frozenset[str]]:
    def kinds(path: str, slot: str) -> frozenset[str]:
        findings = question.findings.get(path, ())
        plain = {plain_kind(finding.kind) for finding in findings} - {None}
        if slot in ("weight", "bias") and all(finding.origin == "evidence" for finding in findings):
            # No layer of torch fits these shapes. The words may know a layer of another library, such as one
            # that keeps (in, out); "parameter" would allow everything.
            plain -= {"parameter"}
            rank = len(question.specs[path].shape)
            plain = plain & kinds_of_words(path, rank) or plain
        if plain:
            return frozenset(str(kind) for kind in plain)
        said = kind_of_class(question.classes.get(path, "")) if slot != "parameter" else None
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
    """Return how matrices are kept, where a source or a move that is certain says it."""
    known: dict[tuple[Token, ...], str] = {}
    for move in question.filled:
        square = len(set(move.inputs[0].shape)) < 2
        if _order(move.kind) and not square and len(move.inputs[0].shape) == 2 and move.sources[0] in where:
            known[where[move.sources[0]].pattern] = _order(move.kind)
    for unit in sources:
        if unit.piece is not None and unit.piece.part is not None:
            known[unit.pattern] = "io" if unit.piece.axis else "oi"
            continue
        for slot in unit.slots.values():
            found = {
                _order(finding.kind) if finding.origin != "evidence" else ""
                for path in slot.paths.values()
                for finding in question.findings.get(path, ())
            }
            if len(found) == 1 and (order := found.pop()):
                known[unit.pattern] = order
    return known


def _order(kind: str) -> str:
    """Return whether the matrix of a kind has the output first; empty for a kind without one."""
    row = LAYERS.get(kind)
    if row is None or row.matched != "linear":
        return ""
    return "io" if row.dense and row.place("in") == 0 else "oi"


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
