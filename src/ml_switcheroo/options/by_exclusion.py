"""Where whole modules go that neither spelling nor words have placed: where they fit, and nothing else does.

A module fits a place of the target where its recipe fills every leaf there. Among modules that fit the same
places, words that only some of them have in common with some of the places tell them apart, and then the
numbers in their names, counted in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ml_switcheroo.errors import UsageError
from ml_switcheroo.match.paths.spelling import segments
from ml_switcheroo.match.paths.vocabulary import LEAF_ROLES, apart
from ml_switcheroo.moves import Move
from ml_switcheroo.options.moving import Place
from ml_switcheroo.options.option import Option
from ml_switcheroo.options.series import ranked
from ml_switcheroo.options.vouching import Vouching, nameless, words_of
from ml_switcheroo.recipes import Naming
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template

__all__ = ["Site", "place_rest", "sites"]


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


Fits = Mapping[str, Mapping[str, Option]]


def place_rest(
    owners: Sequence[Owner],
    free: Sequence[Site],
    specs: Mapping[str, TensorSpec],
    sources: Mapping[str, TensorSpec],
    option_at: Callable[[Owner, Site | None], Option],
    filled: Sequence[Move],
) -> dict[str, Option]:
    """Return the options of the modules that have exactly one place, by their paths.

    That nothing else fits a place is not enough: see :mod:`ml_switcheroo.options.vouching`.

    Args:
        owners: The modules, each of which is known to be of one kind.
        free: The places that are left.
        specs: The specs of the target's leaves.
        sources: The specs of the source tensors.
        option_at: Makes the moves of a module at a place; without one, where it would be by its name.
        filled: The moves that are certain already.
    """
    by_path = {owner.path: owner for owner in owners}
    placed: dict[str, Option] = {}
    unvouched: dict[str, Option] = {}
    vouching = Vouching.of(sources, specs, filled, by_path)
    fits = _by_name(_fits(owners, free, specs, sources, option_at), vouching)
    for group, places in _groups(fits):
        for path, place, why in _settled([by_path[path] for path in group], places, fits):
            option = _because(fits[path][place.path], why)
            certain = vouching.speaks_for(path, place.path, option.moves)
            (placed if certain else unvouched)[path] = option
    if _complete(owners, free, {**placed, **unvouched}):
        placed |= {path: option for path, option in unvouched.items() if nameless(path, option.moves)}
    return placed


def _by_name(fits: Fits, vouching: Vouching) -> Fits:
    """Keep a place for the module of its name, where that fits."""
    named = {
        place: path for path, places in fits.items() for place in places if vouching.same_name(path, place)
    }
    at = {path: place for place, path in named.items()}
    kept = {
        path: {
            place: option
            for place, option in places.items()
            if named.get(place, path) == path and at.get(path, place) == place
        }
        for path, places in fits.items()
    }
    return {path: places for path, places in kept.items() if places}


def _complete(owners: Sequence[Owner], free: Sequence[Site], placed: Mapping[str, Option]) -> bool:
    """Tell whether all that is left has a place, and nothing is left to be filled."""
    filled = {path for option in placed.values() for move in option.moves for path in move.leaves}
    wanted = {path for site in free for path in site.leaves.values()}
    return wanted <= filled and all(owner.path in placed for owner in owners)


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
            if apart(words_of(owner.path), words_of(site.path)):
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
    own, other = ranked([owner.path for owner in owners]), ranked([place.path for place in places])
    complete = all(place.path in fits[owner.path] for owner in owners for place in places)
    if own is not None and other is not None and own.lines_up(other) and complete:
        at = {other.ranks[place.path]: place for place in places}
        for owner in owners:
            why = "alike but for the numbers in their names, counted in order"
            yield owner.path, at[own.ranks[owner.path]], why


def _divided(owners: Sequence[Owner], places: Sequence[Site]) -> list[tuple[list[Owner], list[Site]]]:
    """Divide a group by the words that as many of its modules have as of its places."""
    mine = {owner.path: words_of(owner.path) for owner in owners}
    there = {place.path: words_of(place.path) for place in places}
    counts = [Counter(word for words in side.values() for word in words) for side in (mine, there)]
    telling = {word for word, count in counts[0].items() if count == counts[1][word] < len(owners)}
    groups: dict[frozenset[str], tuple[list[Owner], list[Site]]] = {}
    for owner in owners:
        groups.setdefault(frozenset(mine[owner.path] & telling), ([], []))[0].append(owner)
    for place in places:
        groups.setdefault(frozenset(there[place.path] & telling), ([], []))[1].append(place)
    even = all(len(left) == len(right) for left, right in groups.values())
    return list(groups.values()) if even else []


def _because(option: Option, why: str) -> Option:
    moves = (
        replace(move, origin="target", reason="; ".join(filter(None, (move.reason, why))))
        for move in option.moves
    )
    return replace(option, moves=tuple(moves))
