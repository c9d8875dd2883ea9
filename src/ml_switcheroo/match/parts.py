"""Which part of a network a unit is, as far as its words tell: a query, the way down of an MLP, a norm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ml_switcheroo.match.repeats import SLASH, Numeral, Token
from ml_switcheroo.match.units import Unit

__all__ = ["NORM", "agree", "named"]

NORM = "norm"

# The w1, w2 (and w3 beside a gate) of an MLP.
_NUMBERED = {"w1 of 2": "up", "w2 of 2": "down", "w1 of 3": "gate", "w2 of 3": "down", "w3 of 3": "up"}
_OUTWARD = frozenset({"o", "out", "dense", "wo"})
_PLAIN = frozenset({"out", "dense", "in", "layer", "mlp"})


def named(found: Sequence[Unit]) -> list[Unit]:
    """Name the part that each unit is, where its words and its neighbours tell."""
    neighbours: dict[tuple[object, ...], set[str]] = {}
    for unit in found:
        neighbours.setdefault(_parent(unit), set()).update(_spelled(unit.local))
    first = [replace(unit, role=_role(unit, neighbours[_parent(unit)])) for unit in found]
    downs = {_above(unit) for unit in first if unit.role == "down" and "mlp" in unit.tail}
    # An ``ffn`` beside an ``ffn_output`` is the way up.
    return [
        replace(unit, role="up") if unit.tail == {"mlp"} and _above(unit) in downs else unit for unit in first
    ]


def _above(unit: Unit) -> tuple[Token, ...]:
    last = max((i for i, token in enumerate(unit.pattern) if token == SLASH), default=0)
    return unit.pattern[:last]


def _parent(unit: Unit) -> tuple[object, ...]:
    return tuple(unit.containers)


def _spelled(words: Iterable[Token]) -> set[str]:
    return {str(word) for word in words}


def _role(unit: Unit, around: set[str]) -> str:
    words = _spelled(unit.local)
    if unit.kinds == {"norm"} or NORM in words:
        return "" if unit.kinds.isdisjoint({"norm", "parameter"}) else NORM
    attention = "attn" in words
    numbered = {f"{word}{number} of {number.count}" for word, number in unit.numbers.items()}
    if "mlp" in words and not numbered & _NUMBERED.keys():
        numbered = {
            f"w{number.rank + 1} of {number.count}" for number in unit.numbers.values() if number.count == 2
        }
    for role in ("mixed", "qkv", "kv"):
        if role in words:
            return "kv" if role == "qkv" and "q" in around - words and "cross" in words else role
    for role in ("q", "k", "v"):
        if role in words:
            # A gated unit has a gate and a value.
            return "up" if role == "v" and "mlp" in words and not attention else role
    if attention and {"in", "dense"} <= words:
        return "qkv"
    if attention and words & _OUTWARD and "up" not in words:
        return "o"
    return _mlp_role(words, numbered, in_block=bool(unit.containers))


def _mlp_role(words: set[str], numbered: set[str], *, in_block: bool) -> str:
    if {"gate", "up"} <= words:
        return "gate_up"
    for role in ("router", "up", "down", "gate"):
        if role in words:
            return role
    for spelled, role in _NUMBERED.items():
        if spelled in numbered:
            return role
    inside = words & {"mlp", "moe", "experts"}
    if "wo" in words or (inside and "out" in words):
        return "down"
    if "mlp" in words and "in" in words:
        return "up"
    return "down" if in_block and "out" in words and words <= _PLAIN else ""


def sides(unit: Unit, *, counted: bool = True) -> frozenset[str]:
    """Return where in its block a norm can stand: at the attention or at the MLP, before or after it.

    Args:
        unit: A norm.
        counted: Whether the number of a norm may tell: the first of two stands at the attention.

    Returns:
        Some of ``attn.pre``, ``attn.post``, ``cross``, ``mlp.pre``, ``mlp.post``; empty where it is open.
    """
    words = _spelled(unit.local)
    if words & {"q", "k", "v", "conv", "shortcut", "embed"}:
        return frozenset()
    if "cross" in words:
        return frozenset({"cross"})
    before, after = bool(words & {"before"}), bool(words & {"after"})
    if "attn" in words:
        if after:
            return frozenset({"attn.post", "mlp.pre"})
        if before:
            return frozenset({"attn.pre"})
        return frozenset({"attn.pre", "attn.post"})
    if words & {"mlp", "up", "down"}:
        return frozenset({"mlp.post"} if after else {"mlp.pre"} if before else {"mlp.pre", "mlp.post"})
    if "in" in words or before:
        return frozenset({"attn.pre"})
    if after or words & {"final", "out", "full"}:
        return frozenset({"mlp.pre", "mlp.post"})
    return _counted(unit.numbers) if counted else frozenset()


def agree(source: Unit, target: Unit) -> bool | None:
    """Tell whether two norms can stand in the same place; None where that is open."""
    counted = source.numbers.keys().isdisjoint(target.numbers)
    here, there = sides(source, counted=counted), sides(target, counted=counted)
    return None if not here or not there else not here.isdisjoint(there)


_ORDER = {
    2: (frozenset({"attn.pre", "attn.post"}), frozenset({"mlp.pre", "mlp.post"})),
    3: (frozenset({"attn.pre", "attn.post"}), frozenset({"cross"}), frozenset({"mlp.pre", "mlp.post"})),
}


def _counted(numbers: Mapping[str, Numeral]) -> frozenset[str]:
    for number in numbers.values():
        if number.count in _ORDER:
            return _ORDER[number.count][number.rank]
    return frozenset()
