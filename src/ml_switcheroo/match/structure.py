"""Find for the leaves of a template the tensors they are made of: by structure, kinds and words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ml_switcheroo.axes import equation
from ml_switcheroo.match.choosing import Chosen, choose, conventions
from ml_switcheroo.match.layouts import Way
from ml_switcheroo.match.links import Join
from ml_switcheroo.match.orders import orders
from ml_switcheroo.match.pairing import Match, Rivalry, pair
from ml_switcheroo.match.parts import named
from ml_switcheroo.match.repeats import Token, places
from ml_switcheroo.match.sighting import kind_of_class, kinds_of_leaf, kinds_of_words, plain_kind
from ml_switcheroo.match.spelling import segments
from ml_switcheroo.match.units import Index, Unit, units
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes, Op, Stack, Unstack, trace
from ml_switcheroo.recipes import Target
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
    findings: Mapping[str, Sequence[Finding]] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    all_names: Sequence[str] = ()
    all_leaves: Sequence[str] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
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
    """

    moves: tuple[Move, ...]
    doubts: tuple[Doubt, ...]


def solve(question: Question) -> Found:
    """Match what a question asks."""
    sources = named(units(question.specs, _source_kinds(question), every=question.all_names))
    targets = named(units(question.leaves, _target_kinds(question), every=question.all_leaves))
    if not sources or not targets:
        return Found((), ())
    matches, rivalries = pair(
        sources,
        targets,
        orders(sources, _known_orders(question, sources)),
        _forced(question, sources, targets),
    )
    chosen = choose(matches, conventions(question.target), _shown(question))
    moves: list[Move] = []
    doubts = [_rivals(rivalry) for rivalry in rivalries]
    for match, layouts in zip(matches, chosen, strict=True):
        for role, choice in layouts.items():
            if choice.layout is None:
                doubts.append(_open(match, role, choice))
            else:
                moves += _moves(question, match, role, choice)
    return Found(tuple(moves), tuple(doubts))


def _source_kinds(question: Question) -> Callable[[str, str], frozenset[str]]:
    def kinds(path: str, role: str) -> frozenset[str]:
        findings = question.findings.get(path, ())
        plain = {plain_kind(finding.kind) for finding in findings} - {None}
        if role in ("weight", "bias") and all(finding.origin == "evidence" for finding in findings):
            # Shapes that fit no layer of torch: a layer of somebody else's, such as one that keeps in-out.
            plain -= {"parameter"}
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


def _known_orders(question: Question, sources: Sequence[Unit]) -> dict[tuple[Token, ...], str]:
    """Return the units that somebody who knows calls a Linear of torch."""
    known: dict[tuple[Token, ...], str] = {}
    for unit in sources:
        for slot in unit.slots.values():
            found = [question.findings.get(path, ()) for path in slot.paths.values()]
            if all(f and all(x.kind == "linear" and x.origin != "evidence" for x in f) for f in found):
                known[unit.pattern] = "oi"
    return known


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


def _shown(question: Question) -> dict[tuple[str, str], dict[tuple[Token, ...], str]]:
    """Return the layouts that leaves show which are filled already and not square."""
    usual = conventions(question.target)
    found: dict[tuple[str, str], dict[tuple[Token, ...], str]] = {}
    where = places(question.all_leaves)
    for move in question.filled:
        path = move.leaves[0]
        leaf = path.replace(".", "/").rpartition("/")[2]
        square = len(set(move.inputs[0].shape)) < len(move.inputs[0].shape)
        if len(move.leaves) == 1 and (move.kind, leaf) in usual and not square and path in where:
            found.setdefault((move.kind, leaf), {})[where[path].pattern] = usual[move.kind, leaf]
    return found


def _moves(question: Question, match: Match, role: str, choice: Chosen) -> list[Move]:
    have, want = match.source.slots[match.link.slots[role]], match.target.slots[role]
    options = match.link.options[role][str(choice.layout)]
    moves = []
    for join in match.link.joins:
        sources = tuple(have.paths[index] for index in join.sources)
        leaves = tuple(want.paths[index] for index in join.leaves)
        way = options[have.specs[join.sources[0]].shape, want.specs[join.leaves[0]].shape]
        ops = _ops(way, join, match.link.sizes)
        inputs = tuple(question.specs[name] for name in sources)
        moves.append(_move(question, match, sources, leaves, ops, inputs, choice.why))
    return moves


