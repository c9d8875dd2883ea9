"""Which modules kind and spelling leave open, and why: the structure of the target is asked about those."""

from __future__ import annotations

from collections.abc import Sequence

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.match.paths.words import meaning, segment_tokens
from ml_switcheroo.match.units.fused import FUSED
from ml_switcheroo.match.units.kinds_by_name import plain_kind
from ml_switcheroo.planning.options.option import Option
from ml_switcheroo.planning.request import Request
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding

__all__ = ["may_ask", "why_open"]


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
    # The recipe of a square matrix fits whichever way the tree keeps it: only other leaves can show that.
    square = LAYERS[plain[0].kind].oriented and any(len(set(shape)) < len(shape) for shape in shapes)
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
