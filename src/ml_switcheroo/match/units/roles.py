"""Which part of a network a unit is, as far as its words tell: a query, the way down of an MLP, a norm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ml_switcheroo.match.paths.repeats import SLASH, Numeral, Token
from ml_switcheroo.match.paths.vocabulary import KNOWN
from ml_switcheroo.match.units.unit import Unit, scopes

__all__ = ["NORM", "ROLE_NAMES", "routed", "ungated", "with_roles"]

NORM = "norm"

ROLE_NAMES = {
    "q": "queries",
    "k": "keys",
    "v": "values",
    "o": "way out of the attention",
    "qkv": "fused queries, keys and values",
    "up": "way up of the MLP",
    "down": "way down of the MLP",
    "gate": "gate of the MLP",
    "gate_up": "fused gate and way up of the MLP",
}
"""What a person calls a role."""

# The w1, w2 (and w3 beside a gate) of an MLP.
_NUMBERED = {"w1 of 2": "up", "w2 of 2": "down", "w1 of 3": "gate", "w2 of 3": "down", "w3 of 3": "up"}
_OUTWARD = frozenset({"o", "out", "dense", "wo"})
_PLAIN = frozenset({"out", "dense", "in", "layer", "mlp"})


def with_roles(found: Sequence[Unit]) -> list[Unit]:
    """Give each unit its role, where its words or its neighbours tell it."""
    neighbours: dict[tuple[object, ...], set[str]] = {}
    for unit in found:
        neighbours.setdefault(_parent(unit), set()).update(_spelled(unit.local))
    first = [replace(unit, role=_role(unit, neighbours[_parent(unit)])) for unit in found]
    downs = {_above(unit) for unit in first if unit.role == "down" and "mlp" in unit.tail}
    attentions = {_above(unit) for unit in first if unit.role in ("q", "qkv")}
    gates: dict[tuple[object, ...], list[Unit]] = {}
    for unit in first:
        if unit.role == "gate":
            gates.setdefault(_siblings(unit), []).append(unit)
    pairs = {siblings: pair for siblings, two in gates.items() if (pair := _counted_pair(two))}
    second = {pair[1].pattern for pair in pairs.values()}
    told = []
    for unit in first:
        plain = unit.tail == {"mlp"} and unit.role != "down"
        if (plain and _above(unit) in downs) or unit.pattern in second:
            unit = replace(unit, role="up")  # ffn beside ffn_output; the second of two gates
        elif not unit.role and unit.tail == {"mlp", "dense"} and _siblings(unit) in pairs:
            unit = replace(unit, role="down")  # what is neither of two gates
        elif not unit.role and unit.tail == {"attn"} and unit.pattern in attentions:
            unit = replace(unit, role="o")  # the matrix of an attention that holds its queries, too
        told.append(unit)
    return told


def _siblings(unit: Unit) -> tuple[object, ...]:
    return (*unit.containers, *_above(unit))


def _counted_pair(gates: Sequence[Unit]) -> tuple[Unit, Unit] | None:
    """Order two gates that differ by a number only: ``gating`` and ``gating_2``."""
    if len(gates) != 2 or gates[0].tail != gates[1].tail:
        return None
    first, second = sorted(gates, key=lambda unit: len(unit.pattern))
    numbered = [token for token in second.pattern if isinstance(token, Numeral)]
    plain = [token for token in second.pattern if not isinstance(token, Numeral)]
    return (first, second) if numbered and list(first.pattern) == plain else None


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
            f"w{number.rank + 1} of {number.count}"
            for word, number in unit.numbers.items()
            if number.count == 2 and word.rstrip("'") in KNOWN
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
    if attention and words & _OUTWARD and "up" not in words and unit.tail <= KNOWN:
        return "o"
    return _mlp_role(words, numbered, in_block=bool(unit.inside))


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
    if inside and words & {"wo", "out"}:
        return "down"
    if "mlp" in words and "in" in words:
        return "up"
    return "down" if in_block and "out" in words and words <= _PLAIN else ""


def ungated(found: Sequence[Unit], others: Sequence[Unit]) -> list[Unit]:
    """Take back that the first of two matrices is the way up, where the other tree has a gate.

    The first of three is the gate: then one of them is not there.
    """
    gated = any(unit.role == "gate" for unit in others) and not any(unit.role == "gate" for unit in found)
    return [replace(unit, role="") if gated and _first_of_two(unit) else unit for unit in found]


def routed(found: Sequence[Unit], others: Sequence[Unit]) -> list[Unit]:
    """Take a gate beside experts for their router, where the other tree has a router."""
    roles = [{unit.role for unit in units} for units in (found, others)]
    if "router" in roles[0] or "router" not in roles[1]:
        return list(found)
    beside = {scope for unit in found for scope in scopes(unit, "experts")}
    return [
        replace(unit, role="router") if unit.tail == {"gate"} and _above(unit) in beside else unit
        for unit in found
    ]


def _first_of_two(unit: Unit) -> bool:
    counted = any(word == "w" and (n.rank, n.count) == (0, 2) for word, n in unit.numbers.items())
    return unit.role == "up" and counted and "up" not in _spelled(unit.local)
