"""What speaks for a site, besides that a module fits it and nothing else does.

That something is left over proves nothing: the head of another task has the same shape as often as not. The
names must say the same, or say nothing where the site is known by what stands around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from ml_switcheroo.match.paths.vocabulary import FILLERS
from ml_switcheroo.match.paths.words import meaning, segment_tokens
from ml_switcheroo.match.weights import WEIGHTS
from ml_switcheroo.moves import Move
from ml_switcheroo.planning.stages.series import Series, series_of, stem_of

__all__ = ["Vouching", "nameless", "words_of"]

Words: TypeAlias = tuple[str, ...]
Tokens: TypeAlias = tuple[str | int, ...]

_SEPARATOR = re.compile(r"[./]")
_LEAF = re.compile(r"[./][^./]*$")
_KINDS = frozenset({"norm", "conv"})
_KEPT = 2**14
"""So many paths are taken apart once."""
_QUIET = frozenset({"head", "out"})
"""Words that say little beside another one: ``fc_mean`` is ``mean``."""


@dataclass(frozen=True)
class Vouching:
    """What two trees say of a module and a site.

    Attributes:
        here: The series of the source's modules.
        there: The series of the target's.
        first: The first of all modules of either tree that are alike but for their numbers.
        blocks: Which blocks of the target are which of the source, by what is placed already.
    """

    here: Mapping[str, Series]
    there: Mapping[str, Series]
    first: tuple[Mapping[Words, Tokens], Mapping[Words, Tokens]]
    blocks: Mapping[str, Set[str]]

    @classmethod
    def of(
        cls, sources: Iterable[str], leaves: Iterable[str], moves: Sequence[Move], modules: Iterable[str]
    ) -> Vouching:
        """Read two trees and the moves between them that are certain.

        Args:
            sources: The names of the checkpoint.
            leaves: The paths of the template.
            moves: What is placed already.
            modules: The paths of the modules that have no site yet.
        """
        mine = [*modules, *(name.rpartition(".")[0] for name in sources)]
        other = [_LEAF.sub("", path) for path in leaves]
        return cls(series_of(mine), series_of(other), (_first(mine), _first(other)), _blocks(moves))

    def same_name(self, path: str, site: str) -> bool:
        """Tell whether two paths differ in their separators only: ``layer1.0.bn1`` and ``layer1_0_bn1``.

        What one tree counts from 1 and the other from 0 has other names.
        """
        tokens = _tokens(path)
        first = [there.get(_words(path)) for there in self.first]
        return tokens == _tokens(site) and first[0] == first[1]

    def speaks_for(self, path: str, site: str, moves: Sequence[Move]) -> bool:
        """Tell whether a module can be taken for a site that nothing else fits.

        Args:
            path: The module's path.
            site: The site's, as the target writes it.
            moves: The moves that would fill it.
        """
        if self.same_name(path, site):
            return True
        mine, other = _telling(path), _telling(site)
        alike = mine == other or (mine - _QUIET == other - _QUIET != set())
        alike = alike or words_of(path) - _KINDS == words_of(site) - _KINDS  # fc_dec and dec.fc
        if mine and (alike or _consists_of(mine, moves)):
            return True
        if self._same_number(path, site, moves):
            return True
        names = _last(path), _last(site)
        if all(names):
            return False
        # Beside a name of its own, a shared word above says little of a square matrix.
        near = bool(_shared(path, site)) and (not any(names) or _is_shaped(moves))
        return near or self._same_block(path, moves)

    def _same_number(self, path: str, site: str, moves: Sequence[Move]) -> bool:
        """Tell whether two modules without words of their own have the same rank in series that line up."""
        modules = {_LEAF.sub("", leaf) for move in moves for leaf in move.leaves}
        if len(modules) != 1 or path not in self.here or _telling(path) or _telling(site):
            return False
        (module,) = modules
        mine, other = self.here[path], self.there.get(module)
        return other is not None and mine.lines_up(other) and mine.ranks[path] == other.ranks[module]

    def _same_block(self, path: str, moves: Sequence[Move]) -> bool:
        known = self.blocks.get(_block(path), frozenset())
        return all(known & set(_blocks_of(_LEAF.sub("", leaf))) for move in moves for leaf in move.leaves)


def nameless(path: str, moves: Sequence[Move]) -> bool:
    """Tell whether a module or its site has no name of its own, and a shape that says more than a norm's.

    Frameworks call layers by what they are (``Dense_1``): where all else has its site, nothing contradicts.
    """
    sites = (_LEAF.sub("", leaf) for move in moves for leaf in move.leaves)
    return _is_shaped(moves) and (
        not words_of(path) - _KINDS or any(not words_of(site) - _KINDS for site in sites)
    )


def _is_shaped(moves: Sequence[Move]) -> bool:
    """Tell whether a shape says more than that of a norm or of a square matrix."""
    shapes = (spec.shape for move in moves for spec in move.inputs)
    return any(len(shape) > 1 and len(set(shape)) > 1 for shape in shapes)


@lru_cache(_KEPT)
def words_of(path: str) -> frozenset[str]:
    """Return the words of a path that are no fillers.

    >>> sorted(words_of("encoder.layers.0.fc1"))
    ['encoder', 'up']
    """
    words = (word for segment in _SEPARATOR.split(path) for word in meaning(segment_tokens(segment)))
    return frozenset(word for word in words if isinstance(word, str)) - FILLERS


@lru_cache(_KEPT)
def _tokens(path: str) -> Tokens:
    return tuple(token for segment in _SEPARATOR.split(path) for token in segment_tokens(segment))


@lru_cache(_KEPT)
def _words(path: str) -> tuple[str, ...]:
    """Return the words of what paths have in common that are alike but for their numbers."""
    return tuple(word for part in stem_of(path) for word in part)


def _first(paths: Iterable[str]) -> dict[Words, Tokens]:
    found: dict[Words, Tokens] = {}
    for path in paths:
        tokens = _tokens(path)
        stem = _words(path)
        numbers = [token for token in tokens if isinstance(token, int)]
        known = [token for token in found.get(stem, tokens) if isinstance(token, int)]
        if numbers <= known:
            found[stem] = tokens
    return found


def _last(path: str) -> frozenset[str]:
    return words_of(_SEPARATOR.split(path)[-1]) - _KINDS


def _telling(path: str) -> frozenset[str]:
    """Return the words of the last segment that says more than what kind of layer it is."""
    words = (words_of(segment) - _KINDS for segment in reversed(_SEPARATOR.split(path)))
    return next(filter(None, words), frozenset())


def _consists_of(own: Set[str], moves: Sequence[Move]) -> bool:
    """Tell whether a layer of layers has the words inside of itself: ``forward_rnn`` of an ``rnn``."""
    leaves = [leaf for move in moves for leaf in move.leaves]
    inside = {word for leaf in leaves for part in _SEPARATOR.split(leaf)[1:-1] for word in words_of(part)}
    return len(leaves) > WEIGHTS.leaves_of_a_layer and own <= inside


def _shared(path: str, site: str) -> Set[object]:
    """Return what stands in both paths above: words, or the name of a module with its number."""
    mine, other = (_SEPARATOR.split(one) for one in (path, site))
    numbered = {
        tokens
        for tokens in map(segment_tokens, mine[:-1])
        if len(tokens) > 1 and tokens in map(segment_tokens, other[:-1])
    }
    return numbered | ((words_of(path) & words_of(site)) - _KINDS)


def _block(path: str) -> str:
    """Return the path of the innermost block that a module stands in; empty for none."""
    return next(iter(_blocks_of(path)), "")


def _blocks_of(path: str) -> list[str]:
    """Return the paths of all blocks that a module stands in, the innermost first: they end in a number."""
    parts = _SEPARATOR.split(path)[:-1]
    return [".".join(parts[: i + 1]) for i in reversed(range(len(parts))) if parts[i][-1:].isdecimal()]


def _blocks(moves: Sequence[Move]) -> dict[str, frozenset[str]]:
    """Return for each block of the source those of the target that have all of it and nothing else."""
    there: dict[str, frozenset[str]] = {}
    back: dict[str, set[str]] = {}
    for move in moves:
        for name in move.sources:
            block = _block(name.rpartition(".")[0])
            for leaf in move.leaves:
                sites = frozenset(_blocks_of(_LEAF.sub("", leaf)))
                there[block] = there.get(block, sites) & sites
                for site in sites:
                    back.setdefault(site, set()).add(block)
    return {
        block: frozenset(site for site in sites if back[site] == {block})
        for block, sites in there.items()
        if block
    }
