"""Carry out a plan, leaf by leaf: memory is bounded by the largest leaf with its sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_switcheroo.errors import PlanError
from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Array
from ml_switcheroo.tensors import as_numpy, spec_of

__all__ = ["Leaves"]


class Leaves(Mapping[str, Array]):
    """The leaves of a plan for one state, each computed when it is asked for.

    Args:
        moves: The moves to carry out.
        state: The source tensors: arrays, torch tensors or the lazy tensors of a checkpoint.

    Raises:
        PlanError: A tensor is not there, or of another shape or dtype than the plan says.
    """

    def __init__(self, moves: Sequence[Move], state: Mapping[str, Any]) -> None:
        self._moves = tuple(moves)
        self._state = state
        self._place = {path: (move, index) for move in self._moves for index, path in enumerate(move.leaves)}
        _compare(self._moves, state)

    def __getitem__(self, path: str) -> Array:
        move, index = self._place[path]
        return self._run(move)[index]

    def __contains__(self, path: object) -> bool:
        return path in self._place

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)

    def stream(self) -> Iterator[tuple[str, Array | Deferred]]:
        """Yield each path and leaf, running every move once and keeping none.

        A leaf is deferred where its move only moves elements or casts: nothing of it is read before a writer
        takes it strip by strip, or ``numpy.asarray`` all at once.
        """
        for move in self._moves:
            sources = tuple(_deferred(self._state[name]) for name in move.sources)
            leaves: Any = move(sources)  # type: ignore[arg-type]
            yield from zip(move.leaves, leaves, strict=True)

    def _run(self, move: Move) -> tuple[Array, ...]:
        return move(tuple(_array(self._state[name]) for name in move.sources))


def _array(value: Any) -> Array:
    return value.read() if hasattr(value, "read") else as_numpy(value)


def _deferred(value: Any) -> Deferred:
    found: Deferred = value.defer() if hasattr(value, "defer") else Deferred.of(as_numpy(value))
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
