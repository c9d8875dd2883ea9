"""Carry out a plan, leaf by leaf: memory is bounded by the largest leaf with its sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from ml_switcheroo.errors import CastError, PlanError, UnknownName
from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Array, Cast, run, trace
from ml_switcheroo.ops.casting import Losses, losses, may_lose
from ml_switcheroo.shown import html_table
from ml_switcheroo.tensors import DTYPES, read_array, spec_of

__all__ = ["Leaves"]

_SHOWN = 10  # leaves in a notebook


class Leaves(Mapping[str, Array]):
    """The leaves of a plan for one state, each computed when it is asked for.

    Args:
        moves: The moves to carry out.
        state: The source tensors: arrays, torch tensors or the lazy tensors of a checkpoint.
        allow_overflow: Give a leaf although finite values became infinite, NaN, 0 or other integers.

    Raises:
        PlanError: A tensor is missing, or its shape or dtype is not the one in the plan.
    """

    def __init__(
        self, moves: Sequence[Move], state: Mapping[str, Any], *, allow_overflow: bool = False
    ) -> None:
        self._moves = tuple(moves)
        self._state = state
        self._allow_overflow = allow_overflow
        self._last: tuple[Move | None, dict[str, Array | Deferred]] = (None, {})
        self._place = {path: (move, index) for move in self._moves for index, path in enumerate(move.leaves)}
        _compare(self._moves, state)

    def __getitem__(self, path: str) -> Array:
        """Return a leaf.

        Raises:
            CastError: Values would be lost.
            UnknownName: The plan has no such leaf; also a ``KeyError``.
        """
        if path not in self._place:
            raise UnknownName("leaf", path, self._place)
        move, index = self._place[path]
        leaves, lost = self._run(move)
        if lost:
            raise _lost(lost, self._moves)
        return leaves[index]

    def __repr__(self) -> str:
        nbytes = sum(spec.nbytes for move in self._moves for spec in move.outputs)
        return f"<Leaves: {len(self)} leaves, {nbytes:,} bytes, each computed when it is asked for>"

    def _repr_html_(self) -> str:
        specs = (
            (path, spec) for move in self._moves for path, spec in zip(move.leaves, move.outputs, strict=True)
        )
        rows: list[tuple[object, ...]] = list(islice(specs, _SHOWN))
        rows += [(f"... and {len(self) - _SHOWN} more", "")] * (len(self) > _SHOWN)
        return html_table(repr(self)[1:-1], rows)

    def deferred(self, path: str) -> Array | Deferred:
        """Return a leaf as :meth:`stream` yields it; the leaves of one move are best asked for in a row."""
        move, _ = self._place[path]
        if self._last[0] is not move:
            self._last = (move, dict(self._streamed(move)))
        return self._last[1][path]

    def __contains__(self, path: object) -> bool:
        return path in self._place

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)

    def check_values(self) -> None:
        """Read everything that is cast to a dtype that may not hold it.

        Raises:
            CastError: Values would be lost; all leaves are named.
        """
        lost = [found for move in self._moves if self._watches(move) for found in self._run(move)[1].items()]
        if lost:
            raise _lost(dict(lost), self._moves)

    def check_sources(self) -> None:
        """Check that every source can still be read, as far as that is possible without reading it.

        Raises:
            CheckpointError: The file behind a tensor has changed or was closed.
        """
        for name in dict.fromkeys(name for move in self._moves for name in move.sources):
            _deferred(self._state[name]).check()

    def stream(self) -> Iterator[tuple[str, Array | Deferred]]:
        """Yield each path and leaf, running every move once and keeping none.

        A leaf is deferred if its move only moves elements or casts. Nothing of it is read until a writer
        takes it strip by strip, or ``numpy.asarray`` takes all of it.

        Raises:
            CastError: Values are lost; for a deferred leaf, when its values are taken. :meth:`check_values`
                then names all leaves.
        """
        for move in self._moves:
            yield from self._streamed(move)

    def _streamed(self, move: Move) -> Iterator[tuple[str, Array | Deferred]]:
        sources = tuple(_deferred(self._state[name]) for name in move.sources)
        if not self._watches(move):
            yield from zip(move.leaves, move(sources), strict=True)  # type: ignore[arg-type]
            return
        before: Any = run(move.ops[:-1], sources)  # type: ignore[arg-type]
        for path, leaf, cast in zip(move.leaves, before, move.ops[-1](before), strict=True):
            if isinstance(cast, Deferred):
                yield path, cast.watched(partial(self._watch, path))
            else:
                self._watch(path, np.asarray(leaf), cast)
                yield path, cast

    def _watches(self, move: Move) -> bool:
        """Tell whether the dtype of a leaf may not hold all values that it gets."""
        if self._allow_overflow or not move.ops or not isinstance(move.ops[-1], Cast):
            return False
        stations = trace(move.ops, move.inputs)
        pairs = zip(stations[-2], stations[-1], strict=True)
        return any(may_lose(DTYPES[a.dtype].numpy, DTYPES[b.dtype].numpy) for a, b in pairs)

    def _watch(self, path: str, before: Array, after: Array) -> None:
        found = losses(before, after)
        if found:
            raise _lost({path: found}, self._moves)

    def _run(self, move: Move) -> tuple[tuple[Array, ...], dict[str, Losses]]:
        """Return the leaves of a move, and what was lost on the way."""
        sources = tuple(read_array(self._state[name]) for name in move.sources)
        if not self._watches(move):
            return move(sources), {}
        before = run(move.ops[:-1], sources)
        after = move.ops[-1](before)
        found = zip(move.leaves, before, after, strict=True)
        return after, {path: lost for path, a, b in found if (lost := losses(a, b))}


_MOST = 20
"""Leaves that an error lists; its attribute has all."""


def _lost(lost: Mapping[str, Losses], moves: Sequence[Move]) -> CastError:
    outputs = {path: spec for move in moves for path, spec in zip(move.leaves, move.outputs, strict=True)}
    number = f"{len(lost)} of {len(outputs)} leaves"
    lines = [f"  {path} {outputs[path]}: {lost[path]}" for path in sorted(lost)]
    listed = lines if len(lines) <= _MOST else [*lines[:_MOST], f"  ... and {len(lines) - _MOST} more"]
    return CastError(
        "\n".join(
            [
                f"{number} would lose values that were finite",
                *listed,
                "Choose a dtype of a wider range (bfloat16 for float16), or insist: --allow-overflow,"
                " allow_overflow=True.",
            ]
        ),
        {path: str(found) for path, found in lost.items()},
    )


def _deferred(value: Any) -> Deferred:
    found: Deferred = value.defer() if hasattr(value, "defer") else Deferred.of(read_array(value))
    return found


def _compare(moves: Sequence[Move], state: Mapping[str, Any]) -> None:
    problems = []
    for move in moves:
        for name, expected in zip(move.sources, move.inputs, strict=True):
            if name not in state:
                problems.append(f"{name}: {expected} in the plan, not in the checkpoint")
            elif (found := spec_of(state[name])) != expected:
                problems.append(f"{name}: {expected} in the plan, {found} in the checkpoint")
    if problems:
        listed = "\n".join(f"  {line}" for line in sorted(problems))
        raise PlanError(
            f"the checkpoint is not the one this plan was made for\n{listed}\nMake the plan anew."
        )
