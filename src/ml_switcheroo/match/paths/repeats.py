"""Repeated blocks: which numbers in the paths of a tree count blocks, and which are names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ml_switcheroo.match.paths.vocabulary import PHRASES
from ml_switcheroo.match.paths.words import HASH, tokens
from ml_switcheroo.match.weights import WEIGHTS

__all__ = ["SLASH", "Numeral", "Position", "Token", "positions"]

SLASH = "/"
"""Stands in a pattern between two segments."""


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number that is a name, such as the 2 of ``norm2``.

    Attributes:
        value: The number.
        rank: How many of its siblings are smaller.
        count: How many siblings there are, itself among them.
        siblings: Their values in order, its own among them.
    """

    value: int
    rank: int
    count: int
    siblings: tuple[int, ...] = ()

    def __str__(self) -> str:
        return str(self.value)

    @property
    def in_order(self) -> bool:
        """Whether it is one of 0, 1, 2 ... or of 1, 2, 3 ...: then its rank is what it says."""
        return self.siblings[:1] in ((0,), (1,)) and self.siblings[-1] - self.siblings[0] + 1 == self.count


Token = str | Numeral


@dataclass(frozen=True, slots=True)
class Position:
    """Where a tensor stands in its tree.

    Attributes:
        path: The path.
        pattern: Its words, with ``#`` where the index of a repeated block stands.
        index: For each ``#`` the rank of the block among its siblings.
        containers: For each ``#`` the pattern of the container.
        inside: Where in the pattern the innermost block begins, also one that is the only one of its
            kind; 0 for a tensor in no block.
    """

    path: str
    pattern: tuple[Token, ...]
    index: tuple[int, ...]
    containers: tuple[tuple[Token, ...], ...]
    inside: int = 0


@dataclass(slots=True)
class _Entry:
    path: str
    rest: tuple[str | int, ...]
    index: tuple[int, ...] = ()
    inside: int = 0


def positions(paths: Iterable[str]) -> dict[str, Position]:
    """Find the position of every path of a tree.

    Numbers under one parent count blocks where at least two of them hold alike subtrees of several
    modules. A number without siblings says nothing and is left out.

    >>> found = positions(["h.0.ln_1.w", "h.0.ln_2.w", "h.1.ln_1.w", "h.1.ln_2.w"])
    >>> found["h.1.ln_2.w"].index, "".join(map(str, found["h.1.ln_2.w"].pattern))
    ((1,), 'h/#/ln2/w')
    """
    entries = [_Entry(path, _split(path)) for path in paths]
    found: dict[str, Position] = {}
    _fold(entries, found)
    return {entry.path: found[entry.path] for entry in entries}


def _split(path: str) -> tuple[str | int, ...]:
    flat: list[str | int] = []
    for segment in tokens(path):
        flat += [SLASH, *segment] if flat else segment
    return tuple(flat)


@dataclass(slots=True)
class _Branch:
    entries: list[_Entry]
    prefix: tuple[Token, ...] = ()
    containers: tuple[tuple[Token, ...], ...] = ()

    def below(self, entries: list[_Entry], *token: Token) -> _Branch:
        for entry in entries:
            entry.rest = entry.rest[1:]
        return _Branch(entries, (*self.prefix, *token), self.containers)


def _fold(entries: list[_Entry], found: dict[str, Position]) -> None:
    """Walk down the tree; blocks that are alike are walked as one."""
    stack = [_Branch(entries)]
    while stack:
        branch = stack.pop()
        words: dict[str, list[_Entry]] = {}
        numbers: dict[int, list[_Entry]] = {}
        for entry in branch.entries:
            if not entry.rest:
                found[entry.path] = Position(
                    entry.path, branch.prefix, entry.index, branch.containers, entry.inside
                )
            elif isinstance(entry.rest[0], int):
                numbers.setdefault(entry.rest[0], []).append(entry)
            else:
                words.setdefault(entry.rest[0], []).append(entry)
        stack += [branch.below(entries, word) for word, entries in words.items()]
        if numbers:
            stack += _numbered(branch, numbers, words)


