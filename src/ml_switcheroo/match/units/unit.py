"""The units that are matched: a module with its tensors, all of its repetitions at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

from ml_switcheroo.match.paths.repeats import SLASH, Numeral, Position, Token
from ml_switcheroo.match.paths.vocabulary import FILLERS, KNOWN, LEAF_SLOTS
from ml_switcheroo.match.paths.words import HASH, meaning
from ml_switcheroo.sources.findings import Part
from ml_switcheroo.tensors import TensorSpec

__all__ = [
    "ANY",
    "Index",
    "Piece",
    "Unit",
    "UnitSlot",
    "above_and_last",
    "below_root",
    "scopes",
    "units",
    "words_in",
]

ANY = frozenset({"linear", "conv", "embedding", "norm", "parameter"})

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnitSlot:
    """One tensor of a unit, in every repetition.

    Attributes:
        name: ``weight``, ``bias``, ``mean``, ``variance``, ``count``; ``parameter`` for a tensor with a
            name of its own.
        paths: The path of the tensor, by the indices of the repetition.
        specs: Its spec, likewise.
    """

    name: str
    paths: Mapping[Index, str]
    specs: Mapping[Index, TensorSpec]

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(next(iter(self.specs.values())).shape)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a fused tensor.

    Attributes:
        number: Which part: in the order of the fused tensor's rows where that is known, else of its name.
        count: How many parts there are.
        part: Its rows in the fused tensor; None where nobody knows.
        why: What shows them.
        axis: The axis of the fused matrix that has the rows.
    """

    number: int
    count: int
    part: Part | None = None
    why: str = ""
    axis: int = 0


@dataclass(frozen=True)
class Unit:
    """A module, or a tensor with a name of its own, in all repetitions of the block it stands in.

    Attributes:
        pattern: Its path, ``#`` for the indices of repeated blocks.
        containers: For each ``#`` the container that is counted.
        slots: Its tensors, by slot.
        kinds: What it can be: ``linear``, ``conv``, ``embedding``, ``norm``, ``parameter``.
        words: What its path says, segment by segment.
        local: What its path says inside the innermost block.
        inside: Where in the pattern the innermost block begins; 0 for a unit in no block.
        role: Which part of the network it is (:mod:`ml_switcheroo.match.units.roles`).
        standings: For a norm, where in its block it can stand (:mod:`ml_switcheroo.match.units.norms`).
        piece: Which part of a fused tensor it is, if it is one.
        numbers: The numbers in its path that are names, by the word that they belong to.
        span: The indices of all that is repeated together with it.
        turns: For a norm, where it stands as one of those that its block counts.
        beside: For a norm in a block, how many norms the block has.
        root: How much of the pattern is a root of the whole tree that the other tree does not have.
        more: The unknown words of its name, if the name without them is another module's.
    """

    pattern: tuple[Token, ...]
    containers: tuple[tuple[Token, ...], ...]
    slots: Mapping[str, UnitSlot]
    kinds: frozenset[str]
    words: tuple[Token, ...]
    local: tuple[Token, ...]
    inside: int
    role: str = ""
    piece: Piece | None = None
    standings: frozenset[str] = frozenset()
    numbers: Mapping[str, Numeral] = field(default_factory=dict)
    span: frozenset[Index] = frozenset()
    turns: frozenset[str] = frozenset()
    beside: int = 0
    root: int = 0
    more: frozenset[str] = frozenset()

    @cached_property
    def indices(self) -> frozenset[Index]:
        """The indices of the repetitions."""
        return frozenset(index for slot in self.slots.values() for index in slot.paths)

    @cached_property
    def below(self) -> tuple[Token, ...]:
        """The path without a root that only this tree has."""
        return self.pattern[self.root :]

    @cached_property
    def tail(self) -> frozenset[str]:
        """The words of the last segment."""
        return _last_words(self.pattern)

    @cached_property
    def unknown(self) -> frozenset[str]:
        """The unknown words of the last segment."""
        return self.tail - KNOWN

    @cached_property
    def outline(self) -> tuple[object, ...]:
        """What it can be and the shapes of its tensors: all that a candidate depends on, words aside."""
        shapes = tuple(
            (name, tuple((index, spec.shape) for index, spec in slot.specs.items()))
            for name, slot in self.slots.items()
        )
        return self.kinds, self.role, self.piece, len(self.containers), self.span, shapes

    @cached_property
    def own(self) -> frozenset[str]:
        """The telling words of the last segment that no segment above repeats."""
        return _own_words(self.pattern)

    @cached_property
    def said(self) -> frozenset[str]:
        """The words of the whole path."""
        return _spelled(self.words)

    def __str__(self) -> str:
        return "".join("." if token == SLASH else str(token) for token in self.pattern)


