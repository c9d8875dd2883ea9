"""The last stage: what a person should know of a plan, such as same weights that give another output."""

from __future__ import annotations

from collections.abc import Sequence

from ml_switcheroo.differences import by_attributes, by_computing, by_pools, said_of_wrappers
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.casts import said_of_dtypes
from ml_switcheroo.sources.classify import Owner

__all__ = ["remark"]


def remark(request: Request, owners: Sequence[Owner], ledger: Ledger) -> None:
    """Say what the sources doubt, and where both sides compute something else beside their weights."""
    evident = {owner.path for owner in owners if {f.origin for f in owner.possible} <= {"evidence"}}
    # Of a module that another source knows, that source is believed.
    ledger.note(note for known in request.knowledge for path, note in known.doubts.items() if path in evident)
    if request.template is None:
        return
    target, template, moves = request.target, request.template, ledger.moves
    known = {n: o.possible[0] for o in owners if len(o.possible) == 1 for n in o.tensors.values()}
    computed = {path: words for one in request.knowledge[::-1] for path, words in one.computed.items()}
    pools = {path: pool for one in request.knowledge[::-1] for path, pool in one.pools.items()}
    ledger.note(by_attributes(target, template, moves, known, computed))
    ledger.note(by_computing(target, template, moves, computed))
    ledger.note(by_pools(target, template, pools, computed))
    ledger.note(said_of_dtypes(moves, template))
    changed, notes = said_of_wrappers(target, moves)
    ledger.change("wrappers", changed)
    ledger.note(notes)
