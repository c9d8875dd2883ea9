"""Tied weights: several names for one leaf of the target, or one name for several leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Branch, Copy, Op, Tie
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Ties", "groups_of", "joined", "shared"]

Groups = Sequence[tuple[str, ...]]

_STAGE = "ties"


@dataclass(frozen=True, slots=True)
class Ties:
    """The names that are one tensor.

    Attributes:
        groups: The names of each.
        absent: The tied names that the checkpoint lacks but the target may want, with the one that it has.
    """

    groups: Groups
    absent: Mapping[str, str]

    @classmethod
    def of(cls, request: Request) -> Ties:
        """Return what the sources of a request call tied."""
        groups = groups_of(knowledge.tied for knowledge in request.knowledge)
        if request.template is None:
            return cls(groups, {})
        stored = [(group, [name for name in group if name in request.specs]) for group in groups]
        return cls(
            groups,
            {name: own[0] for group, own in stored if own for name in group if name not in request.specs},
        )

    def specs_of_absent(self, specs: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
        """Return the specs of the names that the checkpoint lacks: those of the tensors that they are."""
        return {name: specs[stored] for name, stored in self.absent.items()}

    def join(self, request: Request, ledger: Ledger) -> None:
        """Let the names without a leaf of their own go with the one that has it."""
        if request.template is not None:
            ledger.change(_STAGE, joined(ledger.moves, ledger.refused, self.groups, request.specs))
            ledger.admit(_STAGE, ledger.moved, "it is the same tensor as one that has a leaf")

    def share(self, ledger: Ledger) -> None:
        """Let a tensor that is stored under one name fill the leaves of the others, too."""
        if not self.absent:
            return
        ledger.change(_STAGE, shared(ledger.moves, self.absent))
        why = "the checkpoint does not have it: it is another name for a tensor"
        ledger.admit(_STAGE, self.absent, why)
        ledger.answer(_STAGE, lambda doubt: self.absent.keys() >= set(doubt.names), why)


def groups_of(said: Iterable[Groups]) -> list[tuple[str, ...]]:
    """Put the groups of several sources together: groups that share a name are one.

    >>> groups_of([[("a", "b")], [("b", "c"), ("d", "e")]])
    [('a', 'b', 'c'), ('d', 'e')]
    """
    found: list[tuple[str, ...]] = []
    for groups in said:
        for group in groups:
            touching = [other for other in found if not set(other).isdisjoint(group)]
            found = [other for other in found if other not in touching]
            found.append(tuple(dict.fromkeys(name for one in (*touching, group) for name in one)))
    return found


def joined(
    moves: Sequence[Move], left: Iterable[str], groups: Groups, specs: Mapping[str, TensorSpec]
) -> list[Move]:
    """Let the names without a leaf of their own go with the one that has it: its move takes all of them.

    The move compares their bits when it is carried out, and gives each of them back on the way back.

    Args:
        moves: The moves.
        left: The names that no move takes.
        groups: The names that are one tensor.
        specs: The specs of the source tensors.
    """
    result, left = list(moves), set(left)
    for group in groups:
        with_it = [name for name in group if name in left]
        for number, move in enumerate(result):
            if with_it and len(move.sources) == 1 and move.sources[0] in group:
                result[number] = replace(
                    move,
                    sources=(*move.sources, *with_it),
                    inputs=(*move.inputs, *(specs[name] for name in with_it)),
                    ops=(Tie(), *move.ops),
                    notes=(*move.notes, "tied: one tensor under several names"),
                )
                left.difference_update(with_it)
                break
    return result


def shared(moves: Sequence[Move], absent: Mapping[str, str]) -> list[Move]:
    """Let a tensor that is stored under one name fill the leaves of the other names, too.

    Args:
        moves: The moves, some of them from names that the checkpoint lacks.
        absent: The name that the checkpoint has, by the one that it lacks.
    """
    own = {move.sources[0]: move for move in moves if len(move.sources) == 1}
    merged: dict[str, Move] = {}
    gone: set[int] = set()
    for move in moves:
        stored = absent.get(move.sources[0]) if len(move.sources) == 1 else None
        if stored is None:
            continue
        gone.add(id(move))
        main = merged.get(stored, own.get(stored))
        if main is None:
            merged[stored] = replace(move, sources=(stored,))
        else:
            merged[stored] = _both(main, move)
            gone.add(id(main))
    return [move for move in moves if id(move) not in gone] + list(merged.values())


def _both(main: Move, other: Move) -> Move:
    """Return the move that fills the leaves of two from the one tensor."""
    branches: tuple[tuple[Op, ...], ...] = (main.ops,)
    if len(main.ops) == 2 and isinstance(main.ops[1], Branch):
        branches = main.ops[1].branches
    branches = (*branches, other.ops)
    return replace(
        main,
        leaves=(*main.leaves, *other.leaves),
        outputs=(*main.outputs, *other.outputs),
        ops=(Copy(len(branches)), Branch(branches)),
        notes=(*main.notes, "tied: stored once, for several leaves"),
    )
