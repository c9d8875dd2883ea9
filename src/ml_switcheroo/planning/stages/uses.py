"""What ``forward`` does to a parameter before it is used, carried over to the move that takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ml_switcheroo.layers import is_alone
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Op, SpectralNorm, WeightNorm, trace
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.rule_lines import written
from ml_switcheroo.rules import Kind
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding, Usage
from ml_switcheroo.unmoved import Ambiguity

__all__ = ["ByUse", "by_use", "follow_uses"]


@dataclass(slots=True)
class ByUse:
    """What the uses of parameters make of a plan.

    Attributes:
        moves: The moves, with what ``forward`` does where that is exact.
        asked: The modules for which the target's own code is not known.
        notes: What a person should know.
    """

    moves: list[Move] = field(default_factory=list)
    asked: list[Ambiguity] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Case:
    """A move of tensors that are used in a way of their own, with their module."""

    move: Move
    usage: Usage
    owner: Owner
    finding: Finding
    layer: str

    @property
    def path(self) -> str:
        """The module in PyTorch."""
        return self.owner.path if self.owner.path not in self.move.sources else _module(self.owner.path)


def follow_uses(request: Request, owners: Sequence[Owner], ledger: Ledger) -> None:
    """Add what ``forward`` does to parameters, or ask."""
    used = by_use(request, ledger.moves, owners)
    ledger.change("uses in forward", used.moves)
    ledger.ask("uses in forward", used.asked)
    ledger.note(used.notes)


def by_use(request: Request, moves: Sequence[Move], owners: Sequence[Owner]) -> ByUse:
    """Add what ``forward`` does to parameters; ask where a standard layer would compute something else.

    A layer of the framework itself uses its tensors as PyTorch's own layer does: what the class of the source
    does before must be done to the tensor. A class of the target's own may do the same itself: the tensor is
    copied, and that is said. Of a tree without classes nobody knows.
    """
    uses = {name: use for known in request.knowledge[::-1] for name, use in known.uses.items()}
    of = {name: owner for owner in owners for name in owner.tensors.values()}
    found = ByUse(notes=_said_of_more(request, moves, of))
    if not uses:
        found.moves = list(moves)
        return found
    asked: dict[str, list[_Case]] = {}
    noted: dict[str, list[str]] = {}
    for move in moves:
        case = _case(request, move, uses, of)
        if case is None:
            found.moves.append(move)
        elif case.finding.origin == "rules":
            found.moves.append(_said(move, f"{_use(case)}: copied as it is, a rule says so"))
        elif _is_asked(request, case):
            asked.setdefault(case.path, []).append(case)
        elif case.usage.ops and case.usage.own and not _elsewhere(request, case):
            found.moves.append(_done(case))
        else:
            found.moves.append(move)
            if not is_alone(case.move.kind) or case.usage.ops or case.layer:
                noted.setdefault(_note(request, case), []).append(case.path)
    found.notes += [f"{_first(paths)}: {text}" for text, paths in noted.items()]
    found.asked = [_question(path, cases) for path, cases in asked.items()]
    return found


def _said_of_more(request: Request, moves: Sequence[Move], of: Mapping[str, Owner]) -> list[str]:
    """Say, once a class, where a layer of the framework takes the weights of a class that does more."""
    more = {path: text for known in request.knowledge[::-1] for path, text in known.more.items()}
    said: dict[str, list[str]] = {}
    for move in moves if more else ():
        path = next((of[name].path for name in move.sources if name in of), "")
        if (
            path in more
            and _layer_of(request, move.leaves[0])
            and path not in said.setdefault(more[path], [])
        ):
            said[more[path]].append(path)
    return [
        f"{_first(paths)}: {text}: the weights are in place, the rest is for the port to do"
        for text, paths in said.items()
        if paths
    ]


def _first(paths: Sequence[str]) -> str:
    """Name the first of several modules, and how many more there are."""
    return (paths[0] or "the model") + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


def _case(request: Request, move: Move, uses: Mapping[str, Usage], of: Mapping[str, Owner]) -> _Case | None:
    said = [uses.get(name) or uses.get(_whole(name)) for name in move.sources]
    usage = next((use for use in said if use is not None), None)
    owner = next((of[name] for name in move.sources if name in of), None)
    if usage is None or owner is None:
        return None
    pieces = bool(move.ops) and isinstance(move.ops[0], WeightNorm | SpectralNorm)
    if not pieces and any(use is None or use.ops != usage.ops for use in said):
        usage = replace(usage, ops=())
    finding = next((one for one in owner.possible if one.kind == move.kind), None)
    finding = finding or (owner.possible[0] if owner.possible else Finding(move.kind, "target", move.reason))
    return _Case(move, usage, owner, finding, _layer_of(request, move.leaves[0]))


_PIECE = re.compile(r"(.*?)(?:parametrizations\.(\w+)\.(?:original\d?|0\._[uv])|(\w+)_(?:g|v|u|orig))")


def _whole(name: str) -> str:
    """Return the name of the weight that a tensor is a piece of; the name itself where it is none."""
    found = _PIECE.fullmatch(name)
    return f"{found[1]}{found[2] or found[3]}" if found is not None else name


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _layer_of(request: Request, leaf: str) -> str:
    """Return the kind of the framework's own layer that a leaf belongs to; empty for any other."""
    if request.template is None:
        return ""
    path = leaf
    while path:
        path = path.rpartition(request.target.naming.separator)[0]
        if path in request.template.own:
            return ""
        if path in request.template.kinds:
            return request.template.kinds[path]
    return ""


