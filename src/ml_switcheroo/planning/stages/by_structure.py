"""The second stage: the structure of the target says where tensors go that kind and spelling leave open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.match.paths.words import meaning, segment_tokens
from ml_switcheroo.match.units.fused import FUSED
from ml_switcheroo.match.units.kinds_by_name import plain_kind
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.options.option import Option
from ml_switcheroo.planning.request import Request
from ml_switcheroo.rule_lines import written
from ml_switcheroo.rules import Rename, renamed
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tree import Template
from ml_switcheroo.unmoved import Ambiguity

if TYPE_CHECKING:
    from ml_switcheroo.match.structure import Question
    from ml_switcheroo.planning.stages.by_recipe import ByRecipe

__all__ = ["ByStructure", "ask_structure", "by_structure", "may_ask", "why_open"]


_STAGE = "by structure"


def why_open(owner: Owner, options: Sequence[Option], request: Request) -> str:
    """Say why the structure of the target is asked where a module's tensors go; empty where it is not.

    It is asked for everything that kind and spelling leave open. A recipe of several tensors, or one behind a
    Flatten, is not for the structure to decide.
    """
    if not may_ask(owner, request) or any(option.final for option in options):
        return ""
    if _in_turns(owner):
        return "forward takes its rows for several parts, or in another order"
    if _spreads(owner, options):
        return "its rows become axes of the leaf"
    if not options:
        return "nothing in the target is spelled like it"
    if len(options) > 1:
        return "its name fits in several ways"
    if options[0].refused:
        return next(iter(options[0].refused.values()))
    plain = [finding for finding in owner.possible if plain_kind(finding.kind) is not None]
    weight = LAYERS[plain[0].kind].own_name("weight")
    shapes = [request.specs[name].shape for slot, name in owner.tensors.items() if slot == weight]
    matrix = plain_kind(plain[0].kind) in ("linear", "conv", "embedding")
    # The recipe of a square matrix fits whichever way the tree keeps it: only other leaves can show that.
    square = matrix and any(len(set(shape)) < len(shape) for shape in shapes)
    return "two of its sizes are equal, so its shape does not show its layout" if square else ""


def _spreads(owner: Owner, options: Sequence[Option]) -> bool:
    """Tell whether the rows of a module that is called a fused projection become axes of the leaf."""
    moves = [move for option in options for move in option.moves]
    if all(len(move.outputs[0].shape) <= len(move.inputs[0].shape) for move in moves):
        return False
    words = set(map(str, meaning(segment_tokens(owner.path.rpartition(".")[2]))))
    return not words.isdisjoint(FUSED) or {"gate", "up"} <= words


def _in_turns(owner: Owner) -> bool:
    """Tell whether forward takes the rows of a module for several parts, or in another order."""
    for finding in owner.possible:
        parts = finding.parts.parts if finding.parts is not None else ()
        strides = [[stride for _, stride in part.axes] for part in parts]
        if len(parts) > 1 or any(one != sorted(one, reverse=True) for one in strides):
            return True
    return False


def may_ask(owner: Owner, request: Request) -> bool:
    """Tell whether a module is of a kind that the structure of the target can decide."""
    plain = [finding for finding in owner.possible if plain_kind(finding.kind) is not None]
    certain = [finding for finding in owner.possible if finding.origin != "evidence"]
    if (owner.possible and not plain) or any(finding not in plain for finding in certain):
        return False
    return not any(_permuted(owner, finding, request) for finding in owner.possible)


def _permuted(owner: Owner, finding: Finding, request: Request) -> bool:
    """Tell whether a Flatten before a module, or an Unflatten behind it, changes an order in the target."""
    row = LAYERS[finding.kind]
    name = owner.tensors.get(row.own_name("weight"))
    shape = request.specs[name].shape if name is not None else ()
    placed = (row.dense and len(shape) == 2) or (row.spatial and len(shape) > 2)
    taken = shape[row.place("in")] if placed else shape[-1] if shape else None
    given = shape[row.place("out")] if placed else shape[0] if shape else None
    changes = ((finding.flatten, taken), (finding.unflatten, given))
    return request.target.channels == "last" and any(
        change is not None and change.channels != 1 and (change.parts or change.channels != size)
        for change, size in changes
    )


@dataclass(frozen=True)
class ByStructure:
    """What the structure of the target has settled, and what it has not.

    Attributes:
        moves: The moves.
        doubts: What has several answers.
        unexpected: Why no leaf takes a tensor, by its name.
        dropped: Why a tensor is left behind, by its name.
        odd: The kinds whose kernels the tree keeps otherwise than its framework.
    """

    moves: list[Move]
    doubts: tuple[Ambiguity, ...]
    unexpected: Mapping[str, str]
    dropped: Mapping[str, str]
    odd: frozenset[str] = frozenset()


def ask_structure(request: Request, named: ByRecipe, ledger: Ledger) -> ByStructure:
    """Ask the structure of the target about the modules that kind and name leave open."""
    found = by_structure(request, named.pending, ledger.moves, named.rivals, named.options_of)
    ledger.move(_STAGE, found.moves)
    ledger.ask(_STAGE, {doubt.names: doubt for doubt in found.doubts}.values())
    ledger.refuse(_STAGE, found.unexpected)
    ledger.drop(_STAGE, found.dropped)
    return found


def by_structure(
    request: Request,
    pending: Sequence[tuple[Owner, list[Option]]],
    filled: Sequence[Move],
    rivals: Sequence[Owner],
    options_of: Callable[[Owner], list[Option]],
) -> ByStructure:
    """Ask the structure of the target where the pending tensors go.

    What is in doubt already competes for its leaf, so that nothing else gets it.
    """
    if request.template is None or not pending:
        return ByStructure([], (), {}, {})
    if request.trace is not None:
        request.trace.asked.update({owner.path: (owner, options) for owner, options in pending})
    # Imported where it is asked: names that line up need none of the matcher.
    from ml_switcheroo.match.structure import solve

    found = solve(_question(request, pending, filled, rivals))
    asked = {name for owner, _ in pending for name in owner.tensors.values()}
    moves = [move for move in found.moves if asked.issuperset(move.sources)]
    doubts = tuple(doubt for doubt in found.doubts if asked.issuperset(doubt.names))
    # A doubt is an answer, too: the recipe must not fill the leaf that is asked about.
    placed = {name for move in moves for name in move.sources}
    placed |= {name for doubt in doubts for name in doubt.names}
    unexpected: dict[str, str] = {}
    dropped: dict[str, str] = {}
    for owner, options in pending:
        if not options and not placed.issuperset(owner.tensors.values()):
            options = options_of(owner)
        only = options[0] if len(options) == 1 else None
        if only is not None:
            # What the structure leaves open goes where its name says. The recipe lays it out as the framework
            # does: in a tree that does otherwise, a square one is asked for.
            left = [move for move in only.moves if placed.isdisjoint(move.sources)]
            open_ones = [move for move in left if move.kind in found.odd and _either_way_fits(move)]
            doubts += tuple(map(_either_way, open_ones))
            moves += [move for move in left if move not in open_ones]
            dropped.update(only.dropped)
            placed.update(name for move in only.moves for name in move.sources)
        for name in owner.tensors.values():
            if name not in placed and name not in dropped:
                why = only.refused.get(name) if only is not None else None
                unexpected[name] = why or "nothing in the target answers to it"
    return ByStructure(moves, doubts, unexpected, dropped, found.odd)


def _square(move: Move) -> bool:
    shape = move.inputs[0].shape
    return len(move.sources) == len(move.leaves) == 1 and len(shape) == 2 and shape[0] == shape[1]


def _is_conv(move: Move) -> bool:
    return LAYERS[move.kind].spatial and not LAYERS[move.kind].transposed


def _either_way_fits(move: Move) -> bool:
    shape = move.inputs[0].shape
    return _square(move) or (_is_conv(move) and len(shape) > 2 and shape[0] == shape[1])


def _either_way(move: Move) -> Ambiguity:
    """Ask how a square matrix or kernel lies, in a tree that keeps others otherwise than its framework."""
    conv = _is_conv(move)
    other = Axes("out in *space -> *space out in" if conv else "out in -> in out")
    kept, turned = replace(move, ops=move.ops if conv else ()), replace(move, ops=(other,))
    return Ambiguity(
        move.sources,
        (
            "as the framework keeps it" if conv else "as it is",
            "turned: others are not kept as the framework keeps them, and it is square",
        ),
        (written(kept), written(turned)),
    )


def _question(
    request: Request,
    pending: Sequence[tuple[Owner, list[Option]]],
    filled: Sequence[Move],
    rivals: Sequence[Owner],
) -> Question:
    from ml_switcheroo.match.structure import Question

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
        trace=request.trace.weighed if request.trace is not None else None,
    )
