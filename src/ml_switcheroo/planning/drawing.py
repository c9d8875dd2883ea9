"""Draw a plan: each stage takes the ledger of what is known so far, and adds what it can tell for certain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ml_switcheroo.plan import Plan
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.options.flattened import depends_on_layout, either_layout
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.by_exclusion import exclude
from ml_switcheroo.planning.stages.by_graph import answer_likely, by_graph
from ml_switcheroo.planning.stages.by_recipe import by_recipe
from ml_switcheroo.planning.stages.by_rule import by_rule
from ml_switcheroo.planning.stages.by_structure import ask_structure
from ml_switcheroo.planning.stages.casts import cast
from ml_switcheroo.planning.stages.clashes import without_clashes
from ml_switcheroo.planning.stages.kernels import doubt_kernels
from ml_switcheroo.planning.stages.remarks import remark
from ml_switcheroo.planning.stages.ties import Ties
from ml_switcheroo.planning.stages.unfilled import unfilled
from ml_switcheroo.planning.stages.uses import follow_uses
from ml_switcheroo.sources.classify import Owner, classify
from ml_switcheroo.targets.ports import with_layout

__all__ = ["draw", "draw_plan"]


def draw_plan(request: Request) -> Plan:
    """Make the plan of a request; what cannot be settled stands in it as missing or ambiguous."""
    return draw(request)[0]


def draw(request: Request) -> tuple[Plan, Ledger]:
    """Make the plan of a request, with the ledger that says how each part of it came about."""
    ties = Ties.of(request)
    request = replace(request, specs={**request.specs, **ties.specs_of_absent(request.specs)})
    ledger = Ledger(request.specs, request.template.specs if request.template is not None else None)
    ledger.note(note for known in request.knowledge for note in known.notes)
    by_rule(request, ledger)
    by_graph(request, ledger)
    request, owners = _modules(request, ledger)
    _place(request, owners, ties, ledger)
    answer_likely(ledger)
    ties.join(request, ledger)
    without_clashes(ledger)
    follow_uses(request, owners, ledger)
    cast(request, ledger)
    unfilled(request, ledger)
    remark(request, owners, ledger)
    ties.share(ledger)
    return _plan(request, ledger), ledger


def _place(request: Request, owners: Sequence[Owner], ties: Ties, ledger: Ledger) -> None:
    """Find a place for every module: by its name, by the structure of the target, and by exclusion."""
    named = by_recipe(request, owners, ledger)
    refused = [o for o in owners if not ledger.refused.keys().isdisjoint(o.tensors.values())]
    found = ask_structure(request, named, ledger)
    left = [*(owner for owner, _ in named.pending), *refused]
    left = [owner for owner in left if owner.path not in named.final]
    exclude(request, left, found, ties.groups, ledger)
    doubt_kernels(request, owners, found.odd, ledger)
    settled = ledger.moved | ledger.dropped.keys()
    asked = {doubt.names for doubt in found.doubts}
    ledger.answer(
        "by exclusion",
        lambda doubt: doubt.names in asked and settled.issuperset(doubt.names),
        "all of them have found a place",
    )


def _modules(request: Request, ledger: Ledger) -> tuple[Request, Sequence[Owner]]:
    """Put the tensors that no rule has settled together to modules, and say of what kinds these can be.

    Where the target has the channels of its images is settled here, if something depends on it.
    """
    done = ledger.moved | ledger.dropped.keys()
    owners = classify([name for name in request.specs if name not in done], request.knowledge)
    if request.layout_shown is None or not depends_on_layout(owners, request.specs):
        return request, owners
    shown = request.layout_shown()
    request = replace(request, target=with_layout(request.target, shown.layout or None))
    return request, owners if shown.layout else either_layout(owners, shown.why)


def _plan(request: Request, ledger: Ledger) -> Plan:
    return Plan(
        target=request.target.name,
        moves=tuple(ledger.moves),
        dropped=dict(ledger.dropped),
        kept=dict(ledger.kept),
        unexpected=dict(ledger.refused),
        missing=dict(ledger.missing),
        ambiguous=tuple(ledger.asked),
        notes=tuple(ledger.notes),
        differences=tuple(ledger.differences),
        programs=ledger.programs,
        source=request.source,
    )