def _numbered(
    branch: _Branch, numbers: dict[int, list[_Entry]], words: dict[str, list[_Entry]]
) -> list[_Branch]:
    """Walk into the children that are numbers."""
    counted = [entry for entries in numbers.values() for entry in entries]
    if _alone(numbers, words) and not _named_by(numbers, branch.prefix):
        for entry in counted:
            entry.inside = len(branch.prefix)
        return [branch.below(counted)]
    siblings = tuple(sorted(numbers))
    ranks = {number: rank for rank, number in enumerate(siblings)}
    # An index stands behind a name or ends one: block0_1_conv is a conv in block 0, not in its block 1.
    nested = branch.prefix[-1:] == (HASH,) and any(entry.rest[1:2] != (SLASH,) for entry in counted)
    if nested or not _repeated(numbers):
        return [
            branch.below(entries, Numeral(number, ranks[number], len(numbers), siblings))
            for number, entries in numbers.items()
        ]
    for number, entries in numbers.items():
        for entry in entries:
            entry.index += (ranks[number],)
            entry.inside = len(branch.prefix) + 1
    blocks = branch.below(counted, HASH)
    blocks.containers = (*branch.containers, branch.prefix)
    return [blocks]


def _alone(numbers: dict[int, list[_Entry]], words: dict[str, list[_Entry]]) -> bool:
    """Tell whether each number is the only one where it stands, so that it tells nothing apart."""
    seen: dict[tuple[int, ...], int] = {}
    for number, below in numbers.items():
        for entry in below:
            if seen.setdefault(entry.index, number) != number:
                return False
    return not any(entry.index in seen for below in words.values() for entry in below)


def _named_by(numbers: dict[int, list[_Entry]], prefix: tuple[Token, ...]) -> bool:
    """Tell whether the numbers belong to the names of modules: fc2 beside a way up of another name."""
    start = max((i + 1 for i, token in enumerate(prefix) if token == SLASH), default=0)
    words = tuple(map(str, prefix[start:]))
    if any((*words[i:], str(number)) in PHRASES for i in range(len(words)) for number in numbers):
        return True
    if len(numbers) > 1 or not words:
        return False
    (entries,) = numbers.values()
    return _outline(entries)[1] <= 1 or any(entry.rest[1:2] != (SLASH,) for entry in entries)


def _repeated(numbers: dict[int, list[_Entry]]) -> bool:
    if len(numbers) < 2:
        return False
    shapes = [_outline(below) for below in numbers.values()]
    several = [shape for shape, modules in shapes if modules > 1]
    if len(several) > 1:
        seen: list[frozenset[tuple[str, ...]]] = []
        for shape in several:
            if any(len(shape & other) >= WEIGHTS.alike_blocks * len(shape | other) for other in seen):
                return True
            seen = [*seen, shape] if shape not in seen else seen
        return False
    # Single modules in a row: a list of them only where there are many, all alike.
    contiguous = sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers)))
    return len(numbers) >= WEIGHTS.plain_list and contiguous and len({shape for shape, _ in shapes}) == 1


def _outline(entries: Sequence[_Entry]) -> tuple[frozenset[tuple[str, ...]], int]:
    """Return the paths below a number without any deeper numbers, and the number of modules.

    Some frameworks count the modules of a whole model: ``layer_1/moe_block_1`` beside ``layer_0/moe_block``.
    """
    outline: set[tuple[str, ...]] = set()
    modules: set[tuple[object, ...]] = set()
    for entry in entries:
        rest = entry.rest[1:]
        outline.add(tuple(token for token in rest if not isinstance(token, int)))
        last = max((i for i, token in enumerate(rest) if token == SLASH), default=0)
        modules.add((entry.index, rest[:last]))
    return frozenset(outline), len(modules) // max(1, len({entry.index for entry in entries}))
