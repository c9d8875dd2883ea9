"""What an axis that layers take in is made of: images that lie otherwise in a port, one after the other."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace

from ml_switcheroo.sources.findings import NO_FLATTEN, Flatten
from ml_switcheroo.sources.static.torch.alike import INPUT
from ml_switcheroo.sources.static.torch.atoms import Atom, Axis
from ml_switcheroo.sources.static.torch.uses import count_of

__all__ = ["Answer", "answer_of"]

_MOST = 12
"""How many ways to make up a size are listed."""

_CHANNELS = frozenset({"channel", "group"})
_FEATURES = frozenset({"out", "hidden", "factor", "part", "any", "joined"})
_UNCLEAR = frozenset({"lost", "rest", "input", "mixed"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the axis is.

    Attributes:
        flatten: The flatten, where it is certain; ``NO_FLATTEN`` where a port has the same order.
        choices: Else what it can be, as far as that is known.
    """

    flatten: Flatten | None = None
    choices: tuple[Flatten, ...] = ()


UNKNOWN = Answer()
SAME = Answer(NO_FLATTEN)


@dataclass(frozen=True, slots=True)
class _Term:
    """One image, or one row that is no image, in an axis.

    Attributes:
        times: What is repeated: steps, frames.
        channels: Its channels; empty for what is no image.
        places: Its places; all of it where it is no image.
        sure: Whether a port certainly has the channels last.
    """

    times: Axis = ()
    channels: Axis = ()
    places: Axis = ()
    sure: bool = True

    @property
    def image(self) -> bool:
        return bool(self.channels)

    def size(self) -> tuple[int, tuple[Hashable, ...]]:
        """Return the product of the sizes that are known, and the keys of the others."""
        atoms = (*self.times, *self.channels, *self.places)
        known = math.prod(count_of(atom) or 1 for atom in atoms)
        return known, tuple(sorted((_key(atom) for atom in atoms if count_of(atom) is None), key=repr))


def _key(atom: Atom) -> Hashable:
    if atom.key is not None:
        return atom.key
    return (atom.role, id(atom.of) if atom.of is not None else id(atom))


def answer_of(axis: Axis, total: int, paths: Mapping[int, str], where: str = "") -> Answer:
    """Return what an axis of a known length means.

    Args:
        axis: Its atoms, the slowest first.
        total: Its length; 0 where that is unknown.
        paths: The path of each module, by the id of its instance.
        where: ``file:line`` of what has made it.
    """
    terms = _terms(axis)
    if terms is None:
        return UNKNOWN
    if not any(term.image for term in terms):
        return SAME
    makers = [atom.of for term in terms for atom in term.channels if atom.of is not None]
    of = paths.get(id(makers[0]), "") if len({id(maker) for maker in makers}) == 1 else ""
    parts = _solved(terms, total)
    if parts is None:
        # Where no sizes go together, something was read wrongly: that is asked all the same.
        found = _makeable(terms, total) or [Flatten(_product(terms[0].channels) or 2)]
    else:
        flatten = _flatten(parts, terms)
        if all(term.sure for term in terms):
            return Answer(replace(flatten, of=of, where=where) if flatten != NO_FLATTEN else flatten)
        found = [] if flatten == NO_FLATTEN else [flatten]
        if not found:
            return SAME
    return Answer(None, (NO_FLATTEN, *(replace(one, of=of, where=where) for one in found)))


def _terms(axis: Axis) -> list[_Term] | None:
    """Take an axis apart; None where it is not known what it holds."""
    atoms = tuple(atom for atom in axis if atom.role != "one")
    if len(atoms) == 1 and atoms[0].role == "joined":
        found: list[_Term] = []
        for part in atoms[0].parts:
            inner = _terms(part)
            if inner is None:
                return None
            found += inner
        return found
    if len(atoms) < 2:
        unclear = any(atom.role == "lost" for atom in atoms)
        return None if unclear else [_Term(places=atoms)]
    if any(atom.role in _UNCLEAR for atom in atoms):
        return None
    if any(atom.role == "joined" and _terms((atom,)) is None for atom in atoms):
        return None
    if any(atom.role == "joined" and any(t.image for t in _terms((atom,)) or ()) for atom in atoms):
        return None
    return [_term(atoms)]


def _term(atoms: Axis) -> _Term:
    """Read one row of atoms: channels and, behind them, places are what a port has the other way round."""
    channels = [place for place, atom in enumerate(atoms) if atom.role in _CHANNELS]
    if not channels:
        features = [place for place, atom in enumerate(atoms) if atom.role in _FEATURES]
        others = [place for place, atom in enumerate(atoms) if atom.role not in _FEATURES]
        if not features or not others or max(others) < min(features):
            return _Term(places=atoms)
        # Features before steps or places, as convolutions over sequences have them.
        cut = min(place for place in others if place > min(features))
        return _Term(atoms[: features[0]], atoms[features[0] : cut], atoms[cut:], sure=False)
    first, last = channels[0], channels[-1]
    before, run, behind = atoms[:first], atoms[first : last + 1], atoms[last + 1 :]
    if not behind and len(run) == len(channels):
        return _Term(places=atoms)
    clear = all(atom.role in _CHANNELS for atom in run) and all(atom.role == "space" for atom in behind)
    clear = clear and not any(atom.key == INPUT for atom in run)  # the model's own input may be no image
    spaced = any(atom.role in ("space", *_FEATURES) for atom in before)
    return _Term(before, run, behind, sure=clear and not spaced)


