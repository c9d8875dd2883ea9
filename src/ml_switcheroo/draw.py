"""Draw a plan: ask the sources, try every answer that is possible, keep what is certain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_switcheroo.differences import differences
from ml_switcheroo.errors import RuleError, UsageError
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.match.sighting import plain_kind
from ml_switcheroo.match.spelling import Spelling, segments
from ml_switcheroo.match.structure import Doubt, Question, solve
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Cast
from ml_switcheroo.options import Option, option_for
from ml_switcheroo.plan import Ambiguity, Left, Plan
from ml_switcheroo.recipes import Target
from ml_switcheroo.rules import Drop, Keep, Rename, Rule, match, renamed
from ml_switcheroo.sources.classify import Owner, classify
from ml_switcheroo.sources.findings import Finding, Knowledge
from ml_switcheroo.tensors import DTYPES, TensorSpec
from ml_switcheroo.tree import Template

__all__ = ["Request", "draw_plan", "dropped_by"]


@dataclass(frozen=True)
class Request:
    """Everything a plan is made from.

    Attributes:
        specs: Specs of the source tensors, in order.
        target: The target.
        knowledge: What the sources say, the most believed first.
        template: The target's tree, where there is one.
        rules: The user's rules.
        dtype: The dtype that floating-point leaves get, where one was asked for.
        source: Where the tensors come from.
    """

    specs: Mapping[str, TensorSpec]
    target: Target
    knowledge: Sequence[Knowledge]
    template: Template | None = None
    rules: tuple[Rule, ...] = ()
    dtype: str | None = None
    source: str = ""


def draw_plan(request: Request) -> Plan:
    """Make the plan of a request; what cannot be settled stands in it as missing or ambiguous."""
    dropped = dropped_by(request.rules, request.specs)
    moves = _given(request)
    given = {name for move in moves for name in move.sources}
    names = [name for name in request.specs if name not in dropped and name not in given]
    owners = classify(names, request.knowledge)
    place = _Places(request)
    unexpected: dict[str, Left] = {}
    ambiguous: list[Ambiguity] = []
    pending: list[tuple[Owner, list[Option]]] = []
    rivals: list[Owner] = []
    for owner in owners:
        if request.template is not None and not place.knows(owner.path) and _may_ask(owner, request):
            pending.append((owner, []))
            continue
        options = _options(owner, request, place)
        if request.template is not None and _is_open(owner, options, request):
            pending.append((owner, options))
        elif not options:
            ambiguous.append(_unknown(owner))
            rivals.append(owner)
        elif len(options) > 1:
            ambiguous.append(_open(owner, options))
            rivals.append(owner)
        else:
            moves += options[0].moves
            dropped.update({n: Left(request.specs[n], why) for n, why in options[0].dropped.items()})
            unexpected.update({n: Left(request.specs[n], why) for n, why in options[0].refused.items()})
            rivals += [owner] if options[0].refused else []
    found = _matched(request, pending, moves, rivals, lambda owner: _options(owner, request, place))
    moves += found.moves
    ambiguous += [Ambiguity(doubt.names, doubt.candidates, doubt.rules) for doubt in found.doubts]
    unexpected.update(found.unexpected)
    dropped.update(found.dropped)
    moves, clashes = _without_clashes(moves)
    moves = [_cast(move, request) for move in moves]
    kept, missing = _unfilled(request, moves, unexpected)
    notes = [note for knowledge in request.knowledge for note in knowledge.notes]
    if request.template is not None:
        known = {n: o.possible[0] for o in owners if len(o.possible) == 1 for n in o.tensors.values()}
        notes += differences(request.target, request.template, moves, known)
    return Plan(
        target=request.target.name,
        moves=tuple(moves),
        dropped=dropped,
        kept=kept,
        unexpected=unexpected,
        missing=missing,
        ambiguous=(*ambiguous, *clashes),
        notes=tuple(notes),
        source=request.source,
    )


def _options(owner: Owner, request: Request, place: _Places) -> list[Option]:
    """Try every finding of a module."""
    where, shown = place.of(owner.path), place.shown(owner.path)
    tried = (
        option_for(owner, finding, request.specs, request.target, where, shown) for finding in owner.possible
    )
    return _fitting(owner, _distinct(tried), request)


def _is_open(owner: Owner, options: Sequence[Option], request: Request) -> bool:
    """Tell whether the structure of the target is to be asked where a module's tensors go.

    Everything that is not settled by kind and spelling is asked for; and every square matrix, because its
    layout can only be seen on others like it. A recipe of several tensors, or one behind a Flatten, is not
    for the structure to decide.
    """
    if not _may_ask(owner, request):
        return False
    if len(options) != 1 or options[0].refused:
        return True
    plain = [finding for finding in owner.possible if plain_kind(finding.kind) is not None]
    shapes = [request.specs[name].shape for slot, name in owner.tensors.items() if slot == "weight"]
    matrix = plain_kind(plain[0].kind) in ("linear", "conv")
    return matrix and any(len(set(shape)) < len(shape) for shape in shapes)


def _may_ask(owner: Owner, request: Request) -> bool:
    """Tell whether a module is of a kind that the structure of the target can decide."""
    plain = [finding for finding in owner.possible if plain_kind(finding.kind) is not None]
    certain = [finding for finding in owner.possible if finding.origin != "evidence"]
    if (owner.possible and not plain) or any(finding not in plain for finding in certain):
        return False
    return not any(_permuted(owner, finding, request) for finding in owner.possible)


def _permuted(owner: Owner, finding: Finding, request: Request) -> bool:
    """Tell whether a Flatten before a module changes the order of its inputs in the target."""
    flatten = finding.flatten
    if flatten is None or flatten.channels == 1 or request.target.channels == "first":
        return False
    shape = request.specs[owner.tensors["weight"]].shape if "weight" in owner.tensors else ()
    return flatten.channels not in shape


@dataclass(frozen=True)
class _Matched:
    moves: list[Move]
    doubts: tuple[Doubt, ...]
    unexpected: dict[str, Left]
    dropped: dict[str, Left]


def _matched(
    request: Request,
    pending: Sequence[tuple[Owner, list[Option]]],
    filled: Sequence[Move],
    rivals: Sequence[Owner],
    options_of: Callable[[Owner], list[Option]],
) -> _Matched:
    """Ask the structure of the target where the tensors go that nothing else has placed."""
    if request.template is None or not pending:
        return _Matched([], (), {}, {})
    found = solve(_question(request, pending, filled, rivals))
    asked = {name for owner, _ in pending for name in owner.tensors.values()}
    # What is in doubt elsewhere competes for its leaf, so that nothing else gets it.
    moves = [move for move in found.moves if asked.issuperset(move.sources)]
    doubts = tuple(doubt for doubt in found.doubts if asked.issuperset(doubt.names))
    placed = {name for move in moves for name in move.sources}
    placed |= {name for doubt in doubts for name in doubt.names}
    unexpected: dict[str, Left] = {}
    dropped: dict[str, Left] = {}
    for owner, options in pending:
        if not options and not placed.issuperset(owner.tensors.values()):
            options = options_of(owner)
        only = options[0] if len(options) == 1 else None
        if only is not None:
            moves += [move for move in only.moves if placed.isdisjoint(move.sources)]
            dropped.update({n: Left(request.specs[n], why) for n, why in only.dropped.items()})
            placed.update(name for move in only.moves for name in move.sources)
        for name in owner.tensors.values():
            if name not in placed and name not in dropped:
                why = only.refused.get(name) if only is not None else None
                unexpected[name] = Left(request.specs[name], why or "nothing in the target answers to it")
    return _Matched(moves, doubts, unexpected, dropped)


def _question(
    request: Request,
    pending: Sequence[tuple[Owner, list[Option]]],
    filled: Sequence[Move],
    rivals: Sequence[Owner],
) -> Question:
    template = request.template or Template({})
    rules = [rule for rule in request.rules if isinstance(rule, Rename)]
    owners = [*(owner for owner, _ in pending), *rivals]
    names = {name: owner for owner in owners for name in owner.tensors.values()}
    taken = {path for move in filled for path in move.leaves}
    return Question(
        specs={name: request.specs[name] for name in request.specs if name in names},
        leaves={path: spec for path, spec in template.specs.items() if path not in taken},
        target=request.target,
        findings={name: owner.possible for name, owner in names.items()},
        classes={
            name: known.classes[path]
            for known in reversed(request.knowledge)
            for name in names
            if (path := name.rpartition(".")[0]) in known.classes
        },
        renamed={name: new for name in names if (new := renamed(name, rules)) != name},
        all_names=tuple(request.specs),
        all_leaves=tuple(template.specs),
        kinds=template.kinds,
        filled=filled,
    )


class _Places:
    """Where the leaves of a module go: by the target's naming, or to the leaf of the template."""

    def __init__(self, request: Request) -> None:
        self._naming = request.target.naming
        self._rules = [rule for rule in request.rules if isinstance(rule, Rename)]
        self._template = request.template
        self._spelling = Spelling(request.template, self._naming) if request.template else None
        live = request.template.attributes if request.template else {}
        containers = request.template.containers if request.template else {}
        self._shown = {
            segments(path, self._naming.sequential, containers): found for path, found in live.items()
        }
        self._containers: dict[str, str] = {}
        for knowledge in reversed(request.knowledge):
            self._containers.update(knowledge.containers)

    def knows(self, module: str) -> bool:
        """Tell whether the template has anything spelled like a module."""
        new = renamed(module, self._rules)
        return self._spelling is None or self._spelling.knows(new, self._containers if new == module else {})

    def shown(self, module: str) -> Mapping[str, Any]:
        """Return the attributes of the live module that is spelled like one of PyTorch."""
        return self._shown.get(segments(renamed(module, self._rules)), {})

    def of(self, module: str) -> Any:
        """Return the function that places the leaves of one module."""
        new = renamed(module, self._rules)
        containers = self._containers if new == module else {}

        def place(leaf: str, collection: str) -> tuple[str, TensorSpec | None]:
            written = self._naming.path(new, leaf, collection=collection, containers=containers)
            if self._spelling is None or self._template is None:
                return written, None
            found = self._spelling.find(new, leaf, collection, containers)
            if found is None:
                raise UsageError(f"the target has no leaf {written}")
            return found, self._template.specs[found]

        return place


