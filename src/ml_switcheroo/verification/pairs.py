"""Which modules of PyTorch and of the target correspond: those that hold the same moves of the plan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Stack
from ml_switcheroo.recipes import Naming

__all__ = ["BLOCK", "Pair", "pair_modules"]

BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two modules that correspond.

    Attributes:
        source: Path of the module in PyTorch.
        target: Path of the module in the target.
        kind: Kind of the layer; :data:`BLOCK` for a module that contains others.
        moves: The moves of its tensors.
        turn: Which call of the target's module this is, if that one module stands for a stack of PyTorch's.
    """

    source: str
    target: str
    kind: str
    moves: tuple[Move, ...]
    turn: int | None = None


def pair_modules(
    moves: Sequence[Move], sources: Collection[str], targets: Collection[str], naming: Naming
) -> tuple[Pair, ...]:
    """Pair the modules that ran.

    Two modules are a pair if the moves of all tensors below the one are the moves of all leaves below the
    other. If nested modules hold the same tensors, the innermost are a pair; the others are if there are
    equally many on both sides.

    Args:
        moves: The moves of the plan.
        sources: Paths of PyTorch's modules.
        targets: Paths of the target's modules.
        naming: How the target writes its paths.
    """
    mine = _held([move.sources for move in moves], sources, ".")
    leaves = [tuple(_module_path(path, naming) for path in move.leaves) for move in moves]
    other = _held(leaves, targets, naming.separator)
    found: list[Pair] = []
    for held, paths in mine.items():
        there = other.get(held, [])
        own = tuple(moves[number] for number in sorted(held))
        if not there:
            continue
        kind = _kind(own, paths[-1], sources)
        found.append(Pair(paths[-1], there[-1], kind, own))
        if len(paths) == len(there):
            found += [Pair(a, b, BLOCK, own) for a, b in zip(paths[:-1], there[:-1], strict=True)]
    taken = {pair.target for pair in found}
    for held, paths in other.items():
        if paths[-1] not in taken:
            found += _stacked([moves[number] for number in sorted(held)], sources, paths[-1])
    return tuple(found)


def _module_path(leaf: str, naming: Naming) -> str:
    return leaf.partition(naming.separator)[2] if naming.collections else leaf


def _above(path: str, separator: str) -> Iterator[str]:
    """Yield the paths above a path, the nearest first."""
    while separator in path:
        path = path.rpartition(separator)[0]
        yield path


def _held(
    paths_of_moves: Sequence[Sequence[str]], modules: Collection[str], separator: str
) -> dict[frozenset[int], list[str]]:
    """Return, for each set of moves, the modules that hold all of it, the outermost first."""
    counts: dict[str, dict[int, int]] = {}
    for number, paths in enumerate(paths_of_moves):
        for path in paths:
            for module in _above(path, separator):
                if module in modules:
                    below = counts.setdefault(module, {})
                    below[number] = below.get(number, 0) + 1
    found: dict[frozenset[int], list[str]] = {}
    for module in sorted(counts, key=lambda path: (path.count(separator), path)):
        below = counts[module]
        if all(count == len(paths_of_moves[number]) for number, count in below.items()):
            found.setdefault(frozenset(below), []).append(module)
    return found


def _kind(moves: Sequence[Move], module: str, modules: Collection[str]) -> str:
    """Return the kind of a layer; a block contains other modules with tensors."""
    kinds = {move.kind for move in moves}
    inside = {
        above
        for move in moves
        for name in move.sources
        for above in _above(name, ".")
        if above in modules and above.startswith(f"{module}.")
    }
    return kinds.pop() if len(kinds) == 1 and not inside else BLOCK


def _stacked(moves: Sequence[Move], sources: Collection[str], target: str) -> Iterator[Pair]:
    """Pair the modules of a stack with the calls of the one module that stands for them."""
    counts = {len(move.sources) for move in moves}
    if len(counts) != 1 or not all(any(isinstance(op, Stack) for op in move.ops) for move in moves):
        return
    for turn in range(counts.pop()):
        owners = {
            next((path for path in _above(move.sources[turn], ".") if path in sources), "") for move in moves
        }
        if len(owners) == 1 and (owner := owners.pop()):
            yield Pair(owner, target, _kind(moves, owner, ()), tuple(moves), turn)
