"""The dtype of each leaf: cast where that was asked for, refused where no value could be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Cast
from ml_switcheroo.ops.casting import refusal, stays
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.tensors import DTYPES
from ml_switcheroo.tree import Template

__all__ = ["cast", "said_of_dtypes"]

_STAGE = "dtypes"


def cast(request: Request, ledger: Ledger) -> None:
    """Add the casts that were asked for; leave out the moves whose leaves are no place for such numbers."""
    found: list[Move] = []
    refused: dict[str, str] = {}
    for move in ledger.moves:
        made = _cast(move, request)
        why = _refusal(move, made)
        if why:
            refused.update(dict.fromkeys(move.sources, why))
        else:
            found.append(made)
    ledger.change(_STAGE, found)
    ledger.refuse(_STAGE, refused)


def _refusal(move: Move, made: Move) -> str:
    """Say why the leaves of a move cannot hold its numbers; empty where they can."""
    pairs = zip(move.outputs, made.outputs, strict=True)
    reasons = (refusal(DTYPES[before.dtype].numpy, DTYPES[after.dtype].numpy) for before, after in pairs)
    why = next(filter(None, reasons), "")
    leaves = zip(made.leaves, made.outputs, strict=True)
    return why and f"{', '.join(f'{path} is {spec.dtype}' for path, spec in leaves)}: {why}"


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


def said_of_dtypes(moves: Sequence[Move], template: Template) -> list[str]:
    """Say which leaves keep the dtype of the checkpoint where the model has another."""
    kept = Counter(move.outputs[0].dtype for move in moves for _ in move.leaves if _stays(move, template))
    return [
        f"{count} leaves are {dtype}, as in the checkpoint: the model's float32 is only its framework's"
        " default; to compute in it, widen the model afterwards"
        for dtype, count in kept.items()
    ]