@cache
def _spelled(words: tuple[Token, ...]) -> frozenset[str]:
    return frozenset(str(word) for word in words if word != HASH)


@cache
def _last_words(pattern: tuple[Token, ...]) -> frozenset[str]:
    """Return the words of a pattern's last segment: every pair of units asks for them."""
    return frozenset(
        word for word in meaning(above_and_last(pattern)[1]) if isinstance(word, str) and word != HASH
    )


@cache
def _own_words(pattern: tuple[Token, ...]) -> frozenset[str]:
    return _last_words(pattern) - FILLERS - _spelled(_words(above_and_last(pattern)[0])[0])


# Segments that some frameworks put around a bare tensor.
_WRAPPERS = {("linear",), ("add", "bias"), ("scale",), ("shift",)}
_PARAMETRISED = {("parametrizations",), ("weight",)}
_ENDINGS = {"weight": "weight", "bias": "bias", "kernel": "weight", "gamma": "weight", "beta": "bias"}


def units(
    specs: Mapping[str, TensorSpec],
    kinds_of: Callable[[str, str], frozenset[str]],
    where: Mapping[str, Position],
) -> list[Unit]:
    """Group tensors into units.

    Args:
        specs: The tensors to group.
        kinds_of: Gives what a tensor's module can be, from its path and slot.
        where: The positions of all paths of the tree, also of those that are not grouped.
    """
    grouped: dict[tuple[Token, ...], dict[str, dict[Index, Position]]] = {}
    for path in specs:
        position = where[path]
        pattern, slot = _split(position.pattern)
        slots = grouped.setdefault(pattern, {})
        if position.index in slots.get(slot, ()):
            slots = grouped.setdefault(position.pattern, {})
        slots.setdefault(slot, {})[position.index] = position
    spans: dict[tuple[tuple[Token, ...], ...], set[Index]] = {}
    for position in where.values():
        spans.setdefault(position.containers, set()).add(position.index)
    whole = {containers: frozenset(indices) for containers, indices in spans.items()}
    found = _with_biases(
        [_unit(pattern, slots, specs, kinds_of, whole) for pattern, slots in grouped.items()]
    )
    modules = {_plain(_split(pattern)[0]) for pattern in {position.pattern for position in where.values()}}
    return [replace(unit, more=more) if (more := _more(unit.pattern, modules)) else unit for unit in found]


def _with_biases(found: Sequence[Unit]) -> list[Unit]:
    """Give a bias that stands alone to the module beside it with the same name.

    ``attn/k_bias`` belongs to ``attn/k_proj/w``.
    """
    lonely = {_called(unit): unit for unit in found if unit.slots.keys() == {"bias"} and _called(unit)[1]}
    hosts: dict[tuple[tuple[Token, ...], frozenset[str]], list[Unit]] = {}
    for unit in found:
        if _called(unit) in lonely and "weight" in unit.slots and "bias" not in unit.slots:
            hosts.setdefault(_called(unit), []).append(unit)
    given = {id(units[0]): lonely[key] for key, units in hosts.items() if len(units) == 1}
    taken = {id(bias) for bias in given.values()}
    return [
        replace(unit, slots={**unit.slots, **given[id(unit)].slots}) if id(unit) in given else unit
        for unit in found
        if id(unit) not in taken
    ]


def _called(unit: Unit) -> tuple[tuple[Token, ...], frozenset[str]]:
    """Return what a unit stands in, and the words of its own name that say something."""
    return above_and_last(unit.pattern)[0], unit.tail - FILLERS


def _more(pattern: tuple[Token, ...], modules: Set[tuple[str, ...]]) -> frozenset[str]:
    """Return the unknown words of a name, if the name without them is another module's."""
    head, last = map(_plain, above_and_last(pattern))
    unknown = {word for word in last if not (word.isdecimal() or KNOWN.issuperset(meaning((word,))))}
    plain = tuple(word for word in last if word not in unknown)
    other = (*head, SLASH, *plain) if head else plain
    return frozenset(word for one in unknown for word in meaning((one,))) if other in modules else frozenset()


def _plain(pattern: tuple[Token, ...]) -> tuple[str, ...]:
    return tuple(map(str, pattern))


