"""Square kernels in a tree: whether they are transposed convolutions, and how the tree keeps those."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.rule_lines import written
from ml_switcheroo.rules import Kind
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.unmoved import Ambiguity

__all__ = ["doubt_kernels", "doubted_kernels"]

_STAGE = "kernels"
_TEXTS = {kind: layer.noun for kind, layer in LAYERS.items() if layer.noun}
_BOTH = frozenset(_TEXTS)
_DIGITS = re.compile(r"\d+")


def doubt_kernels(request: Request, owners: Sequence[Owner], odd: Set[str], ledger: Ledger) -> None:
    """Ask about square kernels that fit the tree either way, and take their moves back."""
    doubts = doubted_kernels(request, owners, ledger.moves, odd)
    asked = {name for doubt in doubts for name in doubt.names}
    ledger.take_back(
        _STAGE, lambda move: not asked.isdisjoint(move.sources), "a square kernel fits either way"
    )
    ledger.ask(_STAGE, doubts)


def doubted_kernels(
    request: Request, owners: Sequence[Owner], moves: Sequence[Move], odd: Set[str]
) -> tuple[Ambiguity, ...]:
    """Return doubts about square kernels, which fit the tree either way.

    Args:
        request: The request.
        owners: The modules.
        moves: The moves that were found.
        odd: The kinds whose kernels the tree keeps otherwise than its framework.
    """
    if request.template is None:
        return ()
    of = {name: owner for owner in owners for name in owner.tensors.values()}
    kernels = [move for move in moves if _is_kernel(move) and move.sources[0] in of]
    shown = _shown(kernels, of)
    found = []
    for move in kernels:
        owner = of[move.sources[0]]
        kinds = {finding.kind for finding in owner.possible}
        if not _square(move) or not _told_apart(move):
            continue
        if kinds >= _BOTH and all(finding.origin == "evidence" for finding in owner.possible):
            if shown.get(_like(owner.path)) != {move.kind}:
                found.append(_either_kind(owner))
        elif LAYERS[move.kind].transposed and _kept_otherwise(request, owners, moves, odd):
            found.append(_either_way(move))
    return tuple(found)


def _is_kernel(move: Move) -> bool:
    one = len(move.sources) == len(move.leaves) == 1
    return one and move.kind in _BOTH and len(move.inputs[0].shape) > 2 and move.sources[0].endswith("weight")


def _square(move: Move) -> bool:
    return move.inputs[0].shape[0] == move.inputs[0].shape[1]


def _told_apart(move: Move) -> bool:
    """Tell whether both ways differ: with one channel, only a kernel of several places can be flipped."""
    return move.inputs[0].size > 1


def _like(path: str) -> str:
    """Return what is common to the names of modules that do the same in other blocks."""
    last = path.rpartition(".")[2]
    return _DIGITS.sub("#", path) if last.isdecimal() else _DIGITS.sub("#", last)


def _shown(kernels: Iterable[Move], of: Mapping[str, Owner]) -> dict[str, set[str]]:
    """Return the kinds of the kernels that the tree, the bias or a source settles, by name."""
    found: dict[str, set[str]] = {}
    for move in kernels:
        owner = of[move.sources[0]]
        certain = {finding.kind for finding in owner.possible if finding.origin != "evidence"} & _BOTH
        alone = {finding.kind for finding in owner.possible} & _BOTH
        if len(certain) == 1 or len(alone) == 1 or not _square(move):
            found.setdefault(_like(owner.path), set()).add(move.kind)
    return found


def _either_kind(owner: Owner) -> Ambiguity:
    return Ambiguity(
        tuple(owner.tensors.values()),
        tuple(_TEXTS.values()),
        tuple(written(Kind(owner.path, kind)) for kind in _TEXTS),
    )


def _kept_otherwise(request: Request, owners: Sequence[Owner], moves: Sequence[Move], odd: Set[str]) -> bool:
    """Tell whether other kernels show that the tree does not keep them as its framework does."""
    if odd & _BOTH:
        return True
    moved = {name for move in moves for name in move.sources}
    left = [
        request.specs[owner.tensors["weight"]].shape
        for owner in owners
        if owner.possible
        and all(LAYERS[finding.kind].transposed for finding in owner.possible)
        and owner.tensors.get("weight", "") not in moved
        and "weight" in owner.tensors
    ]
    filled = {path for move in moves for path in move.leaves}
    leaves = request.template.specs if request.template is not None else {}
    open_ones = {tuple(sorted(spec.shape)) for path, spec in leaves.items() if path not in filled}
    return any(len(set(shape)) > 1 and tuple(sorted(shape)) in open_ones for shape in left)


def _either_way(move: Move) -> Ambiguity:
    """Ask how a square kernel is kept, in a tree that does not keep others as its framework does."""
    flat = next((op for op in move.ops if isinstance(op, Axes)), None)
    rule = flat.equation if flat is not None else "in out *space -> in out *space"
    source, _, result = rule.partition(" -> ")
    swapped = result.replace("in", "\0").replace("out", "in").replace("\0", "out")
    other = Axes(f"{source} -> {swapped}")
    turned = Move(
        move.sources, move.leaves, tuple(other if op is flat else op for op in move.ops) if flat else (other,)
    )
    plain = Move(move.sources, move.leaves, move.ops)
    return Ambiguity(
        move.sources,
        (
            "as the framework keeps it",
            "turned: others are not kept as the framework keeps them, and it is square",
        ),
        (written(plain), written(turned)),
    )
