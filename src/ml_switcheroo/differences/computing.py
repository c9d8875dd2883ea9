"""Where a target model computes otherwise than PyTorch's: another GELU, pool, activation or attention scale.

What has no tensors has no move. The moves of the tensors around it tell which part of the target stands for
which part of PyTorch's model; both parts are compared by what they compute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ml_switcheroo.computed import Computed
from ml_switcheroo.differences.attributes import listed
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
    here = template.computed
    if not here or not there:
        return ()
    separator, moves = target.naming.separator, list(moves)
    parts = _Parts(moves, separator)
    # Of two attentions of frameworks the number of heads is compared, which is all that decides the scale.
    attentions = {path for move in moves if move.kind == "mha" for path in _above(move.leaves[0], separator)}
    attentions &= {path for path, kind in template.kinds.items() if kind == "mha"}
    found: dict[str, list[str]] = {}
    for scope, place in dict.fromkeys(_paired(parts, here, there)):
        expected = _below(scope, there, ".")
        real = _below(place, here, separator)
        if place in attentions:
            real = frozenset(word for word in real if word.what != "attention scale")
        for text in _unlike(real, expected):
            found.setdefault(text, []).append(place)
    return tuple(f"{text}: {listed(_innermost(places, separator))}" for text, places in found.items())


@dataclass(slots=True)
class _Parts:
    """Which leaves the tensors below a module have become.

    Attributes:
        leaves: For each module of PyTorch the leaves of its tensors.
        filled: For each module of the target how many of its leaves are filled.
    """

    separator: str
    leaves: dict[str, list[str]] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)

    def __init__(self, moves: Iterable[Move], separator: str) -> None:
        self.separator, self.leaves, self.filled = separator, {}, {}
        for move in moves:
            for module in dict.fromkeys(path for name in move.sources for path in _above(name, ".")):
                self.leaves.setdefault(module, []).extend(move.leaves)
            for module in (path for leaf in move.leaves for path in _above(leaf, separator)):
                self.filled[module] = self.filled.get(module, 0) + 1

    def places(self, module: str) -> Iterator[str]:
        """Yield the parts of the target that hold just the tensors of a module, the smallest first."""
        leaves = self.leaves.get(module, [])
        common = list(_above(leaves[0], self.separator)) if leaves else []
        for leaf in leaves[1:]:
            mine = set(_above(leaf, self.separator))
            common = [path for path in common if path in mine]
        yield from (path for path in common if self.filled[path] == len(leaves))


def _above(path: str, separator: str) -> Iterator[str]:
    """Yield the modules that a tensor or leaf is in, the innermost first; the model itself is ``""``."""
    while path:
        path = path.rpartition(separator)[0]
        yield path


def _paired(parts: _Parts, here: Words, there: Words) -> Iterator[tuple[str, str]]:
    """Yield the smallest module around each thing PyTorch computes that has a part in the target."""
    for path in there:
        pairs = ((module, place) for module in (path, *_above(path, ".")) for place in parts.places(module))
        pair = next((pair for pair in pairs if _below(pair[1], here, parts.separator)), None)
        yield from [pair] if pair is not None else ()


def _below(module: str, words: Words, separator: str) -> frozenset[Computed]:
    inside = f"{module}{separator}" if module else ""
    return frozenset(
        word for path, own in words.items() if path == module or path.startswith(inside) for word in own
    )


def _unlike(real: frozenset[Computed], expected: frozenset[Computed]) -> Iterator[str]:
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
    return [
        place
        for place in places
        if not any(
            other != place and other.startswith(f"{place}{separator}" if place else "") for other in places
        )
    ]
