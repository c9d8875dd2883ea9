"""The second stage: a module goes where its name says, by the recipe of its kind.

That decides wherever kind and name leave one option that fits; what they leave open, the structure of the
target is asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.options import Option, option_for
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.by_name import ByName
from ml_switcheroo.planning.stages.left_open import may_ask, why_open
from ml_switcheroo.rule_lines import written
from ml_switcheroo.rules import Kind
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.unmoved import Ambiguity

__all__ = ["ByRecipe", "by_recipe"]

_STAGE = "by name"


@dataclass(slots=True)
class ByRecipe:
    """What kind and name leave to the next stages.

    Attributes:
        options_of: Tries every finding of a module, at the place that its name says.
        pending: The modules that the structure of the target is asked about, with their options by name.
        rivals: The modules that are asked of the user, or refused: they compete for leaves all the same.
        final: The modules, by path, whose option is the only one that can be.
    """

    options_of: Callable[[Owner], list[Option]]
    pending: list[tuple[Owner, list[Option]]] = field(default_factory=list)
    rivals: list[Owner] = field(default_factory=list)
    final: set[str] = field(default_factory=set)


def by_recipe(request: Request, owners: Sequence[Owner], ledger: Ledger) -> ByRecipe:
    """Move what kind and name settle; ask about what no structure could."""
    by_name = ByName(request.target, request.template, request.rules, request.knowledge)
    found = ByRecipe(lambda owner: _options(owner, request, by_name))
    for owner in owners:
        if request.template is not None and not by_name.knows(owner.path) and may_ask(owner, request):
            found.pending.append((owner, []))
            continue
        options = found.options_of(owner)
        if request.template is not None and why_open(owner, options, request):
            found.pending.append((owner, options))
        elif len(options) == 1:
            _carried_out(owner, options[0], found, ledger)
        else:
            ledger.ask(_STAGE, [_open(owner, options) if options else _unknown(owner)])
            found.rivals.append(owner)
    return found


def _carried_out(owner: Owner, option: Option, found: ByRecipe, ledger: Ledger) -> None:
    ledger.move(_STAGE, option.moves)
    ledger.drop(_STAGE, option.dropped)
    ledger.refuse(_STAGE, option.refused)
    found.rivals += [owner] if option.refused else []
    found.final |= {owner.path} if option.final else set()


def _options(owner: Owner, request: Request, by_name: ByName) -> list[Option]:
    """Try every finding of a module."""
    where, shown = by_name.of(owner.path), by_name.shown(owner.path)
    tried = (
        option_for(owner, finding, request.specs, request.target, where, shown) for finding in owner.possible
    )
    return _fitting(owner, _distinct(tried), request)


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
    if (LAYERS[kind].matched == "norm" or LAYERS[kind].transposed) and any(
        move.ops for move in fitting[0].moves
    ):
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
