"""The lists of tensors that the loops of TensorFlow read and fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.graph.formulas import cut
from ml_switcheroo.graph.graph import Draft
from ml_switcheroo.graph.step import Unfollowed

__all__ = ["LISTS", "Listed", "Value"]


class Listed(tuple[int | None, ...]):
    """A list of tensors: the node of each; None where there is none yet."""

    __slots__ = ()


Value = int | Listed
"""What an operation takes: a node, or a list of them."""

Row = Callable[[Draft, Sequence[Value], Mapping[str, Any]], Sequence[Value]]


def _listed(value: Value) -> Listed:
    if isinstance(value, Listed):
        return value
    raise Unfollowed("works on a list that nobody can follow")


def _whole(draft: Draft, value: Value) -> int:
    known = draft.known(value) if isinstance(value, int) else None
    if known is None:
        raise Unfollowed("works on a place that depends on what is given")
    return int(known)


def _reserved(draft: Draft, operands: Sequence[Value], _: Mapping[str, Any]) -> Sequence[Value]:
    return (Listed([None] * _whole(draft, operands[1])),)


def _empty(_: Draft, __: Sequence[Value], ___: Mapping[str, Any]) -> Sequence[Value]:
    return (Listed(),)


def _from_tensor(draft: Draft, operands: Sequence[Value], _: Mapping[str, Any]) -> Sequence[Value]:
    data = _node(operands[0])
    size, *rest = draft.shape(data)
    ones, zeros = (1,) * (len(rest) + 1), (0,) * len(rest)
    rows = [cut(draft, data, (place, *zeros), ones, (1, *rest)) for place in range(size)]
    return (Listed(draft.add("reshape", row, shape=tuple(rest)) for row in rows),)


def _item(draft: Draft, operands: Sequence[Value], attributes: Mapping[str, Any]) -> Sequence[Value]:
    found = _listed(operands[0])[_whole(draft, operands[1])]
    if found is not None:
        return (found,)
    shape = draft.known(_node(operands[2]))
    if shape is None or (shape < 0).any():
        raise Unfollowed("reads a place of a list where nothing is yet")
    return (draft.constant(np.zeros(shape), attributes["element_dtype"].name),)


def _put(draft: Draft, operands: Sequence[Value], _: Mapping[str, Any]) -> Sequence[Value]:
    listed, place = list(_listed(operands[0])), _whole(draft, operands[1])
    listed += [None] * (place + 1 - len(listed))
    listed[place] = _node(operands[2])
    return (Listed(listed),)


def _pushed(_: Draft, operands: Sequence[Value], __: Mapping[str, Any]) -> Sequence[Value]:
    return (Listed([*_listed(operands[0]), _node(operands[1])]),)


def _stacked(draft: Draft, operands: Sequence[Value], _: Mapping[str, Any]) -> Sequence[Value]:
    rows = [one for one in _listed(operands[0]) if one is not None]
    if not rows or len(rows) < len(_listed(operands[0])):
        raise Unfollowed("joins a list with places where nothing is yet")
    spread = [draft.add("reshape", row, shape=(1, *draft.shape(row))) for row in rows]
    return (draft.add("concat", *spread, axis=0),)


def _length(draft: Draft, operands: Sequence[Value], _: Mapping[str, Any]) -> Sequence[Value]:
    return (draft.constant(len(_listed(operands[0])), "int32"),)


def _same(_: Draft, operands: Sequence[Value], __: Mapping[str, Any]) -> Sequence[Value]:
    return operands


def _node(value: Value) -> int:
    if isinstance(value, int):
        return value
    raise Unfollowed("takes a list of lists")


LISTS: Mapping[str, Row] = MappingProxyType(
    {
        "EmptyTensorList": _empty,
        "TensorListFromTensor": _from_tensor,
        "TensorListGetItem": _item,
        "TensorListLength": _length,
        "TensorListPushBack": _pushed,
        "TensorListReserve": _reserved,
        "TensorListSetItem": _put,
        "TensorListStack": _stacked,
        **dict.fromkeys(("Identity", "IdentityN", "ReadVariableOp"), _same),
    }
)
"""By the name of the operation: those that work on lists, or on whatever they are given."""
