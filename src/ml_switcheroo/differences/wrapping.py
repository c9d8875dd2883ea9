"""What a wrapper of the target that keeps a norm does otherwise than PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ml_switcheroo.differences.attributes import listed
from ml_switcheroo.moves import Move
from ml_switcheroo.recipes import Target

__all__ = ["said_of_wrappers"]


def said_of_wrappers(target: Target, moves: Iterable[Move]) -> tuple[list[Move], list[str]]:
    """Take the notes of wrappers off the moves, and say each once for all of them."""
    known = {wrapper.note for wrapper in target.wrappers.values()}
    left: list[Move] = []
    said: dict[str, list[str]] = {}
    for move in moves:
        for note in move.notes:
            if note in known:
                said.setdefault(note, []).append(move.leaves[0].rpartition(target.naming.separator)[0])
        own = tuple(note for note in move.notes if note not in known)
        left.append(replace(move, notes=own) if own != move.notes else move)
    return left, [f"{note}: {listed(places)}" for note, places in said.items()]