def dropped_by(rules: Iterable[Rule], specs: Mapping[str, TensorSpec]) -> dict[str, Left]:
    """Return the tensors that Drop rules leave behind."""
    drops = [rule for rule in rules if isinstance(rule, Drop)]
    return {
        name: Left(spec, rule.why)
        for name, spec in specs.items()
        for rule in drops
        if match(rule.pattern, name) is not None
    }


def _given(request: Request) -> list[Move]:
    """Bind the moves that the user wrote.

    Raises:
        UsageError: A tensor or a leaf of one is not there, or is of another shape.
    """
    moves = [rule.bind(request.specs) for rule in request.rules if isinstance(rule, Move)]
    if request.template is None:
        return moves
    leaves = request.template.specs
    for move in moves:
        for path, found in zip(move.leaves, move.outputs, strict=True):
            if path not in leaves:
                raise RuleError(f"{move}: the target has no leaf {path}")
            if leaves[path].shape != found.shape:
                raise RuleError(f"{move}: gives {found}, the target has {leaves[path]}")
    return moves


def _distinct(options: Iterable[Option]) -> list[Option]:
    """Keep one option of each effect: findings that lead to the same bytes are no ambiguity."""
    return list({repr(option.effect): option for option in reversed(list(options))}.values())[::-1]


