"""Operations that work element by element: arithmetic, comparisons, functions of one number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn, Number, Unlowered
from ml_switcheroo.graph.of_source.dtypes import by_name, category, limits, of_number
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["COMPARED", "ROWS", "power", "where"]

Operand = Drawn | Number


def _add(pen: Pen, input: Operand, other: Operand, alpha: Operand = 1) -> Drawn:
    return pen.each("add", input, other if _is(alpha, 1) else pen.each("mul", other, alpha))


def _sub(pen: Pen, input: Operand, other: Operand, alpha: Operand = 1) -> Drawn:
    return pen.each("sub", input, other if _is(alpha, 1) else pen.each("mul", other, alpha))


def _rsub(pen: Pen, input: Operand, other: Operand, alpha: Operand = 1) -> Drawn:
    return _sub(pen, other, input, alpha)


def _is(value: Operand, number: float) -> bool:
    return not isinstance(value, Drawn) and value == number


def _div(pen: Pen, input: Operand, other: Operand, rounding_mode: str | None = None) -> Drawn:
    if rounding_mode is None:
        return pen.each("div", input, other)
    if rounding_mode == "floor":
        return _floor_divide(pen, input, other)
    dtype = pen.together(input, other)
    return pen.cast(_trunc(pen, pen.each("div", input, other)), dtype)


def _floor_divide(pen: Pen, input: Operand, other: Operand) -> Drawn:
    return pen.each("floordiv", input, other)


def power(pen: Pen, input: Operand, exponent: Operand) -> Drawn:
    """Return a power; a small whole one, a root and a reciprocal as what they are."""
    if isinstance(exponent, Drawn) and exponent.node in pen.fixed and not exponent.shape:
        exponent = pen.known(exponent)
    if isinstance(exponent, Drawn) or not isinstance(input, Drawn) or isinstance(exponent, complex):
        return pen.each("pow", input, exponent)
    if exponent in (2, 3, 4):
        square = input * input
        return square if exponent == 2 else square * (input if exponent == 3 else square)
    if exponent in (0.5, -0.5):
        root = pen.each("sqrt", input)
        return root if exponent > 0 else 1.0 / root
    if exponent == 1:
        return input
    if exponent == -1:
        return 1.0 / input
    return pen.each("pow", input, exponent)


def where(pen: Pen, condition: Drawn, input: Operand, other: Operand) -> Drawn:
    """Choose element by element."""
    return pen.op("where", condition, input, other, dtype=pen.together(input, other))


def _where(pen: Pen, condition: Drawn, input: Any = None, other: Any = None) -> Drawn:
    if input is None or other is None:
        raise Unlowered("where without values")
    return where(pen, condition, input, other)


def _masked_fill(pen: Pen, input: Drawn, mask: Drawn, value: Operand) -> Drawn:
    filling = value if isinstance(value, Drawn) else pen.constant(value, input.dtype)
    return pen.op("where", mask, filling, input, dtype=input.dtype)


def _clamp(pen: Pen, input: Drawn, min: Any = None, max: Any = None) -> Drawn:
    found = input if min is None else pen.each("max", input, min)
    return found if max is None else pen.each("min", found, max)


def _trunc(pen: Pen, input: Drawn) -> Drawn:
    return pen.each("sign", input) * pen.each("floor", pen.each("abs", input))


def _round(pen: Pen, input: Drawn, decimals: int = 0) -> Drawn:
    if decimals == 0:
        return pen.op("round", input, dtype=input.dtype)
    scale = float(10**decimals)
    return pen.op("round", input * scale, dtype=input.dtype) / scale


def _kept(op: str) -> Any:
    """Return an operation that gives whole numbers for whole numbers, which it leaves."""

    def run(pen: Pen, input: Drawn) -> Drawn:
        return input if category(input.dtype) in ("int", "bool") else pen.op(op, input, dtype=input.dtype)

    return run


def _one(op: str) -> Any:
    return lambda pen, input: pen.each(op, input)


def _two(op: str) -> Any:
    return lambda pen, input, other: pen.each(op, input, other)


def _not(pen: Pen, input: Drawn) -> Drawn:
    return pen.op("not", input)


def _bitwise(op: str) -> Any:
    """Return ``&`` of truths; of whole numbers it works on bits, which has no primitive."""

    def run(pen: Pen, input: Operand, other: Operand) -> Drawn:
        names = [one.dtype if isinstance(one, Drawn) else of_number(one) for one in (input, other)]
        if set(names) != {"bool"}:
            raise Unlowered(f"{op} of bits")
        return pen.op(op, input, other)

    return run


def _invert(pen: Pen, input: Drawn) -> Drawn:
    return pen.op("not", input) if input.dtype == "bool" else -input - 1


def _isnan(pen: Pen, input: Drawn) -> Drawn:
    return pen.op("ne", input, input)


def _isinf(pen: Pen, input: Drawn) -> Drawn:
    return pen.op("and", pen.op("not", pen.op("is_finite", input)), pen.op("eq", input, input))


def _nan_to_num(pen: Pen, input: Drawn, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Drawn:
    edge = limits(input.dtype)
    found = where(pen, _isnan(pen, input), nan or 0.0, input)
    high, low = edge.max if posinf is None else posinf, edge.min if neginf is None else neginf
    found = where(pen, pen.each("eq", input, math.inf), high, found)
    return pen.cast(where(pen, pen.each("eq", input, -math.inf), low, found), input.dtype)


def _logit(pen: Pen, input: Drawn, eps: float | None = None) -> Drawn:
    x = input if eps is None else _clamp(pen, input, eps, 1 - eps)
    return pen.each("log", x / (1.0 - x))


def _addcmul(pen: Pen, input: Drawn, tensor1: Operand, tensor2: Operand, value: Operand = 1) -> Drawn:
    product = pen.each("mul", tensor1, tensor2)
    return input + (product if _is(value, 1) else product * value)


def _addcdiv(pen: Pen, input: Drawn, tensor1: Operand, tensor2: Operand, value: Operand = 1) -> Drawn:
    quotient = pen.each("div", tensor1, tensor2)
    return input + (quotient if _is(value, 1) else quotient * value)


def _lerp(pen: Pen, input: Drawn, end: Drawn, weight: Operand) -> Drawn:
    return input + (end - input) * weight


def _logaddexp(pen: Pen, input: Drawn, other: Drawn) -> Drawn:
    top = pen.each("max", input, other)
    return top + pen.each("log", pen.each("exp", input - top) + pen.each("exp", other - top))


def _triangle(upper: bool) -> Any:
    def run(pen: Pen, input: Drawn, diagonal: int = 0) -> Drawn:
        if input.rank < 2:
            raise Unlowered(f"a triangle of {input.rank} axes")
        kept = np.tri(input.shape[-2], input.shape[-1], pen.whole(diagonal) - upper, dtype=bool)
        nothing = pen.constant(False if input.dtype == "bool" else 0, input.dtype)
        return pen.op("where", pen.constant(kept ^ upper), input, nothing, dtype=input.dtype)

    return run


def _angle(pen: Pen, input: Drawn) -> Drawn:
    if category(input.dtype) != "complex":
        return where(pen, pen.each("lt", input, 0.0), math.pi, 0.0)
    return pen.op("arctan2", pen.op("imag", input, dtype="float32"), pen.op("real", input, dtype="float32"))


def _real(pen: Pen, input: Drawn) -> Drawn:
    return pen.op("real", input, dtype="float32") if category(input.dtype) == "complex" else input


def _imag(pen: Pen, input: Drawn) -> Drawn:
    return pen.op("imag", input, dtype="float32")


def _conj(pen: Pen, input: Drawn) -> Drawn:
    if category(input.dtype) != "complex":
        return input
    return pen.op("complex", _real(pen, input), -_imag(pen, input), dtype=input.dtype)


def _abs(pen: Pen, input: Drawn) -> Drawn:
    if category(input.dtype) != "complex":
        return pen.each("abs", input)
    real, imag = _real(pen, input), _imag(pen, input)
    return pen.each("sqrt", real * real + imag * imag)


def _complex(pen: Pen, real: Drawn, imag: Drawn) -> Drawn:
    return pen.op("complex", real, imag, dtype="complex64")


def _polar(pen: Pen, abs: Drawn, angle: Drawn) -> Drawn:
    return _complex(pen, abs * pen.each("cos", angle), abs * pen.each("sin", angle))


def _to(pen: Pen, input: Drawn, *target: Any, dtype: Any = None) -> Drawn:
    for one in (*target, dtype):
        if isinstance(one, Drawn):
            return pen.cast(input, one.dtype)
        if (name := by_name(one)) is not None:
            return pen.cast(input, name)
    return input


def _as(dtype: str) -> Any:
    return lambda pen, input: pen.cast(input, dtype)


def _type(pen: Pen, input: Drawn, dtype: Any = None) -> Drawn:
    name = by_name(dtype)
    if name is None:
        raise Unlowered("the name of a type")
    return pen.cast(input, name)


COMPARED = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}


def _close(pen: Pen, input: Drawn, other: Drawn, rtol: float = 1e-5, atol: float = 1e-8) -> Drawn:
    return pen.each("le", _abs(pen, input - other), _abs(pen, other) * rtol + atol)


ROWS: list[Lowering] = [
    *rows(
        "tm",
        {
            "add": _add,
            "sub subtract": _sub,
            "mul multiply": _two("mul"),
            "div divide true_divide": _div,
            "floor_divide": _floor_divide,
            "remainder": _two("mod"),
            "fmod": _two("rem"),
            "pow float_power": power,
            "maximum fmax": _two("max"),
            "minimum fmin": _two("min"),
            "atan2 arctan2": _two("arctan2"),
            **{word: _two(op) for word, op in COMPARED.items()},
            "greater": _two("gt"),
            "less": _two("lt"),
            "greater_equal": _two("ge"),
            "less_equal": _two("le"),
            "not_equal": _two("ne"),
            "logical_and": _two("and"),
            "logical_or": _two("or"),
            "logical_xor": _two("xor"),
            "bitwise_and": _bitwise("and"),
            "bitwise_or": _bitwise("or"),
            "bitwise_xor": _bitwise("xor"),
            "isclose": _close,
            "logical_not": _not,
            "bitwise_not": _invert,
            "neg negative": _one("neg"),
            "abs absolute": _abs,
            "sign sgn": _one("sign"),
            "ceil": _kept("ceil"),
            "floor": _kept("floor"),
            "trunc fix": _trunc,
            "frac": lambda pen, input: input - _trunc(pen, input),
            "round": _round,
            "reciprocal": lambda pen, input: 1.0 / input,
            "sqrt": _one("sqrt"),
            "rsqrt": lambda pen, input: 1.0 / pen.each("sqrt", input),
            "log10": lambda pen, input: pen.each("log", input) / math.log(10.0),
            "asin arcsin": _one("arcsin"),
            "acos arccos": _one("arccos"),
            "atan arctan": _one("arctan"),
            "asinh arcsinh": _one("arcsinh"),
            "acosh arccosh": _one("arccosh"),
            "atanh arctanh": _one("arctanh"),
            **{
                name: _one(name)
                for name in "exp log log2 log1p expm1 sin cos tan sinh cosh exp2 lgamma".split()
            },
            "digamma": _one("digamma"),
            "square": lambda pen, input: input * input,
            "deg2rad": lambda pen, input: input * (math.pi / 180.0),
            "rad2deg": lambda pen, input: input * (180.0 / math.pi),
            "isnan": _isnan,
            "isinf": _isinf,
            "isfinite": lambda pen, input: pen.op("is_finite", input),
            "nan_to_num": _nan_to_num,
            "masked_fill": _masked_fill,
            "clamp clip": _clamp,
            "clamp_min": lambda pen, input, min: _clamp(pen, input, min),
            "clamp_max": lambda pen, input, max: _clamp(pen, input, None, max),
            "addcmul": _addcmul,
            "addcdiv": _addcdiv,
            "lerp": _lerp,
            "logaddexp": _logaddexp,
            "tril": _triangle(False),
            "triu": _triangle(True),
            "angle": _angle,
            "real": _real,
            "imag": _imag,
            "conj conj_physical": _conj,
            "positive resolve_conj resolve_neg": lambda pen, input: input,
        },
    ),
    *rows(
        "tms",
        {
            "sigmoid expit": _one("logistic"),
            "erf": _one("erf"),
            "erfc": _one("erfc"),
            "erfinv": _one("erf_inv"),
            "logit": _logit,
        },
    ),
    *rows("t", {"where": _where, "rsub": _rsub, "complex": _complex, "polar": _polar}),
    *rows(
        "m",
        {
            "to": _to,
            "where": lambda pen, input, condition, other: where(pen, condition, input, other),
            "type": _type,
            "type_as": lambda pen, input, other: pen.cast(input, other.dtype),
            "float": _as("float32"),
            "double": _as("float64"),
            "half": _as("float16"),
            "bfloat16": _as("bfloat16"),
            "int": _as("int32"),
            "long": _as("int64"),
            "short": _as("int16"),
            "bool": _as("bool"),
            "cfloat": _as("complex64"),
        },
    ),
]
