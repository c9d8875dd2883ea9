"""Operators and comparisons, on values that may be unknown."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ml_switcheroo.sources.static.python.containers import member
from ml_switcheroo.sources.static.python.counted import is_number, number
from ml_switcheroo.sources.static.python.frames import Class
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.mappings import OpenDict
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Foreign,
    Instance,
    Measure,
    Raised,
    Repeat,
    Text,
    Unknown,
    Value,
    known,
    same,
)

__all__ = ["binary", "compare_one", "symbolic", "texts"]

LARGEST = 1 << 16  # items of a list or characters of a string that an expression may build


_BINARY: Mapping[type, tuple[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        ast.Add: ("+", operator.add),
        ast.Sub: ("-", operator.sub),
        ast.Mult: ("*", operator.mul),
        ast.Div: ("/", operator.truediv),
        ast.FloorDiv: ("//", operator.floordiv),
        ast.Mod: ("%", operator.mod),
        ast.Pow: ("**", operator.pow),
        ast.BitOr: ("|", operator.or_),
        ast.BitAnd: ("&", operator.and_),
        ast.BitXor: ("^", operator.xor),
        ast.LShift: ("<<", operator.lshift),
        ast.RShift: (">>", operator.rshift),
    }
)


_COMPARE: Mapping[type, tuple[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        ast.Eq: ("==", operator.eq),
        ast.NotEq: ("!=", operator.ne),
        ast.Lt: ("<", operator.lt),
        ast.LtE: ("<=", operator.le),
        ast.Gt: (">", operator.gt),
        ast.GtE: (">=", operator.ge),
    }
)


def symbolic(word: str, *values: Value) -> Unknown:
    """Return an unknown that equals any other one made in the same way from the same values."""
    texts = [value.symbol if isinstance(value, Unknown) else repr(value) for value in values]
    plain = all(isinstance(value, Unknown | bool | int | float | str | None) for value in values)
    text = f"({f' {word} '.join(texts)})"
    return Unknown(text) if plain and all(texts) and len(text) <= 120 else UNKNOWN


def binary(machine: Machine, op: type, left: Value, right: Value) -> Value:
    """Return ``left op right``."""
    return machine.spread(lambda a, b: _binary_one(machine, op, a, b), left, right)


def _binary_one(machine: Machine, op: type, left: Value, right: Value) -> Value:
    for side in (left, right):
        known_by = machine.tables.operators.get(type(side))
        found = NotImplemented if known_by is None else known_by(machine, op, left, right)
        if found is not NotImplemented:
            return found
    if (is_number(left) or is_number(right)) and not isinstance(left, str | list | tuple | dict):
        return number()
    if op is ast.Mult and isinstance(left, list | tuple) and isinstance(right, Unknown):
        return machine.heap.new([Repeat(item) for item in left])
    if op is ast.Add and isinstance(left, str | Text) and isinstance(right, str | Text | Unknown):
        return texts([left, right])
    if op is ast.Add and isinstance(right, str) and isinstance(left, Unknown):
        return texts([left, right])
    if op in _OF_SETS:
        left, right = _as_sets(left, right)
    word, run = _BINARY.get(op, ("", None))
    if run is None or not _safe(op, left, right):
        return symbolic(word, left, right) if word else UNKNOWN
    try:
        result = run(left, right)
    except (TypeError, ValueError, ArithmeticError, KeyError, IndexError) as error:
        raise Raised(type(error).__name__, str(error)) from error
    return machine.heap.new(result) if isinstance(result, list | dict | set) else result


_OF_SETS = (ast.BitOr, ast.BitAnd, ast.BitXor)


def _as_sets(left: Value, right: Value) -> tuple[Value, Value]:
    """Return views of keys, which are read as lists, as sets: lists themselves know no such operator."""
    if not (isinstance(left, list | set) and isinstance(right, list | set)):
        return left, right
    return set(left) if known(left) else UNKNOWN, set(right) if known(right) else UNKNOWN


def _safe(op: type, left: Value, right: Value) -> bool:
    """Tell whether Python itself may compute the operation: known operands, a small result."""
    sequence = isinstance(left, list | tuple) and isinstance(right, list | tuple | int)
    if not sequence and not (known(left) and known(right)):
        both = isinstance(left, dict) and isinstance(right, dict)
        return op is ast.BitOr and both and not isinstance(left, OpenDict) and not isinstance(right, OpenDict)
    if op is ast.Pow or op is ast.LShift:
        return isinstance(left, int | float) and isinstance(right, int | float) and abs(right) <= 64
    if op is ast.Mult:
        length = max((len(side) for side in (left, right) if isinstance(side, list | tuple | str)), default=0)
        times = max((side for side in (left, right) if isinstance(side, int)), default=0)
        return length * times <= LARGEST
    return not isinstance(left, dict) or op is ast.BitOr


def texts(parts: list[Value]) -> Value:
    """Return the concatenation of strings; some may be unknown."""
    joined: list[str | None] = []
    for part in parts:
        pieces = part.parts if isinstance(part, Text) else (part if isinstance(part, str) else None,)
        for piece in pieces:
            if joined and piece is not None and joined[-1] is not None:
                joined[-1] += piece
            elif not (joined and piece is None and joined[-1] is None):
                joined.append(piece)
    if all(piece is not None for piece in joined):
        return "".join(piece for piece in joined if piece is not None)
    return Text(tuple(joined))


def compare_one(machine: Machine, op: type, left: Value, right: Value) -> Value:
    """Return ``left op right`` for one comparison of two alternatives."""
    if op in (ast.In, ast.NotIn):
        found = member(machine, left, right)
        if found is None:
            inside = symbolic("in", left, right)
            return inside if op is ast.In else symbolic("not", "", inside)
        return found is (op is ast.In)
    if op in (ast.Is, ast.IsNot):
        return _identical(left, right, op is ast.Is)
    for side in (left, right):
        known_by = machine.tables.compared.get(type(side))
        answer = NotImplemented if known_by is None else known_by(machine, left, right)
        if answer is not NotImplemented:
            return answer
    word, run = _COMPARE[op]
    if known(left) and known(right):
        try:
            return bool(run(left, right))
        except TypeError as error:
            raise Raised("TypeError", str(error)) from error
    if op in (ast.Eq, ast.NotEq):
        return _equal(machine, left, right, op is ast.Eq)
    return symbolic(word, left, right)


def _identical(left: Value, right: Value, wanted: bool) -> Value:
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        answer = symbolic("is", left, right)
        return answer if wanted else symbolic("not", "", answer)
    if isinstance(left, int | str | float | tuple) and type(left) is type(right):
        return (left == right) is wanted if known(left) and known(right) else UNKNOWN
    return same(left, right) is wanted


def _equal(machine: Machine, left: Value, right: Value, wanted: bool) -> Value:
    if same(left, right):
        return wanted
    vague = (Unknown, Text, Foreign, Measure, list, tuple, dict)
    if isinstance(left, vague) or isinstance(right, vague):
        answer = symbolic("==", left, right)
        return answer if wanted else symbolic("not", "", answer)
    if _own_equality(left, right) or _own_equality(right, left):
        return UNKNOWN
    return not wanted


def _own_equality(value: Value, other: Value) -> bool:
    """Tell whether a class decides by itself what its instances equal: a dataclass, an enum of strings."""
    if not isinstance(value, Instance) or not isinstance(value.cls, Class) or other is None:
        return False
    if value.cls.dataclass or any("__eq__" in one.attrs for one in value.cls.mro if isinstance(one, Class)):
        return True
    plain = {"enum.Enum", "enum.Flag", "builtins.object"}
    mixed = any(not isinstance(one, Class) and getattr(one, "name", "") not in plain for one in value.cls.mro)
    return mixed and not isinstance(other, Instance)