def _solved(terms: list[_Term], total: int) -> list[tuple[int, int, int]] | None:
    """Return how often each image is there, its channels and its places; None where that is not known."""
    if len(terms) == 1:
        return _alone(terms[0], total)
    sizes = [term.size() for term in terms]
    open_ones = {keys for _, keys in sizes if keys}
    if len(open_ones) > 1:
        return None
    fixed = sum(known for known, keys in sizes if not keys)
    share = sum(known for known, keys in sizes if keys)
    if share and ((total - fixed) % share or total <= fixed):
        return None
    times = (total - fixed) // share if share else 1
    if not share and fixed != total:
        return None
    parts = []
    for term, (known, keys) in zip(terms, sizes, strict=True):
        whole = known * times if keys else known
        part = _alone(term, whole)
        if part is None:
            return None
        parts += part
    return parts


def _alone(term: _Term, size: int) -> list[tuple[int, int, int]] | None:
    """Return the one part that a term is, of a known size."""
    if not term.image:
        return [(1, 1, size)]
    numbers = [_product(axis) for axis in (term.times, term.channels, term.places)]
    lacking = [place for place, number in enumerate(numbers) if number is None]
    known = math.prod(number for number in numbers if number is not None)
    if len(lacking) > 1 or (lacking and (size % known or not size)):
        return None
    if not lacking and known != size:
        return None
    times, channels, places = (size // known if number is None else number for number in numbers)
    return [(times, channels, places)]


def _product(axis: Axis) -> int | None:
    counts = [count_of(atom) for atom in axis]
    return None if None in counts else math.prod(count for count in counts if count is not None)


def _flatten(parts: list[tuple[int, int, int]], terms: list[_Term]) -> Flatten:
    """Return the flatten that parts make up, in its shortest form."""
    plain = [(1, 1, t * c * n) if c == 1 or n == 1 else (t, c, n) for t, c, n in parts]
    if all(channels == 1 for _, channels, _ in plain):
        return NO_FLATTEN
    joined: list[tuple[int, int, int]] = []
    for part in plain:
        last = joined[-1] if joined else None
        if last and last[1] == part[1] == 1:
            joined[-1] = (1, 1, last[2] + part[2])
        elif last and last[1:] == part[1:]:
            joined[-1] = (last[0] + part[0], *part[1:])
        else:
            joined.append(part)
    channels = max(channels for _, channels, _ in joined)
    return (
        Flatten(channels)
        if len(joined) == 1 and joined[0][0] == 1
        else Flatten(channels, parts=tuple(joined))
    )


def _makeable(terms: list[_Term], total: int) -> list[Flatten]:
    """Return the flattens that the sizes allow, the first so many, those of square images first."""
    if total <= 0:
        return []
    if len(terms) == 1:
        found = [*_splits(terms[0], total)]
    else:
        found = [[part for one in way for part in one] for way in _ways(terms, total)]
    listed = [_flatten(parts, terms) for parts in found]
    listed = [one for one in dict.fromkeys(listed) if one != NO_FLATTEN]
    listed.sort(key=lambda one: sum(math.isqrt(part[2]) ** 2 != part[2] for part in one.parts if part[1] > 1))
    return listed[:_MOST]


def _splits(term: _Term, size: int) -> Iterator[list[tuple[int, int, int]]]:
    """Yield the ways in which one image can be of a size."""
    if not term.image:
        yield [(1, 1, size)]
        return
    times, channels, places = (_product(axis) for axis in (term.times, term.channels, term.places))
    for t in [times] if times is not None else _divisors(size):
        for c in [channels] if channels is not None else _divisors(size // t if size % t == 0 else 0):
            n, rest = divmod(size, t * c)
            if n and not rest and places in (None, n):
                yield [(t, c, n)]


def _divisors(size: int) -> list[int]:
    return [number for number in range(1, min(size, 4096) + 1) if size % number == 0]


def _ways(terms: list[_Term], total: int) -> Iterator[list[list[tuple[int, int, int]]]]:
    """Yield the ways in which several images of unknown sizes can make up a size."""
    sizes = [term.size() for term in terms]
    keys = list(dict.fromkeys(key for _, key in sizes if key))
    fixed = sum(known for known, key in sizes if not key)
    shares = [sum(known for known, other in sizes if other == key) for key in keys]
    for numbers in _sums(shares, total - fixed):
        times = dict(zip(keys, numbers, strict=True))
        ways = [
            _alone(term, known * times.get(key, 1)) for term, (known, key) in zip(terms, sizes, strict=True)
        ]
        whole = [way for way in ways if way is not None]
        if len(whole) == len(ways):
            yield whole


def _sums(shares: list[int], total: int, most: int = 400) -> Iterator[list[int]]:
    """Yield the positive numbers with which shares make up a total."""
    if not shares or total <= 0:
        return
    if len(shares) == 1:
        if total % shares[0] == 0:
            yield [total // shares[0]]
        return
    for number in range(1, min(total // shares[0], most) + 1):
        for rest in _sums(shares[1:], total - number * shares[0], most // 4):
            yield [number, *rest]