def _move(
    question: Question,
    match: Match,
    sources: tuple[str, ...],
    leaves: tuple[str, ...],
    ops: tuple[Op, ...],
    inputs: tuple[TensorSpec, ...],
    why: str,
) -> Move:
    findings = question.findings.get(sources[0], ())
    reason = "; ".join(text for text in (match.why, why) if text)
    known = findings[0] if len(findings) == 1 else None
    kind = known.kind if known else match.link.kind if match.link.kind != "norm" else "parameter"
    return Move(
        sources=sources,
        leaves=leaves,
        ops=ops,
        inputs=inputs,
        outputs=trace(ops, inputs)[-1],
        kind=kind,
        origin="target",
        reason=f"{known.reason}; {reason}" if known else reason,
        where=known.where if known else "",
    )


def _ops(way: Way, join: Join, sizes: tuple[int, ...]) -> tuple[Op, ...]:
    axis = int(way.layout.partition(":")[0]) if sizes else 0
    if len(join.sources) > 1 or (sizes and len(join.leaves) == 1):
        return (*way.ops, Stack(axis), *_grid(axis, sizes, apart=True))
    if len(join.leaves) > 1:
        return (*_grid(axis, sizes, apart=False), Unstack(axis), *way.ops)
    return way.ops


def _grid(axis: int, sizes: tuple[int, ...], *, apart: bool) -> tuple[Op, ...]:
    """Take the one axis of several stacks apart, or put them together."""
    if len(sizes) < 2:
        return ()
    stacks = [f"s{i}" for i in range(len(sizes))]
    before = [f"b{i}" for i in range(axis)]
    one, many = [*before, f"({' '.join(stacks)})", "*rest"], [*before, *stacks, "*rest"]
    left, right = (one, many) if apart else (many, one)
    rule = equation(" ".join(left), " ".join(right))
    return (Axes(str(rule), tuple(zip(stacks, sizes, strict=True)) if apart else ()),)


def _rivals(rivalry: Rivalry) -> Doubt:
    names = tuple(path for slot in rivalry.source.slots.values() for path in slot.paths.values())
    return Doubt(
        names,
        tuple(f"{_pattern(rivalry.source)} -> {_pattern(target)}" for target in rivalry.targets),
        tuple(_rename(rivalry.source, target) for target in rivalry.targets),
    )


def _open(match: Match, role: str, choice: Chosen) -> Doubt:
    names = tuple(match.source.slots[match.link.slots[role]].paths.values())
    options = match.link.options[role]
    first = names[0], next(iter(match.target.slots[role].paths.values()))
    return Doubt(
        names,
        tuple(f"{layout}: {choice.why}" for layout in options),
        tuple(
            f'Move("{first[0]}", "{first[1]}", {next(iter(ways.values())).ops!r})'
            for ways in options.values()
        ),
    )


_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+|(?<=[A-Za-z_])\d+(?=[._/]|$)")
_LETTERS = "ijkn"


def _rename(source: Unit, target: Unit) -> str:
    """Write the rule that sends a unit to another, with ``{i}`` where both count the same blocks."""
    mine, other = _modules(source), _modules(target)
    here, there = next(iter(mine.values())), next(iter(other.values()))
    if len(mine) > 1 and mine.keys() == other.keys():
        varying = [_counted(mine, index) for index in range(len(source.containers))]
        if varying == [_counted(other, index) for index in range(len(target.containers))]:
            here, there = _lettered(mine), _lettered(other)
    return f'Rename("{here}", "{there}")'


def _modules(unit: Unit) -> dict[Index, str]:
    role, slot = next(iter(unit.slots.items()))
    paths = dict(sorted(slot.paths.items()))
    return paths if role == "parameter" else {i: re.split(r"[./][^./]*$", p)[0] for i, p in paths.items()}


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


def _lettered(paths: Mapping[Index, str]) -> str:
    columns = {tuple(_NUMBER.findall(path)) for path in paths.values()}
    varying = [len({row[i] for row in columns}) > 1 for i in range(min(map(len, columns)))]
    letters = iter(_LETTERS)
    holes = iter([f"{{{next(letters)}}}" if varies else "" for varies in varying])
    return _NUMBER.sub(lambda found: next(holes, "") or found[0], next(iter(paths.values())))


def _pattern(unit: Unit) -> str:
    paths = _modules(unit)
    return _lettered(paths) if len(paths) > 1 else next(iter(paths.values()))