def _own_class(request: Request, leaf: str) -> str:
    """Return the name of the target's own class that keeps a leaf; empty where that is not known."""
    module = leaf.rpartition(request.target.naming.separator)[0]
    return request.template.own.get(module, "") if request.template is not None else ""


def _is_live(request: Request) -> bool:
    return request.template is not None and bool(request.template.kinds or request.template.own)


def _elsewhere(request: Request, case: _Case) -> bool:
    """Tell whether a class of the target's own keeps the tensor, and may do the same with it."""
    if request.template is None:
        return is_alone(case.move.kind)
    return _is_live(request) and not case.layer


def _is_asked(request: Request, case: _Case) -> bool:
    """Tell whether a plan must not be complete without an answer."""
    if not case.usage.sure or request.template is None or _elsewhere(request, case):
        return False
    if case.layer:
        return not (case.usage.ops and case.usage.own)
    return bool(case.usage.ops) and case.usage.own


def _use(case: _Case) -> str:
    """Say how a parameter is used, and where that stands."""
    path, usage = case.path, case.usage
    slots = (name.removeprefix(f"{path}.") if path else name for name in case.move.sources)
    names = " and ".join(slots)
    who = f"the own forward of {usage.by}" if usage.own else f"the forward of {usage.by}"
    if not usage.code:
        return f"{who} ({usage.where}) could not be followed to what it does with {names}"
    return f"{who} uses {names} as {usage.code} ({usage.where})"


def _note(request: Request, case: _Case) -> str:
    end = "it is copied as it is"
    if request.template is None and _elsewhere(request, case):
        end += ": the class of the port that keeps it must do the same"
    elif _elsewhere(request, case):
        own = _own_class(request, case.move.leaves[0])
        end += f": the target keeps it in a class of its own{own and f', {own}'}, which must do the same"
    elif case.usage.code:
        end += ": the port must do the same"
    else:
        end += ": compare the two"
    return f"{_use(case)}; {end}"


def _said(move: Move, note: str) -> Move:
    return replace(move, notes=(*move.notes, note))


def _done(case: _Case) -> Move:
    """Return the move with what ``forward`` does before everything else, but behind the fold of a norm."""
    return _said(
        _with(case.move, case.usage.ops), f"{case.usage.code} in {case.usage.by}, {case.usage.where}"
    )


def _with(move: Move, ops: tuple[Op, ...]) -> Move:
    folds = 1 if move.ops and isinstance(move.ops[0], WeightNorm | SpectralNorm) else 0
    new = (*move.ops[:folds], *ops, *move.ops[folds:])
    return replace(move, ops=new, outputs=trace(new, move.inputs)[-1])


def _question(path: str, cases: list[_Case]) -> Ambiguity:
    """Ask what the target's own code does with the tensors of a module."""
    first = cases[0]
    flatten, unflatten = (
        one.channels if one else None for one in (first.finding.flatten, first.finding.unflatten)
    )
    kind = first.move.kind
    if is_alone(kind):
        stays = [Kind(name, kind) for case in cases for name in case.move.sources]
        stays = [Kind(path, first.layer)] if first.layer and path else stays
    else:
        stays = [Kind(path, kind, flatten, unflatten=unflatten)]
    used = "; ".join(dict.fromkeys(map(_use, cases)))
    candidates = [f"as stored, where the target's code does the same: {used}"]
    rules = [written(stays)]
    if all(case.usage.ops for case in cases):
        done = [_with(case.move, case.usage.ops) for case in cases]
        shown = ", ".join(str(op) for case in cases for op in case.usage.ops)
        candidates.append(f"{shown}, where the target uses it as it is")
        rules.append(written(done))
    names = tuple(name for case in cases for name in case.move.sources)
    return Ambiguity(names, tuple(candidates), tuple(rules))
