"""The second stage: the structure of the target says where tensors go that kind and spelling leave open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.options.option import Option
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.by_recipe import ByRecipe
from ml_switcheroo.rule_lines import written
from ml_switcheroo.rules import Rename, renamed
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.tree import Template
from ml_switcheroo.unmoved import Ambiguity

if TYPE_CHECKING:
    from ml_switcheroo.match.structure import Question

__all__ = ["ByStructure", "ask_structure", "by_structure"]

_STAGE = "by structure"


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
