"""Where whole modules go that neither spelling nor words have placed: where they fit, and nothing else does.

A module fits a place of the target where its recipe fills every leaf there. Among modules that fit the same
places, words that only some of them have in common with some of the places tell them apart, and then the
numbers in their names, counted in order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ml_switcheroo.errors import UsageError
from ml_switcheroo.match.spelling import segments
from ml_switcheroo.match.vocabulary import FILLERS, LEAF_ROLES, contradict
from ml_switcheroo.match.words import meaning, segment_tokens
from ml_switcheroo.options.moving import Place
from ml_switcheroo.options.option import Option
from ml_switcheroo.recipes import Naming
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template

__all__ = ["Site", "in_words", "place_rest", "sites"]


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the target where a module can stand.

    Attributes:
        path: Its path as it is written there.
        leaves: The leaves below it, by the segments of their names.
    """

    path: str
    leaves: Mapping[tuple[str, ...], str]

    @property
    def is_leaf(self) -> bool:
        """Whether it is a leaf by itself: what is a module in PyTorch may be a bare weight in the target."""
        return () in self.leaves

    def place(self, specs: Mapping[str, TensorSpec]) -> Place:
        """Return the function that places the leaves of a module here."""

        def find(leaf: str, _: str) -> tuple[str, TensorSpec | None]:
            path = self.leaves.get(segments(leaf) if leaf else ())
            if path is None:
                raise UsageError(f"{self.path or 'the model'} has no leaf {leaf}")
            return path, specs[path]

        return find


def sites(template: Template, naming: Naming, taken: Collection[str]) -> list[Site]:
    """Return every place whose leaves are all still free; a leaf with a name of its own is one, too."""
    found: dict[tuple[str, ...], dict[tuple[str, ...], str]] = {}
    written: dict[tuple[str, ...], str] = {}
    full: set[tuple[str, ...]] = set()
    for path in template.specs:
        parts = path.split(naming.separator)
        for count in range(1 if naming.collections else 0, len(parts)):
            module = naming.separator.join(parts[:count])
            key = segments(path, naming.sequential, template.containers)
            end = len(segments(module, naming.sequential, template.containers)) if module else 0
            start = 1 if naming.collections else 0
            if path in taken:
                full.add(key[start:end])
            found.setdefault(key[start:end], {})[key[end:]] = path
            written.setdefault(key[start:end], naming.separator.join(parts[start:count]))
    modules = [Site(written[key], leaves) for key, leaves in found.items() if key not in full]
    names = {path: path.split(naming.separator)[-1] for path in template.specs if path not in taken}
    return modules + [Site(path, {(): path}) for path, name in names.items() if name not in LEAF_ROLES]


def place_rest(
    owners: Sequence[Owner],
    free: Sequence[Site],
    specs: Mapping[str, TensorSpec],
    sources: Mapping[str, TensorSpec],
    option_at: Callable[[Owner, Site | None], Option],
) -> dict[str, Option]:
    """Return the options of the modules that have exactly one place, by their paths.

    Args:
        owners: The modules, each of which is known to be of one kind.
        free: The places that are left.
        specs: The specs of the target's leaves.
        sources: The specs of the source tensors.
        option_at: Makes the moves of a module at a place; without one, where it would be by its name.
    """
    fits = _fits(owners, free, specs, sources, option_at)
    by_path = {owner.path: owner for owner in owners}
    placed: dict[str, Option] = {}
    for group, places in _groups(fits):
        for path, place, why in _settled([by_path[path] for path in group], places, fits):
            placed[path] = _because(fits[path][place.path], why)
    return placed


Fits = Mapping[str, Mapping[str, Option]]


def _fits(
    owners: Sequence[Owner],
    free: Sequence[Site],
    specs: Mapping[str, TensorSpec],
    sources: Mapping[str, TensorSpec],
    option_at: Callable[[Owner, Site | None], Option],
) -> dict[str, dict[str, Option]]:
    """Return the options that fill every leaf of a place, by module and place."""
    by_size: dict[int, list[Site]] = {}
    for site in free:
        by_size.setdefault(sum(specs[path].size for path in site.leaves.values()), []).append(site)
    found: dict[str, dict[str, Option]] = {}
    for owner in owners:
        for site in by_size.get(_size(owner, option_at(owner, None), sources), ()):
            if contradict(_words(owner.path), _words(site.path)):
                continue
            option = option_at(owner, site)
            filled = {path for move in option.moves for path in move.leaves}
            if not option.refused and filled == set(site.leaves.values()):
                found.setdefault(owner.path, {})[site.path] = option
    return found


