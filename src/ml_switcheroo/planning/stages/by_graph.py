"""What both programs compute decides, where both can be read and the inputs are given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ml_switcheroo.errors import SwitcherooError
from ml_switcheroo.moves import Move
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.rule_lines import written
from ml_switcheroo.unmoved import Ambiguity

if TYPE_CHECKING:
    from ml_switcheroo.graph.matching.matched import Matched

__all__ = ["by_graph"]

_STAGE = "by graph"
_LIKELY = "likely this leaf, by its size alone: it is behind a difference of the two programs"
_TIED = "a symmetry of both programs left a choice, which changes nothing they compute; taken in order"


def by_graph(request: Request, ledger: Ledger) -> None:
    """Move the tensors whose leaves both programs use alike, and say where the programs part.

    What a rule has settled stays as it is; what no program reaches is left to the stages behind.
    """
    if request.programs is None or request.template is None:
        return
    # Imported where programs are read: it is a quarter of all modules.
    from ml_switcheroo.graph.differences import differences
    from ml_switcheroo.graph.moving import moves_of
    from ml_switcheroo.graph.programs import match_programs

    try:
        matched = match_programs(request.programs, request.specs)
    except SwitcherooError as error:
        ledger.note([f"the programs were not matched, names and shapes decide: {error}"])
        return
    shapes = {name: spec.shape for name, spec in request.specs.items()}
    leaves = {path: spec.shape for path, spec in request.template.specs.items()}
    drawn, refused = moves_of(matched, shapes, leaves)
    taken = ledger.moved | ledger.dropped.keys()
    filled = {path for move in ledger.moves for path in move.leaves}
    moves, likely = list[Move](), list[Move]()
    for one in drawn:
        if taken.isdisjoint(one.sources) and filled.isdisjoint(one.leaves):
            move = Move(
                one.sources,
                one.leaves,
                one.ops,
                origin="graph",
                reason="both programs compute the same with it",
                notes=(_TIED,) if one.tied else (),
            )
            (likely if one.likely else moves).append(move.bind(request.specs))
    ledger.move(_STAGE, moves)
    ledger.ask(_STAGE, (Ambiguity(move.sources, (_LIKELY,), (written(move),)) for move in likely))
    ledger.note(f"{one.leaf}: {', '.join(one.sources)}: {one.why}" for one in refused)
    ledger.note(_gaps(matched))
    ledger.part(_STAGE, differences(matched))


def _gaps(matched: Matched) -> Iterator[str]:
    for side, word in ((matched.source, "the PyTorch model"), (matched.target, "the target's model")):
        for gap in side.graph.gaps:
            yield f"{word} is not followed all the way: {gap}"
