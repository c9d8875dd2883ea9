"""What each operation of TensorFlow is drawn as.

Their arguments and attributes: https://www.tensorflow.org/api_docs/python/tf/raw_ops
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from ml_switcheroo.graph.formulas import kept, logaddexp, logsumexp, number, reciprocal, softmax
from ml_switcheroo.graph.of_tensorflow import indexing, products, shapes, windows
from ml_switcheroo.graph.step import Lowered, Step, Unfollowed

__all__ = ["LOWERED"]

Formula = Callable[[Step, int], int]


def _same(op: str) -> Lowered:
    return lambda step: step.draft.add(op, *step.operands)


def _itself(step: Step) -> int:
    return step.operands[0]


def _of(formula: Formula) -> Lowered:
    return lambda step: formula(step, step.operands[0])


# ---- element by element


def _relu(step: Step, x: int) -> int:
    return step.draft.add("max", x, number(step.draft, 0.0, x))


def _relu6(step: Step, x: int) -> int:
    return step.draft.add("min", _relu(step, x), number(step.draft, 6.0, x))


def _leaky(step: Step, x: int) -> int:
    draft = step.draft
    less = draft.add("mul", x, number(draft, step.arguments["alpha"], x))
    return draft.add("where", draft.add("gt", x, number(draft, 0.0, x)), x, less)


def _elu(step: Step, x: int) -> int:
    draft = step.draft
    return draft.add("where", draft.add("gt", x, number(draft, 0.0, x)), x, draft.add("expm1", x))


_SCALE, _ALPHA = 1.0507009873554805, 1.6732632423543772


def _selu(step: Step, x: int) -> int:
    draft = step.draft
    less = draft.add("mul", draft.add("expm1", x), number(draft, _ALPHA, x))
    chosen = draft.add("where", draft.add("gt", x, number(draft, 0.0, x)), x, less)
    return draft.add("mul", chosen, number(draft, _SCALE, x))


def _softplus(step: Step, x: int) -> int:
    return logaddexp(step.draft, x, number(step.draft, 0.0, x))


def _softsign(step: Step, x: int) -> int:
    draft = step.draft
    return draft.add("div", x, draft.add("add", draft.add("abs", x), number(draft, 1.0, x)))


def _log_softmax(step: Step, x: int) -> int:
    return step.draft.add("sub", x, logsumexp(step.draft, x))


def _rsqrt(step: Step, x: int) -> int:
    return reciprocal(step.draft, step.draft.add("sqrt", x))


def _is_infinite(step: Step, x: int) -> int:
    return step.draft.add("eq", step.draft.add("abs", x), number(step.draft, math.inf, x))


def _squared_difference(step: Step) -> int:
    apart = step.draft.add("sub", *step.operands)
    return step.draft.add("mul", apart, apart)


def _div(step: Step) -> int | None:
    whole = step.dtype.startswith(("int", "uint"))
    return None if whole else step.draft.add("div", *step.operands)


def _div_no_nan(step: Step) -> int:
    draft, (one, other) = step.draft, step.operands
    nothing = number(draft, 0.0, other)
    return draft.add("where", draft.add("eq", other, nothing), nothing, draft.add("div", one, other))


def _sum_of_all(step: Step) -> int:
    total, *more = step.operands
    for one in more:
        total = step.draft.add("add", total, one)
    return total


def _select(step: Step) -> int:
    which, yes, no = step.operands
    missing = len(step.draft.shape(yes)) - len(step.draft.shape(which))
    if missing > 0 and step.draft.shape(which):  # the older one chooses rows
        which = step.draft.add("reshape", which, shape=(*step.draft.shape(which), *(1,) * missing))
    return step.draft.add("where", which, yes, no)


def _clip(step: Step) -> int:
    x, low, high = step.operands
    return step.draft.add("min", step.draft.add("max", x, low), high)


def _bias(step: Step) -> int:
    draft, (x, bias) = step.draft, step.operands
    if step.arguments["data_format"] == "NCHW":
        behind = len(draft.shape(x)) - 2
        bias = draft.add("reshape", bias, shape=(*draft.shape(bias), *(1,) * behind))
    return draft.add("add", x, bias)


def _cast(step: Step) -> int:
    return step.draft.cast(step.operands[0], step.dtype)


# ---- fewer elements, and along an axis


def _over(op: str) -> Lowered:
    def lowered(step: Step) -> int:
        (x, _), rank = step.operands, len(step.draft.shape(step.operands[0]))
        axes = tuple(axis % rank for axis in step.whole(1)) if rank else ()
        if step.arguments["keep_dims"]:
            return kept(step.draft, op, x, axes)
        return step.draft.add(op, x, axes=axes)

    return lowered


def _mean(step: Step) -> int:
    total = _over("sum")(step)
    assert isinstance(total, int)
    shape = step.draft.shape(step.operands[0])
    count = math.prod(shape[axis] for axis in step.whole(1)) if shape else 1
    return step.draft.add("div", total, number(step.draft, float(count), total))


def _euclidean(step: Step) -> int:
    draft, (data, _), axes = step.draft, step.operands, step.whole(1)
    total = kept(draft, "sum", draft.add("mul", data, data), axes)
    rank = len(draft.shape(data))
    gone = {axis % rank for axis in axes} if not step.arguments["keep_dims"] else set()
    left = tuple(size for axis, size in enumerate(draft.shape(total)) if axis not in gone)
    return draft.add("sqrt", draft.add("reshape", total, shape=left))


def _place_of(op: str) -> Lowered:
    def lowered(step: Step) -> int:
        rank = len(step.draft.shape(step.operands[0]))
        return step.draft.add(op, step.operands[0], axes=(step.whole(1)[0] % rank,))

    return lowered


def _along(op: str, filling: float) -> Lowered:
    def lowered(step: Step) -> int:
        draft, rank, back = step.draft, len(step.draft.shape(step.operands[0])), step.arguments["reverse"]
        axis = step.whole(1)[0] % rank
        made = draft.add(op, step.operands[0], axis=axis, reverse=bool(back))
        if not step.arguments["exclusive"]:
            return made
        low = tuple((-1 if back else 1) if one == axis else 0 for one in range(rank))
        high = tuple(-one for one in low)
        return draft.add("pad", made, number(draft, filling, made), low=low, high=high, interior=(0,) * rank)

    return lowered


# ---- norms


def _batch_norm(step: Step) -> tuple[int, ...]:
    """In evaluation; what it gives besides is what it was given."""
    if step.arguments["is_training"]:
        raise Unfollowed("normalises by the batch itself, as in training")
    draft, (x, scale, offset, mean, variance) = step.draft, step.operands
    if step.arguments["data_format"] in ("NCHW", "NCDHW"):
        behind = (1,) * (len(draft.shape(x)) - 2)
        scale, offset, mean, variance = (
            draft.add("reshape", one, shape=(*draft.shape(one), *behind))
            for one in (scale, offset, mean, variance)
        )
    epsilon = number(draft, step.arguments["epsilon"], variance)
    apart = _rsqrt(step, draft.add("add", variance, epsilon))
    made = draft.add("mul", draft.add("sub", x, mean), draft.add("mul", apart, scale))
    made = draft.add("add", made, offset)
    return (made, *((step.operands[3], step.operands[4]) * 3)[: len(step.results) - 1])


_NAMED = {
    "Acos": "arccos",
    "Acosh": "arccosh",
    "AddV2": "add",
    "Asin": "arcsin",
    "Asinh": "arcsinh",
    "Atan": "arctan",
    "Atan2": "arctan2",
    "Atanh": "arctanh",
    "Equal": "eq",
    "Erfinv": "erf_inv",
    "FloorDiv": "floordiv",
    "FloorMod": "mod",
    "Greater": "gt",
    "GreaterEqual": "ge",
    "IsFinite": "is_finite",
    "Less": "lt",
    "LessEqual": "le",
    "LogicalAnd": "and",
    "LogicalNot": "not",
    "LogicalOr": "or",
    "Maximum": "max",
    "Minimum": "min",
    "NotEqual": "ne",
    "RealDiv": "div",
    "Rint": "round",
    "Sigmoid": "logistic",
    "TruncateMod": "rem",
    **{
        name: name.lower()
        for name in """Abs Add Ceil Cos Cosh Digamma Erf Erfc Exp Expm1 Floor Imag Lgamma Log Log1p Mul Neg
        Pow Real Round Sign Sin Sinh Sqrt Sub Tan Tanh""".split()
    },
}

LOWERED: Mapping[str, Lowered] = MappingProxyType(
    {
        **{name: _same(op) for name, op in _NAMED.items()},
        **dict.fromkeys(
            """CheckNumerics EnsureShape Identity PreventGradient Snapshot StopGradient""".split(), _itself
        ),
        "AddN": _sum_of_all,
        "BiasAdd": _bias,
        "Cast": _cast,
        "ClipByValue": _clip,
        "Div": _div,
        "DivNoNan": _div_no_nan,
        "Elu": _of(_elu),
        "EuclideanNorm": _euclidean,
        "IsInf": _of(_is_infinite),
        "IsNan": lambda step: step.draft.add("ne", step.operands[0], step.operands[0]),
        "LeakyRelu": _of(_leaky),
        "LogSoftmax": _of(_log_softmax),
        **dict.fromkeys(("Inv", "Reciprocal"), _of(lambda step, x: reciprocal(step.draft, x))),
        "Relu": _of(_relu),
        "Relu6": _of(_relu6),
        "Rsqrt": _of(_rsqrt),
        **dict.fromkeys(("Select", "SelectV2"), _select),
        "Selu": _of(_selu),
        "Softmax": _of(lambda step, x: softmax(step.draft, x)),
        "Softplus": _of(_softplus),
        "Softsign": _of(_softsign),
        "Square": lambda step: step.draft.add("mul", step.operands[0], step.operands[0]),
        "SquaredDifference": _squared_difference,
        **{
            name: _over(op)
            for name, op in {
                "All": "all",
                "Any": "any",
                "Max": "amax",
                "Min": "amin",
                "Prod": "prod",
                "Sum": "sum",
            }.items()
        },
        "Mean": _mean,
        "ArgMax": _place_of("argmax"),
        "ArgMin": _place_of("argmin"),
        "Cumprod": _along("cumprod", 1.0),
        "Cumsum": _along("cumsum", 0.0),
        "CumulativeLogsumexp": _along("cumlogsumexp", -np.inf),
        **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _batch_norm),
        **indexing.LOWERED,
        **products.LOWERED,
        **shapes.LOWERED,
        **windows.LOWERED,
    }
)
"""By the name of the operation; what is not here, or gives None, is a call of TensorFlow itself."""
