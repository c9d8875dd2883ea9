"""Where a target model computes otherwise than PyTorch's: another GELU, pool, activation or attention scale.

What has no tensors has no move. The moves of the tensors around it tell which part of the target stands for
which part of PyTorch's model; both parts are compared by what they compute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ml_switcheroo.computed import PAD, Computed
from ml_switcheroo.differences.attributes import listed
from ml_switcheroo.layers import attends
from ml_switcheroo.moves import Move
from ml_switcheroo.recipes import Target
from ml_switcheroo.tree import Template

__all__ = ["by_computing"]

# What is no activation, and is compared with its like only.
_NO_ACTIVATION = frozenset({"avg_pool", "attention scale"})

Words = Mapping[str, tuple[Computed, ...]]


def by_computing(target: Target, template: Template, moves: Iterable[Move], there: Words) -> tuple[str, ...]:
    """Compare what both models compute without weights; one note for each difference.

    Args:
        target: The target.
        template: The live model, with what its modules compute.
        moves: The moves: they tell which part of the target stands for which in PyTorch.
        there: What PyTorch's modules compute, by path.
    """
    # A pad says something of the convolutions beside it only.
    here, there = (
        {path: kept for path, own in words.items() if (kept := tuple(w for w in own if w != PAD))}
        for words in (template.computed, there)
    )
    if not here or not there:
        return ()
    separator, moves = target.naming.separator, list(moves)
    parts = _Parts(moves, separator)
    # Of two attentions of frameworks the number of heads is compared, which is all that decides the scale.
    attentions = {path for move in moves if attends(move.kind) for path in _above(move.leaves[0], separator)}
    attentions &= {path for path, kind in template.kinds.items() if attends(kind)}
    found: dict[str, list[str]] = {}
    mine, theirs = _spread(here, separator), _spread(there, ".")
    for scope, place in dict.fromkeys(_paired(parts, mine, there)):
        real = mine[place]
        if place in attentions:
            real = {word for word in real if word.what != "attention scale"}
        for text in _unlike(real, theirs[scope]):
            found.setdefault(text, []).append(place)
    return tuple(f"{text}: {listed(_innermost(places, separator))}" for text, places in found.items())


class _Parts:
    """Which leaves the tensors below a module have become."""

    def __init__(self, moves: Iterable[Move], separator: str) -> None:
        self._separator = separator
        self._leaves: dict[str, list[str]] = {}
        self._filled: dict[str, int] = {}
        self._places: dict[str, tuple[str, ...]] = {}
        for move in moves:
            for module in dict.fromkeys(path for name in move.sources for path in _above(name, ".")):
                self._leaves.setdefault(module, []).extend(move.leaves)
            for module in (path for leaf in move.leaves for path in _above(leaf, separator)):
                self._filled[module] = self._filled.get(module, 0) + 1

    def places(self, module: str) -> tuple[str, ...]:
        """Return the parts of the target that hold just the tensors of a module, the smallest first."""
        if module not in self._places:
            leaves = self._leaves.get(module, [])
            common = list(_above(leaves[0], self._separator)) if leaves else []
            for leaf in leaves[1:]:
                own = set(_above(leaf, self._separator))
                common = [path for path in common if path in own]
            self._places[module] = tuple(path for path in common if self._filled[path] == len(leaves))
        return self._places[module]


def _above(path: str, separator: str) -> Iterator[str]:
    """Yield the modules that a tensor or leaf is in, the innermost first; the model itself is ``""``."""
    while path:
        path = path.rpartition(separator)[0]
        yield path


def _paired(parts: _Parts, mine: Mapping[str, set[Computed]], there: Words) -> Iterator[tuple[str, str]]:
    """Yield the smallest module around each thing PyTorch computes that has a part in the target."""
    for path in there:
        pairs = ((module, place) for module in (path, *_above(path, ".")) for place in parts.places(module))
        pair = next((pair for pair in pairs if pair[1] in mine), None)
        yield from [pair] if pair is not None else ()


def _spread(words: Words, separator: str) -> dict[str, set[Computed]]:
    """Return what is computed in each module and below."""
    found: dict[str, set[Computed]] = {}
    for path, own in words.items():
        for module in (path, *_above(path, separator)):
            found.setdefault(module, set()).update(own)
    return found


def _unlike(real: set[Computed], expected: set[Computed]) -> Iterator[str]:
    """Say what two parts have in two variants; and which activation each has, where both have one."""
    both = {word.what for word in real} & {word.what for word in expected}
    for what in sorted(both):
        mine, theirs = (sorted(word.how for word in side if word.what == what) for side in (real, expected))
        if not set(mine) & set(theirs):
            yield f"{what}: {_or(mine)} in the target, {_or(theirs)} in PyTorch"
    acts = [sorted({word.what for word in side} - _NO_ACTIVATION) for side in (real, expected)]
    if [len(side) for side in acts] == [1, 1] and acts[0] != acts[1]:
        yield f"activation: {acts[0][0]} in the target, {acts[1][0]} in PyTorch"


def _or(words: list[str]) -> str:
    return " or ".join(words)


def _innermost(places: list[str], separator: str) -> list[str]:
    """Leave out a part in which another one is that says the same."""
    around = {module for place in places for module in _above(place, separator)}
    return [place for place in places if place not in around]
