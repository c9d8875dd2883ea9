"""What rows are taken for: by what is computed with them, and by what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.sources.findings import Part, Parts
from ml_switcheroo.sources.static.torch.rows.traces import Key, Trace

__all__ = ["Event", "parts_of", "role_in", "table_of", "taken"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """Rows that are taken for something.

    Attributes:
        role: What for.
        rows: Their numbers, head by head.
        heads: Whether the first axis is known to be that of the heads.
        where: ``file:line``.
        named: Whether only a name says so.
        unsure: Whether it is said in a branch that may not be taken.
    """

    role: str
    rows: Array
    heads: bool
    where: str
    named: bool = False
    unsure: bool = False


_ROLES = {
    "q": "q query queries xq wq qs",
    "k": "k key keys xk wk ks",
    "v": "v value values xv wv vs",
    "gate": "gate gates gated",
    "up": "up",
}
_WORDS = {word: role for role, words in _ROLES.items() for word in words.split()}
_BESIDE = frozenset(
    "states state layer layers proj projected heads head x h out output t r rot rope new i s".split()
)


def role_in(name: str) -> str:
    """Return the role that a variable's name says: ``query_states``; empty where it says none."""
    words = [word for word in re.split(r"[_\d]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) if word]
    roles = {_WORDS[word] for word in words if word in _WORDS}
    others = [word for word in words if word not in _WORDS and word not in _BESIDE]
    return roles.pop() if len(roles) == 1 and not others else ""


def taken(
    role: str, trace: Trace, last: Sequence[int], still: Sequence[int], where: str
) -> Iterable[tuple[Key, Event]]:
    """Yield what it means for each layer that a tensor is taken for a role.

    Args:
        role: What it is taken for.
        trace: The tensor.
        last: The axis that is summed over, or else the one that is not: its rows are those of one head.
        still: The axes that count tokens, and perhaps heads: along one of them the rows do not change.
        where: ``file:line``.
    """
    for key in trace.sources:
        rows = table_of(trace, key, last, still)
        yield key, Event(role, _NOWHERE if rows is None else rows, len(last) > 0, where)


_NOWHERE = np.zeros((0, 0), np.int32)
"""The rows of what is no regular part of a layer."""


def table_of(trace: Trace, key: Key, last: Sequence[int], still: Sequence[int] = ()) -> Array | None:
    """Return the rows that a tensor holds, head by head; None where they change with its other axes."""
    numbers = _filled(trace.rows[key])
    if numbers is None:
        return None
    varying = _varying(numbers)
    if still and all(i % numbers.ndim in varying for i in still):
        return None
    unions = trace.unions[key]
    mixed = numbers.max(initial=0) >= unions.size
    if mixed:  # rows that are mixed with one another look the same
        varying = sorted({*varying, *(i % numbers.ndim for i in last)})
    inner = [i % numbers.ndim for i in last if i % numbers.ndim in varying] or varying[-1:]
    outer = [i for i in varying if i not in inner]
    block = tuple(slice(None) if i in varying else 0 for i in range(numbers.ndim))
    order = [varying.index(i) for i in (*outer, *inner)]
    table = numbers[block].transpose(order)
    table = table.reshape(-1, int(np.prod([numbers.shape[i] for i in inner], dtype=int)))
    if len(np.unique(table[:, 0])) < len(table):  # several queries share a head
        table = table[np.sort(np.unique(table, axis=0, return_index=True)[1])]
    if mixed:
        return _unmixed(trace, key, table)
    return table if np.bincount(table.ravel()).max(initial=0) == 1 else None


def _varying(numbers: Array) -> list[int]:
    """Return the axes along which rows change; one along which they do not is looked at once."""
    found = []
    for axis, size in enumerate(numbers.shape):
        first, second = (
            numbers[(slice(None),) * axis + (slice(start, start + 1),)] for start in (0, min(1, size - 1))
        )
        if numbers.strides[axis] and ((first != second).any() or (numbers != first).any()):
            found.append(axis)
        else:
            numbers = first
    return found


def _filled(numbers: Array) -> Array | None:
    """Return the block of an array that holds rows: others may have been put beside it."""
    if numbers.min(initial=0) >= 0:
        return numbers
    places = np.nonzero(numbers >= 0)
    block = numbers[tuple(slice(one.min(), one.max() + 1) if len(one) else slice(0) for one in places)]
    return block if block.size and block.min() >= 0 else None


def _unmixed(trace: Trace, key: Key, table: Array) -> Array | None:
    """Put the rows of each head in the order that they had before they were mixed with one another."""
    unions = trace.unions[key]
    heads = [frozenset().union(*(unions.members(int(one)) for one in row)) for row in table]
    whole = frozenset().union(*heads)
    heads = list(dict.fromkeys(heads))
    if len({len(head) for head in heads}) != 1 or sum(map(len, heads)) != len(whole):
        return None
    before = _before(trace, key, whole, unions.size)
    if before is None:
        return None
    place = {row: i for i, row in enumerate(before)}
    return np.array([sorted(head, key=place.__getitem__) for head in heads], np.int32)


def _before(trace: Trace, key: Key, whole: frozenset[int], size: int) -> list[int] | None:
    """Return the rows of the last tensor that held just these, unmixed, in their order there."""
    pending, seen = [*trace.of], set()
    while pending:
        one = pending.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        numbers = one.rows.get(key)
        if numbers is None:
            continue
        if numbers.max(initial=0) < size:
            order = [int(row) for row in dict.fromkeys(numbers.ravel().tolist()) if row >= 0]
            if frozenset(order) == whole:
                return order
            if frozenset(order) > whole:
                continue
        pending.extend(one.of)
    return None


def parts_of(events: Sequence[Event], size: int, behind: Sequence[Array] = ()) -> tuple[Parts | None, str]:
    """Return what the rows of a layer are taken for, and why nobody can tell where that is None.

    Every row must have one role. Names count where the computation does not tell; where they contradict it,
    nobody knows what the target's names follow.

    Args:
        events: What the rows are taken for.
        size: How many rows there are.
        behind: The orders in which the values go on behind an attention: those of the heads, or nobody knows.
    """
    computed, why = _computed([one for one in events if not one.named])
    if "v" in computed and any(not _in_order(one, computed["v"]) for one in behind):
        why = f"{computed['v'].where}: its heads go on in another order than they are attended in"
    named = _named([one for one in events if one.named])
    if not why and _contradicted(computed, named):
        said = next(iter(named.values()))
        why = f"{said.where}: its parts are computed with as something else than they are called"
    found = {**named, **computed}
    rows = np.concatenate([event.rows.ravel() for event in found.values()] or [np.zeros(0, int)])
    if why or len(rows) != size or len(np.unique(rows)) != size:
        return None, why
    parts = [part for event in found.values() if (part := _part(event)) is not None]
    if len(parts) < len(found):
        return None, "its rows are in no regular order"
    where = next(iter((computed or named).values())).where
    return Parts(tuple(sorted(parts, key=lambda part: part.start)), where), ""


def _computed(events: Sequence[Event]) -> tuple[dict[str, Event], str]:
    """Return what the rows of each role are by computation; or why that is not one answer."""
    found: dict[str, Event] = {}
    for event in events:
        if not event.rows.size:
            return {}, f"{event.where}: its {event.role} are no regular part of its rows"
        same = found.setdefault(event.role, event)
        if not np.array_equal(same.rows, event.rows):
            return {}, f"{event.where}: its {event.role} are not always the same rows"
    rows = np.concatenate([event.rows.ravel() for event in found.values()] or [np.zeros(0, int)])
    if len(np.unique(rows)) != len(rows):
        return {}, f"{next(iter(found.values())).where}: some of its rows are taken for several things"
    return found, ""


def _named(events: Sequence[Event]) -> dict[str, Event]:
    """Return the last name of each row's part, where each name is of one part."""
    last: dict[int, Event] = {}
    for event in events:
        if event.unsure and any(
            last.get(row, event).role != event.role for row in event.rows.ravel().tolist()
        ):
            return {}
        last.update(dict.fromkeys(event.rows.ravel().tolist(), event))
    found: dict[str, Event] = {}
    for event in dict.fromkeys(last.values()):
        mine = {row for row, one in last.items() if one is event}
        if event.role in found or len(mine) != event.rows.size:
            return {}
        found[event.role] = event
    return found


def _in_order(behind: Array, values: Event) -> bool:
    order = list(dict.fromkeys(behind.tolist()))
    return order == values.rows.ravel().tolist()


def _contradicted(computed: dict[str, Event], named: dict[str, Event]) -> bool:
    """Tell whether rows are called by the name of another part's role."""
    roles = {row: role for role, event in computed.items() for row in event.rows.ravel().tolist()}
    for role, event in named.items():
        other = {roles.get(row, role) for row in event.rows.ravel().tolist()}
        if other != {role} and other <= named.keys():
            return True
    return False


def _part(event: Event) -> Part | None:
    """Write the rows of a part as a start and strides; None where they have no such order."""
    rows = event.rows
    outer, inner = _strides(rows[:, 0]), _strides(rows[0])
    if outer is None or inner is None:
        return None
    part = Part(event.role, int(rows[0, 0]), (*outer, *inner), len(rows) if event.heads else None)
    return part if part.rows == tuple(rows.ravel().tolist()) else None


def _strides(rows: Array) -> tuple[tuple[int, int], ...] | None:
    """Return sizes and strides of numbers that rise in nested steps."""
    if len(rows) == 1:
        return ()
    steps = np.diff(rows)
    run = int(np.argmax(steps != steps[0])) + 1 if (steps != steps[0]).any() else len(rows)
    if len(rows) % run or steps[0] < 1:
        return None
    blocks = rows.reshape(-1, run)
    if not (blocks - blocks[:, :1] == blocks[0] - blocks[0, 0]).all():
        return None
    outer = _strides(blocks[:, 0])
    return None if outer is None else (*outer, (run, int(steps[0])))
