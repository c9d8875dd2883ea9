"""What both programs compute decides, where both can be read and the inputs are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import TYPE_CHECKING

from ml_switcheroo.errors import SwitcherooError
from ml_switcheroo.moves import Move
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.rule_lines import written
from ml_switcheroo.unmoved import Ambiguity

if TYPE_CHECKING:
    from ml_switcheroo.graph.moving import Refused

__all__ = ["answer_likely", "by_graph"]

_STAGE = "by graph"
_LIKELY = "likely this leaf, by its size alone: it is behind a difference of the two programs"
_EITHER = (
    "this leaf or another one: both return outputs of one shape under other names, and which is which is not"
    " said; return them in a tuple (target_call= can do so), or under the same names"
)
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
    from ml_switcheroo.graph.sketching import sketch_of
    from ml_switcheroo.report.programs import gap_lines, refused_lines

    try:
        matched = match_programs(request.programs, request.specs)
    except SwitcherooError as error:
        ledger.note([f"the programs were not matched, names and shapes decide: {error}"])
        return
    ledger.programs = sketch_of(matched.source.graph), sketch_of(matched.target.graph)
    shapes = {name: spec.shape for name, spec in request.specs.items()}
    leaves = {path: spec.shape for path, spec in request.template.specs.items()}
    drawn, refused = moves_of(matched, shapes, leaves)
    others = [moves_of(rival, shapes, leaves)[0] for rival in matched.rivals]
    taken = ledger.moved | ledger.dropped.keys()
    filled = {path for move in ledger.moves for path in move.leaves}
    moves, likely, open_ones = list[Move](), list[Move](), list[Move]()
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
            here = likely if one.likely else moves if all(one in rival for rival in others) else open_ones
            here.append(move.bind(request.specs))
    ledger.move(_STAGE, moves)
    for why, asked in ((_LIKELY, likely), (_EITHER, open_ones)):
        ledger.ask(_STAGE, (Ambiguity(move.sources, (why,), (written(move),)) for move in asked))
    ledger.ask(_STAGE, _open(refused, taken))
    ledger.note(refused_lines(refused))
    ledger.note(gap_lines(matched))
    ledger.part(_STAGE, differences(matched))


def _open(refused: Iterable[Refused], taken: Set[str]) -> Iterator[Ambiguity]:
    """Yield the tensors that several leaves may have, where both programs only add those up."""
    leaves: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for one in refused:
        if one.open and taken.isdisjoint(one.sources):
            leaves.setdefault((one.sources, one.why), []).append(one.leaf)
    for (names, why), paths in leaves.items():
        rules = (written(Move(names[:1], (path,), (), origin="graph")) for path in paths)
        yield Ambiguity(names, tuple(f"{path}: {why}" for path in paths), tuple(rules))


def answer_likely(ledger: Ledger) -> None:
    """Ask no more about what has found a place since; what has none is asked, not refused."""

    def settled(doubt: Ambiguity) -> bool:
        return _asked(doubt) and (ledger.moved | ledger.dropped.keys()).issuperset(doubt.names)

    ledger.answer(_STAGE, settled, "it has found a place by its name")
    names = [name for doubt in ledger.asked if _asked(doubt) for name in doubt.names]
    ledger.admit(_STAGE, names, "it is asked for")


def _asked(doubt: Ambiguity) -> bool:
    return doubt.candidates in ((_LIKELY,), (_EITHER,))