def _size(owner: Owner, alone: Option, sources: Mapping[str, TensorSpec]) -> int:
    """Count the elements that a module has in the target, where a name alone does not refuse it."""
    if not alone.refused:
        return sum(spec.size for move in alone.moves for spec in move.outputs)
    return sum(sources[name].size for name in owner.tensors.values() if sources[name].shape)


def _groups(fits: Fits) -> Iterator[tuple[list[str], list[Site]]]:
    """Yield the modules and places that hang together: those that fit one another, directly or not."""
    left = dict(fits)
    while left:
        group: list[str] = []
        places: dict[str, Site] = {}
        reach = [next(iter(left))]
        while reach:
            path = reach.pop()
            options = left.pop(path, None)
            if options is None:
                continue
            group.append(path)
            places.update((place, Site(place, {})) for place in options)
            reach += [other for other, known in left.items() if not places.keys().isdisjoint(known)]
        yield sorted(group), [places[place] for place in sorted(places)]


def _settled(owners: Sequence[Owner], places: Sequence[Site], fits: Fits) -> Iterator[tuple[str, Site, str]]:
    """Yield what is certain of a group that hangs together."""
    if len(owners) != len(places):
        return
    if len(owners) == 1:
        if places[0].path in fits[owners[0].path]:
            yield owners[0].path, places[0], "nothing else fits there, and it fits nowhere else"
        return
    divided = _divided(owners, places)
    if len(divided) > 1:
        for mine, there in divided:
            yield from _settled(mine, there, fits)
        return
    ranked = _ranked([owner.path for owner in owners]), _ranked([place.path for place in places])
    complete = all(place.path in fits[owner.path] for owner in owners for place in places)
    if ranked[0] and sorted(ranked[0].values()) == sorted(ranked[1].values()) and complete:
        there_at = {rank: place for place in places for rank in [ranked[1][place.path]]}
        for owner in owners:
            why = "alike but for the numbers in their names, counted in order"
            yield owner.path, there_at[ranked[0][owner.path]], why


def _divided(owners: Sequence[Owner], places: Sequence[Site]) -> list[tuple[list[Owner], list[Site]]]:
    """Divide a group by the words that as many of its modules have as of its places."""
    mine = {owner.path: _words(owner.path) for owner in owners}
    there = {place.path: _words(place.path) for place in places}
    counts = [Counter(word for words in side.values() for word in words) for side in (mine, there)]
    telling = {word for word, count in counts[0].items() if count == counts[1][word] < len(owners)}
    groups: dict[frozenset[str], tuple[list[Owner], list[Site]]] = {}
    for owner in owners:
        groups.setdefault(frozenset(mine[owner.path] & telling), ([], []))[0].append(owner)
    for place in places:
        groups.setdefault(frozenset(there[place.path] & telling), ([], []))[1].append(place)
    even = all(len(left) == len(right) for left, right in groups.values())
    return list(groups.values()) if even else []


def in_words(path: str, option: Option) -> bool:
    """Tell whether the name of a module has a word in common with the place it was given."""
    own = next(filter(None, map(_words, reversed(path.split(".")))), set())
    return any(own & _words(leaf) for move in option.moves for leaf in move.leaves)


def _words(path: str) -> set[str]:
    segments_of = re.split(r"[./]", path)
    words = (word for segment in segments_of for word in meaning(segment_tokens(segment)))
    return {word for word in words if isinstance(word, str)} - FILLERS


_NUMBER = re.compile(r"(?<=[A-Za-z])_?(\d+)|(?<![A-Za-z0-9])(\d+)")


def _ranked(paths: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the ranks of the numbers that differ among paths alike in all else; nothing where they are not.

    The first of ``conv2d, conv2d_1`` has no number: it is counted as the one before them.
    """
    split = {path: re.split(r"[./]", path) for path in paths}
    if len({tuple(_NUMBER.sub("", segment) for segment in parts) for parts in split.values()}) != 1:
        return {}
    rows: dict[str, list[int]] = {path: [] for path in paths}
    for place in range(len(split[paths[0]])):
        numbers = {
            path: [int(n[1] or n[2]) for n in _NUMBER.finditer(parts[place])] for path, parts in split.items()
        }
        most = max(map(len, numbers.values()))
        for path, found in numbers.items():
            rows[path] += [-1] * (most - len(found)) + found
    columns = list(zip(*rows.values(), strict=True))
    orders = [sorted(set(column)) for column in columns if len(set(column)) > 1]
    varying = [index for index, column in enumerate(columns) if len(set(column)) > 1]
    return {
        path: tuple(order.index(row[index]) for index, order in zip(varying, orders, strict=True))
        for path, row in rows.items()
    }


def _because(option: Option, why: str) -> Option:
    moves = (
        replace(move, origin="target", reason="; ".join(filter(None, (move.reason, why))))
        for move in option.moves
    )
    return replace(option, moves=tuple(moves))