def _fitting(owner: Owner, options: list[Option], request: Request) -> list[Option]:
    """Leave out what does not fit the template; where that settles it, the target has decided.

    Without a template, that a target cannot hold a kind proves nothing of the tensors: it is left out only
    where no layout can be mistaken, since all of them are vectors.
    """
    fitting = [option for option in options if not option.refused]
    if request.template is None:
        vectors = all(len(request.specs[name].shape) < 2 for name in owner.tensors.values())
        return fitting if fitting and vectors else options
    if len(fitting) != 1 or len(options) == 1:
        return fitting or options
    others = {option.finding.kind for option in options} - {fitting[0].finding.kind}
    reason = f"fits the target's leaves; {' and '.join(sorted(others)) or 'the other reading'} does not"
    moves = tuple(replace(move, origin="target", reason=reason) for move in fitting[0].moves)
    return [replace(fitting[0], moves=moves)]


def _unknown(owner: Owner) -> Ambiguity:
    names = tuple(owner.tensors.values())
    return Ambiguity(
        names,
        ("nothing shows what it is",),
        (f'Kind("{owner.path}", "parameter")  # or the kind it is: {", ".join(sorted(LAYERS))}',),
    )


def _open(owner: Owner, options: Sequence[Option]) -> Ambiguity:
    return Ambiguity(
        tuple(owner.tensors.values()),
        tuple(f"{option.finding.kind}: {option.finding.reason}" for option in options),
        tuple(_rule_for(owner.path, option.finding) for option in options),
    )


