"""Where in its block a norm stands: at the attention or at the MLP, before or after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ml_switcheroo.match.paths.repeats import Numeral, Position, Token
from ml_switcheroo.match.paths.vocabulary import KNOWN, QUIET
from ml_switcheroo.match.units.roles import NORM
from ml_switcheroo.match.units.unit import Unit, above_and_last, scopes, words_in

__all__ = ["agree", "elsewhere", "with_standings"]

Standings = frozenset[str]

_ATTENTION = frozenset({"attn.pre", "attn.post"})
_MLP = frozenset({"mlp.pre", "mlp.post"})
_ENDINGS = frozenset({"final", "out", "full"})
# A norm behind the attention is the one before the MLP, unless the block has norms on both sides of both.
_BETWEEN = frozenset({"attn.post", "mlp.pre"})


def with_standings(found: Sequence[Unit], tree: Mapping[str, Position]) -> list[Unit]:
    """Say of every norm where it can stand, as far as its words and its neighbours tell.

    A ``post_attention_layernorm`` is the norm before the MLP, unless the MLP has norms of its own name.

    Args:
        found: The units.
        tree: The positions of all paths, in the order in which the tree is written down.
    """
    standings = [_standings(unit) if unit.role == NORM else frozenset() for unit in found]
    # A block whose repetitions are stacked has no number.
    stacked = {scope for unit in found if not unit.inside for scope in scopes(unit, "attn")}
    where_in = [_block(unit, stacked) for unit in found]
    blocks: dict[tuple[Token, ...], list[Standings]] = {}
    for block, where in zip(where_in, standings, strict=True):
        blocks.setdefault(block, []).append(where)
    result = []
    beside = Counter(
        block
        for unit, block in zip(found, where_in, strict=True)
        if _may_be_norm(unit) and not _elsewhere(unit)
    )
    written = list(dict.fromkeys(place.pattern for place in tree.values()))
    counted = _confirmed(found, where_in, beside, written)
    for number, (unit, block, where) in enumerate(zip(found, where_in, standings, strict=True)):
        around = blocks[block]
        if unit.role == NORM and block:
            unit = replace(unit, turns=counted.get(number, frozenset()), beside=beside[block])
        if where == _BETWEEN and around.count(_BETWEEN) == 1:
            own = any(other and other <= _MLP for other in around)
            where = frozenset({"attn.post"} if own else {"mlp.pre"})
        result.append(replace(unit, standings=where) if where else unit)
    return result


def _confirmed(
    found: Sequence[Unit],
    where_in: Sequence[tuple[Token, ...]],
    beside: Mapping[tuple[Token, ...], int],
    written: Sequence[tuple[Token, ...]],
) -> dict[int, Standings]:
    """Return where counted norms stand, if their block is written down in that order, too.

    That the first norm is the attention's is a custom. It counts where what each of them stands before, or
    behind, says the same.
    """
    counted: dict[tuple[Token, ...], dict[int, Standings]] = {}
    for number, (unit, block) in enumerate(zip(found, where_in, strict=True)):
        turn = _counted(unit.numbers, beside[block]) if block and unit.role == NORM else frozenset()
        if turn:
            counted.setdefault(block, {})[number] = turn
    result: dict[int, Standings] = {}
    for block, turns in counted.items():
        members = [pattern for pattern in written if pattern[: len(block)] == block]
        for order in (members, members[::-1]):
            parts = {number: _next_part(found[number].pattern, order, len(block)) for number in turns}
            if all(parts[number] and parts[number] <= turn for number, turn in turns.items()):
                result |= turns
                break
    return result


def _next_part(norm: tuple[Token, ...], order: Sequence[tuple[Token, ...]], block: int) -> Standings:
    """Return where a norm stands by the part, of an attention or an MLP, that is written next behind it."""
    own = [place for place, pattern in enumerate(order) if pattern[: len(norm)] == norm]
    for pattern in order[own[-1] + 1 :] if own else ():
        words = {str(word) for word in words_in(pattern[block:])}
        if NORM in words:
            continue
        if words & _IN_ATTENTION:
            return frozenset({"cross"}) if "cross" in words else _ATTENTION
        if words & _IN_MLP:
            return _MLP
    return frozenset()


_IN_ATTENTION = frozenset({"attn", "q", "k", "v", "kv", "qkv", "mixed", "o"})
_IN_MLP = frozenset({"mlp", "up", "down", "gate"})


def _block(unit: Unit, stacked: Collection[tuple[Token, ...]]) -> tuple[Token, ...]:
    """Return the path of the block that a unit is in, counted or stacked; nothing for none."""
    above = above_and_last(unit.pattern)[0]
    return unit.pattern[: unit.inside] if unit.inside else above if above in stacked else ()


def _standings(unit: Unit) -> Standings:
    words = {str(word) for word in unit.local}
    if _elsewhere(unit) or NORM not in words:
        return frozenset()
    if "cross" in words:
        return frozenset({"cross"})
    before, after = "before" in words, "after" in words
    if "attn" in words and not (before or after) and not unit.tail <= KNOWN:
        return _ATTENTION | _BETWEEN  # its unknown word may say that it stands behind the attention
    if "attn" in words:
        return _BETWEEN if after else frozenset({"attn.pre"}) if before else _ATTENTION
    if words & {"mlp", "up", "down"}:
        return frozenset({"mlp.post"} if after else {"mlp.pre"} if before else _MLP)
    if "in" in words or before:
        return frozenset({"attn.pre"})
    ending = words & _ENDINGS
    if not unit.inside and ending & unit.tail:
        ending = set()
    if ending and not words <= KNOWN | _ENDINGS:
        return _ATTENTION | _MLP  # its unknown word may be a name of the attention
    return _MLP if after or ending else frozenset()


def _may_be_norm(unit: Unit) -> bool:
    """Tell whether a unit is a norm, or a vector that may be one under an unknown name."""
    weight = unit.slots.get("weight")
    return unit.role == NORM or (weight is not None and weight.rank == 1 and "norm" in unit.kinds)


def _elsewhere(unit: Unit) -> bool:
    """Tell whether a norm stands neither at the attention nor at the MLP as a whole."""
    return not {str(word) for word in unit.local}.isdisjoint({"q", "k", "v", "conv", "shortcut", "embed"})


def agree(source: Unit, target: Unit) -> bool | None:
    """Tell whether two norms can stand in the same place; None where that is open."""
    if "mean" in source.slots:
        return None  # a batch norm stands behind a convolution, not beside an attention
    counted = source.numbers.keys().isdisjoint(target.numbers)
    here = source.standings or (source.turns if counted else frozenset())
    there = target.standings or (target.turns if counted else frozenset())
    return None if not here or not there else not here.isdisjoint(there)


def elsewhere(source: Unit, target: Unit) -> bool:
    """Tell whether two norms outside of blocks stand at different ends of a network, or may do so.

    A norm without another word is the last one; behind an embedding, a stem or an input is another one.
    """
    if NORM not in (source.role, target.role) or source.inside or target.inside:
        return False
    if source.below == target.below or "mean" in source.slots:
        return False
    mine, other = ((unit.said & _EARLY) | (unit.unknown - QUIET) for unit in (source, target))
    tables = _TABLES if "embed" in mine & other else set()
    return mine - tables != other - tables


_TABLES = frozenset({"patch", "tok", "pos"})
_EARLY = frozenset({"embed", "before", "in", "patch", "tok", "pos", "conv"})
_ORDER = {2: (_ATTENTION, _MLP), 3: (_ATTENTION, frozenset({"cross"}), _MLP)}


def _counted(numbers: Mapping[str, Numeral], norms: int) -> Standings:
    """Return where a counted norm stands: the first of two is the attention's, the second the MLP's.

    Args:
        numbers: The numbers in the path of a norm.
        norms: How many norms its block has: a number says nothing where some of them are not counted.
    """
    for number in numbers.values():
        if number.count in _ORDER and number.count == norms:
            return _ORDER[number.count][number.rank]
        if number.count == 1 and number.value in (1, 2) and norms <= len(_ORDER[2]):
            return _ORDER[2][number.value - 1]
    return frozenset()