def _split(pattern: tuple[Token, ...]) -> tuple[tuple[Token, ...], str]:
    """Split a pattern into that of the module and the slot of the tensor."""
    head, last = above_and_last(pattern)
    text = next((name for name in _names(last) if name in LEAF_SLOTS), None)
    if text is not None:
        slot, _ = LEAF_SLOTS[text]
        wrappers = _WRAPPERS if slot in ("weight", "bias") else _PARAMETRISED
        above, wrapper = above_and_last(head)
        while tuple(wrapper) in wrappers and above:
            head = above
            above, wrapper = above_and_last(head)
        return head, slot
    if len(last) > 1 and last[-1] in _ENDINGS:
        return pattern[:-1], _ENDINGS[str(last[-1])]
    return pattern, "parameter"


def _names(segment: tuple[Token, ...]) -> tuple[str, str]:
    """Write a segment with its words apart, and as one word: ``original0`` ends with a number."""
    return "_".join(map(str, segment)), "".join(map(str, segment))


def below_root(
    found: Sequence[Unit], where: Mapping[str, Position], others: Mapping[str, Position]
) -> list[Unit]:
    """Mark the root that all paths of a tree have, unless the other tree says it, too.

    Args:
        found: Units of the tree.
        where: The positions of all its paths.
        others: Those of the other tree's.
    """
    patterns = sorted((position.pattern for position in where.values()), key=_as_text)
    first, last = patterns[0], patterns[-1]
    size = 0
    for position, (token, other) in enumerate(zip(first, last, strict=False)):
        if token != other or token == HASH or (isinstance(token, Numeral) and token.count > 1):
            break
        size = position + 1 if token == SLASH else size
    if not size or any(position.pattern[:1] == first[:1] for position in others.values()):
        return list(found)
    if any(len(unit.pattern) < size for unit in found):
        return list(found)  # all paths begin with a module itself, not with what it stands in
    return [replace(unit, root=min(size, len(unit.pattern))) for unit in found]


def _as_text(pattern: tuple[Token, ...]) -> tuple[str, ...]:
    return tuple(map(str, pattern))


def scopes(unit: Unit, word: str) -> Iterator[tuple[Token, ...]]:
    """Yield what stands around the segments that say a word: for ``attn``, the block of the attention."""
    above, last = above_and_last(unit.pattern)
    while above:
        if word in meaning(last):
            yield above
        above, last = above_and_last(above)


def above_and_last(pattern: tuple[Token, ...]) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
    """Cut a pattern before its last segment."""
    for position in range(len(pattern) - 1, -1, -1):
        if pattern[position] == SLASH:
            return pattern[:position], pattern[position + 1 :]
    return (), pattern


def _unit(
    pattern: tuple[Token, ...],
    grouped: Mapping[str, Mapping[Index, Position]],
    specs: Mapping[str, TensorSpec],
    kinds_of: Callable[[str, str], frozenset[str]],
    spans: Mapping[tuple[tuple[Token, ...], ...], frozenset[Index]],
) -> Unit:
    slots: dict[str, UnitSlot] = {}
    kinds = ANY
    for slot, found in grouped.items():
        paths = {index: position.path for index, position in found.items()}
        slots[slot] = UnitSlot(slot, paths, {index: specs[path] for index, path in paths.items()})
        for path in paths.values():
            kinds = (kinds & kinds_of(path, slot)) or kinds
    first = next(iter(next(iter(grouped.values())).values()))
    words, numbers = _words(pattern)
    inner = _words(pattern[first.inside :])[0]
    span = spans[first.containers]
    return Unit(
        pattern, first.containers, slots, kinds, words, inner, first.inside, numbers=numbers, span=span
    )


def words_in(pattern: tuple[Token, ...]) -> tuple[Token, ...]:
    """Say what a pattern means."""
    return _words(pattern)[0]


def _words(pattern: tuple[Token, ...]) -> tuple[tuple[Token, ...], dict[str, Numeral]]:
    """Say what a pattern means, and which word each number belongs to."""
    words: list[Token] = []
    numbers: dict[str, Numeral] = {}
    segment: list[Token] = []
    for token in (*pattern, SLASH):
        if token != SLASH:
            segment.append(token)
            continue
        plain = meaning(tuple(segment))
        for position, word in enumerate(plain):
            if isinstance(word, Numeral):
                around = [plain[i] for i in (position - 1, position + 1) if 0 <= i < len(plain)]
                around += reversed(words)
                for near in [w for w in around if isinstance(w, str) and w != HASH][:1]:
                    # The second number of a word is another one: blocks.0.1 is not blocks.1.1.
                    numbers[near + "'" * sum(name.rstrip("'") == near for name in numbers)] = word
            else:
                words.append(word)
        segment = []
    return tuple(words), numbers