def _rule_for(path: str, finding: Finding) -> str:
    flatten = f", flatten={finding.flatten.channels}" if finding.flatten else ""
    return f'Kind("{path}", "{finding.kind}"{flatten})'


def _without_clashes(moves: Sequence[Move]) -> tuple[list[Move], list[Ambiguity]]:
    """Take out the moves that would write the same leaf."""
    writers: dict[str, list[Move]] = {}
    for move in moves:
        for path in move.leaves:
            writers.setdefault(path, []).append(move)
    clashing = {path: found for path, found in writers.items() if len(found) > 1}
    bad = {id(move) for found in clashing.values() for move in found}
    clashes = [
        Ambiguity(
            tuple(name for move in found for name in move.sources),
            tuple(f"{', '.join(move.sources)} -> {path}" for move in found),
            tuple(f'Rename("{move.sources[0]}", "another path than {path}")' for move in found),
        )
        for path, found in clashing.items()
    ]
    return [move for move in moves if id(move) not in bad], clashes


def _cast(move: Move, request: Request) -> Move:
    """Add the cast that was asked for: by ``dtype=``, or by the dtype of the template's leaf."""
    floating = DTYPES[move.outputs[0].dtype].numpy.kind in "fV"
    wanted = request.dtype if request.dtype and floating else None
    template = request.template
    if wanted is None and template is not None and move.leaves[0] not in template.untyped:
        wanted = template.specs[move.leaves[0]].dtype
    if wanted is None or wanted == move.outputs[0].dtype:
        return move
    cast = Cast(wanted)
    return replace(move, ops=(*move.ops, cast), outputs=cast.specs(move.outputs))


def _unfilled(
    request: Request, moves: Sequence[Move], unexpected: Mapping[str, Left]
) -> tuple[dict[str, Left], dict[str, Left]]:
    """Return the leaves that nothing fills: those a rule keeps, and those that are missing."""
    if request.template is None:
        return {}, {}
    rules = [rule for rule in request.rules if isinstance(rule, Keep)]
    filled = {path for move in moves for path in move.leaves}
    kept: dict[str, Left] = {}
    missing: dict[str, Left] = {}
    for path, spec in request.template.specs.items():
        if path in filled:
            continue
        why = next((rule.why for rule in rules if match(rule.pattern, path) is not None), None)
        if why is not None:
            kept[path] = Left(spec, why)
        else:
            missing[path] = Left(spec, _nearest(path, spec, unexpected))
    return kept, missing


def _nearest(path: str, spec: TensorSpec, unexpected: Mapping[str, Left]) -> str:
    """Name the unused tensors that could be meant: same number of elements, most words in common."""
    words = set(segments(path))
    alike = [name for name, left in unexpected.items() if left.spec.size == spec.size]
    alike.sort(key=lambda name: (-len(words & set(segments(name))), name))
    return "no source" + (f"; unused: {', '.join(alike[:3])}" if alike else "")
