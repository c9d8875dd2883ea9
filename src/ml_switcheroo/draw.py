"""Draw a plan: ask the sources, try every answer that is possible, keep what is certain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ml_switcheroo.differences import by_attributes, by_computing, by_pools, said_of_wrappers
from ml_switcheroo.errors import RuleError
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.match.paths.spelling import segments
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Cast
from ml_switcheroo.ops.casting import refusal, stays
from ml_switcheroo.options import Option, option_for
from ml_switcheroo.options.by_exclusion import by_exclusion
from ml_switcheroo.options.by_name import ByName
from ml_switcheroo.options.by_structure import by_structure, may_ask, why_open
from ml_switcheroo.options.flattened import depends_on_layout, either_layout
from ml_switcheroo.options.kernels import doubted_kernels
from ml_switcheroo.options.request import Request
from ml_switcheroo.options.ties import groups_of, joined, shared
from ml_switcheroo.options.uses import by_use
from ml_switcheroo.plan import Ambiguity, Left, Plan
from ml_switcheroo.rule_lines import expanded, written
from ml_switcheroo.rules import Drop, Keep, Kind, Rule, match
from ml_switcheroo.sources.classify import Owner, classify
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.targets.ports import with_layout
from ml_switcheroo.tensors import DTYPES, TensorSpec
from ml_switcheroo.tree import Template

__all__ = ["Request", "draw_plan", "dropped_by"]


def draw_plan(request: Request) -> Plan:
    """Make the plan of a request; what cannot be settled stands in it as missing or ambiguous."""
    tied = groups_of(knowledge.tied for knowledge in request.knowledge)
    absent = _absent(request, tied)
    if not absent:
        return _drawn(request, tied)
    stored = {name: request.specs[other] for name, other in absent.items()}
    plan = _drawn(replace(request, specs={**request.specs, **stored}), tied)
    left = {name: entry for name, entry in plan.unexpected.items() if name not in absent}
    open_ones = tuple(entry for entry in plan.ambiguous if not set(entry.names) <= set(absent))
    return replace(plan, moves=tuple(shared(plan.moves, absent)), unexpected=left, ambiguous=open_ones)


def _absent(request: Request, tied: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """Return the tied names that the checkpoint lacks but the target may want, with the one it has."""
    if request.template is None:
        return {}
    return {
        name: next(other for other in group if other in request.specs)
        for group in tied
        for name in group
        if name not in request.specs
    }


def _drawn(request: Request, tied: Sequence[tuple[str, ...]]) -> Plan:
    dropped = dropped_by(request.rules, request.specs)
    moves = _given(request)
    given = {name for move in moves for name in move.sources}
    names = [name for name in request.specs if name not in dropped and name not in given]
    request, owners = _laid_out(request, classify(names, request.knowledge))
    by_name = ByName(request.target, request.template, request.rules, request.knowledge)
    unexpected: dict[str, Left] = {}
    ambiguous: list[Ambiguity] = []
    pending: list[tuple[Owner, list[Option]]] = []
    rivals: list[Owner] = []
    final: set[str] = set()
    for owner in owners:
        if request.template is not None and not by_name.knows(owner.path) and may_ask(owner, request):
            pending.append((owner, []))
            continue
        options = _options(owner, request, by_name)
        if request.template is not None and why_open(owner, options, request):
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
            final |= {owner.path} if options[0].final else set()
    found = by_structure(request, pending, moves, rivals, lambda owner: _options(owner, request, by_name))
    moves += found.moves
    doubts = {doubt.names: doubt for doubt in found.doubts}
    refused = {name for owner in owners for name in owner.tensors.values() if name in unexpected}
    again = [*(owner for owner, _ in pending), *(o for o in owners if refused & set(o.tensors.values()))]
    again = [owner for owner in again if owner.path not in final]
    for option in by_exclusion(request, again, moves, found, tied).placed.values():
        moves += option.moves
        dropped.update({n: Left(request.specs[n], why) for n, why in option.dropped.items()})
        own = {*option.dropped, *(name for move in option.moves for name in move.sources)}
        for left in (unexpected, found.unexpected):
            [left.pop(name) for name in own & left.keys()]
    kernels = doubted_kernels(request, owners, moves, found.odd)
    asked = {name for doubt in kernels for name in doubt.names}
    moves = [move for move in moves if asked.isdisjoint(move.sources)]
    everywhere = {name for move in moves for name in move.sources} | dropped.keys()
    doubts = {names: doubt for names, doubt in doubts.items() if not set(names) <= everywhere}
    ambiguous += [Ambiguity(doubt.names, doubt.candidates, doubt.rules) for doubt in doubts.values()]
    unexpected.update(found.unexpected)
    dropped.update(found.dropped)
    if request.template is not None:
        moves = joined(moves, unexpected, tied, request.specs)
        unexpected = {n: left for n, left in unexpected.items() if all(n not in m.sources for m in moves)}
    moves, clashes = _without_clashes(moves)
    used = by_use(request, moves, owners)
    moves = used.moves
    ambiguous += used.asked
    moves, uncast = _all_cast(moves, request)
    unexpected.update(uncast)
    kept, missing = _unfilled(request, moves, unexpected)
    notes = [note for knowledge in request.knowledge for note in knowledge.notes] + used.notes
    evident = {owner.path for owner in owners if {f.origin for f in owner.possible} <= {"evidence"}}
    notes += [note for known in request.knowledge for path, note in known.doubts.items() if path in evident]
    if request.template is not None:
        known = {n: o.possible[0] for o in owners if len(o.possible) == 1 for n in o.tensors.values()}
        computed = {path: words for one in request.knowledge[::-1] for path, words in one.computed.items()}
        notes += by_attributes(request.target, request.template, moves, known, computed)
        notes += by_computing(request.target, request.template, moves, computed)
        pools = {path: pool for one in request.knowledge[::-1] for path, pool in one.pools.items()}
        notes += by_pools(request.target, request.template, pools, computed)
        notes += _said_of_dtypes(moves, request.template)
        moves, kept_otherwise = said_of_wrappers(request.target, moves)
        notes += kept_otherwise
    return Plan(
        target=request.target.name,
        moves=tuple(moves),
        dropped=dropped,
        kept=kept,
        unexpected=unexpected,
        missing=missing,
        ambiguous=(*ambiguous, *kernels, *clashes),
        notes=tuple(notes),
        source=request.source,
    )


def _laid_out(request: Request, owners: Sequence[Owner]) -> tuple[Request, Sequence[Owner]]:
    """Settle where the target has the channels of its images, where something depends on it."""
    if request.layout_shown is None or not depends_on_layout(owners, request.specs):
        return request, owners
    shown = request.layout_shown()
    request = replace(request, target=with_layout(request.target, shown.layout or None))
    return request, owners if shown.layout else either_layout(owners, shown.why)


def _options(owner: Owner, request: Request, by_name: ByName) -> list[Option]:
    """Try every finding of a module."""
    where, shown = by_name.of(owner.path), by_name.shown(owner.path)
    tried = (
        option_for(owner, finding, request.specs, request.target, where, shown) for finding in owner.possible
    )
    return _fitting(owner, _distinct(tried), request)


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
    moves = [
        move.bind(request.specs)
        for rule in request.rules
        if isinstance(rule, Move)
        for move in expanded(rule, request.specs)
    ]
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
    tried = list(options)
    if len(tried) < 2:
        return tried
    return list({repr(option.effect): option for option in reversed(tried)}.values())[::-1]


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
    kind = fitting[0].finding.kind
    if (kind.endswith("_norm") or kind == "conv_transpose") and any(move.ops for move in fitting[0].moves):
        # A kernel that a target keeps against its framework's convention looks like this, too.
        return options
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
    flatten, unflatten = (found.said if found else None for found in (finding.flatten, finding.unflatten))
    return written(Kind(path, finding.kind, flatten, unflatten=unflatten))


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
            tuple(
                written(Drop(name) for other in found if other is not move for name in other.sources)
                for move in found
            ),
        )
        for path, found in clashing.items()
    ]
    return [move for move in moves if id(move) not in bad], clashes


def _all_cast(moves: Sequence[Move], request: Request) -> tuple[list[Move], dict[str, Left]]:
    """Add the casts that were asked for; leave out the moves whose leaves are no place for such numbers."""
    found: list[Move] = []
    refused: dict[str, Left] = {}
    for move in moves:
        cast = _cast(move, request)
        why = ""
        for before, after in zip(move.outputs, cast.outputs, strict=True):
            why = why or refusal(DTYPES[before.dtype].numpy, DTYPES[after.dtype].numpy)
        if why:
            leaves = ", ".join(
                f"{path} is {spec.dtype}" for path, spec in zip(cast.leaves, cast.outputs, strict=True)
            )
            refused.update({name: Left(request.specs[name], f"{leaves}: {why}") for name in move.sources})
        else:
            found.append(cast)
    return found, refused


def _cast(move: Move, request: Request) -> Move:
    """Add the cast that was asked for: by ``dtype=``, or by the dtype of the template's leaf."""
    floating = DTYPES[move.outputs[0].dtype].numpy.kind in "fV"
    wanted = request.dtype if request.dtype and floating else None
    template = request.template
    if wanted is None and template is not None and move.leaves[0] not in template.untyped:
        wanted = template.specs[move.leaves[0]].dtype
        if _stays(move, template):
            return move
    if wanted is None or wanted == move.outputs[0].dtype:
        return move
    cast = Cast(wanted)
    return replace(move, ops=(*move.ops, cast), outputs=cast.specs(move.outputs))


def _stays(move: Move, template: Template) -> bool:
    """Tell whether all leaves of a move keep the checkpoint's dtype: nobody has asked for theirs."""
    found = DTYPES[move.outputs[0].dtype].numpy
    return all(
        path in template.unasked and stays(found, DTYPES[template.specs[path].dtype].numpy)
        for path in move.leaves
    )


def _said_of_dtypes(moves: Sequence[Move], template: Template) -> list[str]:
    """Say which leaves keep the dtype of the checkpoint where the model has another."""
    kept = Counter(move.outputs[0].dtype for move in moves for _ in move.leaves if _stays(move, template))
    return [
        f"{count} leaves are {dtype}, as in the checkpoint: the model's float32 is only its framework's"
        " default; to compute in it, widen the model afterwards"
        for dtype, count in kept.items()
    ]


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
