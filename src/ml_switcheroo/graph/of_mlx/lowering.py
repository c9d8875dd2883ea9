"""What each primitive of MLX is drawn as.

Their arguments are what ``state()`` of each class returns, in
https://github.com/ml-explore/mlx/blob/main/mlx/primitives.h
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from ml_switcheroo.graph.formulas import logaddexp, logsumexp, reciprocal, softmax
from ml_switcheroo.graph.of_mlx import indexing
from ml_switcheroo.graph.step import Lowered, Step

__all__ = ["EACH", "LOWERED", "STRETCHED"]


def _same(op: str) -> Lowered:
    return lambda step: step.draft.add(op, *step.operands)


def _itself(step: Step) -> int:
    return step.operands[0]


def _log(step: Step) -> int:
    """Of base 2, 10 or e, which MLX numbers."""
    base = ("log2", "log10", "log")[int(step.arguments[0])]
    if base != "log10":
        return step.draft.add(base, *step.operands)
    made = step.draft.add("log", *step.operands)
    return step.draft.add("div", made, step.number(np.log(10.0)))


def _sqrt(step: Step) -> int:
    root = step.draft.add("sqrt", *step.operands)
    return reciprocal(step.draft, root) if step.arguments[0] else root


def _square(step: Step) -> int:
    return step.draft.add("mul", step.operands[0], step.operands[0])


def _cast(step: Step) -> int:
    return step.draft.cast(step.operands[0], step.dtype)


def _equal(step: Step) -> int | None:
    return None if step.arguments[0] else step.draft.add("eq", *step.operands)


def _divide(step: Step) -> int:
    """Before MLX 0.32.4, whole numbers are divided by it too, towards zero."""
    if step.dtype.startswith(("int", "uint")):
        return step.called("Divide", lambda x, y: np.trunc(np.divide(x, y)))
    return step.draft.add("div", *step.operands)


def _divided(step: Step) -> tuple[int, int]:
    return step.draft.add("floordiv", *step.operands), step.draft.add("mod", *step.operands)


_BITS: tuple[tuple[str, Callable[..., object]], ...] = (
    ("and", np.bitwise_and),
    ("or", np.bitwise_or),
    ("xor", np.bitwise_xor),
    ("", np.left_shift),
    ("", np.right_shift),
)


def _bitwise(step: Step) -> int:
    """Of truths it is the logical one; of whole numbers NumPy computes it."""
    op, run = _BITS[int(step.arguments[0])]
    if op and step.dtype == "bool":
        return step.draft.add(op, *step.operands)
    return step.called("BitwiseBinary", run)


EACH: Mapping[str, Lowered] = MappingProxyType(
    {
        **{
            name: _same(op)
            for name, op in {
                **{
                    name: name.lower()
                    for name in """Abs ArcCos ArcCosh ArcSin ArcSinh ArcTan ArcTan2 ArcTanh Ceil Cos Cosh Erf
                    Exp Expm1 Floor Log1p Round Sign Sin Sinh Tan Tanh Real Imag Add""".split()
                },
                "ErfInv": "erf_inv",
                "FloorDivide": "floordiv",
                "Greater": "gt",
                "GreaterEqual": "ge",
                "Less": "lt",
                "LessEqual": "le",
                "LogicalAnd": "and",
                "LogicalNot": "not",
                "LogicalOr": "or",
                "Maximum": "max",
                "Minimum": "min",
                "Multiply": "mul",
                "Negative": "neg",
                "NotEqual": "ne",
                "Power": "pow",
                "Remainder": "mod",
                "Select": "where",
                "Sigmoid": "logistic",
                "Subtract": "sub",
            }.items()
        },
        "AsType": _cast,
        "Divide": _divide,
        "DivMod": _divided,
        "Equal": _equal,
        "Log": _log,
        "LogAddExp": lambda step: logaddexp(step.draft, *step.operands),
        "Sqrt": _sqrt,
        "Square": _square,
        **dict.fromkeys(("Copy", "StopGradient"), _itself),
        "Depends": lambda step: step.operands,
    }
)
"""Element by element: each takes its operands before they are broadcast."""

STRETCHED = frozenset({"Broadcast", "BroadcastAxes", "Full"})
"""What gives its operand in another shape, element by element."""


# ---- the same elements on other axes


def _reshape(step: Step) -> int:
    return step.draft.add("reshape", step.operands[0], shape=step.shape)


def _transpose(step: Step) -> int:
    return step.draft.add("transpose", step.operands[0], axes=tuple(step.arguments[0]))


def _concat(step: Step) -> int:
    return step.draft.add("concat", *step.operands, axis=step.arguments[0])


def _pad(step: Step) -> int:
    axes, before, behind = step.arguments
    rank = len(step.shape)
    low, high = [0] * rank, [0] * rank
    for axis, one, other in zip(axes, before, behind, strict=True):
        low[axis], high[axis] = one, other
    return step.draft.add("pad", *step.operands, low=tuple(low), high=tuple(high), interior=(0,) * rank)


def _arange(step: Step) -> int:
    start, _, pace = step.arguments
    return step.draft.constant(start + pace * np.arange(step.shape[0]), step.dtype)


# ---- fewer elements, and along an axis


def _reduce(step: Step) -> int:
    kind, axes = step.arguments
    op = ("all", "any", "sum", "prod", "amin", "amax")[int(kind)]
    made = step.draft.add(op, step.operands[0], axes=tuple(axes))
    return step.draft.add("reshape", made, shape=step.shape)


def _arg_reduce(step: Step) -> int:
    kind, axis = step.arguments
    made = step.draft.add(("argmin", "argmax")[int(kind)], step.operands[0], axes=(axis,))
    return step.draft.add("reshape", made, shape=step.shape)


_SCANS = (("cummax", -np.inf), ("cummin", np.inf), ("cumsum", 0.0), ("cumprod", 1.0))


def _scan(step: Step) -> int | None:
    kind, axis, reverse, inclusive = step.arguments
    if int(kind) >= len(_SCANS):
        return None
    op, filling = _SCANS[int(kind)]
    made = step.draft.add(op, step.operands[0], axis=axis, reverse=bool(reverse))
    if inclusive:
        return made
    one = 1 if not reverse else -1
    low = tuple(one if place == axis else 0 for place in range(len(step.shape)))
    value = step.number(filling)
    return step.draft.add(
        "pad", made, value, low=low, high=tuple(-size for size in low), interior=(0,) * len(low)
    )


def _sort(op: str) -> Lowered:
    return lambda step: step.draft.add(op, step.operands[0], axis=step.arguments[0])


# ---- products


def _matmul(step: Step) -> int:
    left, right = step.operands[:2]
    rank = len(step.draft.shape(left))
    lead = tuple(range(rank - 2))
    return step.draft.add("dot", left, right, contract=((rank - 1,), (rank - 2,)), batch=(lead, lead))


def _add_matmul(step: Step) -> int:
    draft, (alpha, beta) = step.draft, step.arguments
    product = draft.add("mul", _matmul(step), step.number(alpha))
    return draft.add("add", product, draft.add("mul", step.operands[2], step.number(beta)))


def _conv(step: Step) -> int:
    """Draw data ``n *space c`` and a kernel ``out *space in`` as ``n c *space`` and ``out in *space``."""
    stride, low, high, dilation, spread, groups, flipped = step.arguments
    draft, rank = step.draft, len(step.shape)
    first = (0, rank - 1, *range(1, rank - 1))
    data, kernel = (draft.add("transpose", one, axes=first) for one in step.operands)
    if flipped:
        kernel = draft.add("flip", kernel, axes=tuple(range(2, rank)))
    made = draft.add(
        "conv",
        data,
        kernel,
        stride=tuple(stride),
        padding=tuple(zip(low, high, strict=True)),
        dilation=tuple(dilation),
        spread=tuple(spread),
        groups=groups,
    )
    return draft.add("transpose", made, axes=(0, *range(2, rank), 1))


LOWERED: Mapping[str, Lowered] = MappingProxyType(
    {
        **dict.fromkeys(("ExpandDims", "Flatten", "Reshape", "Squeeze", "Unflatten"), _reshape),
        "AddMM": _add_matmul,
        "Arange": _arange,
        "ArgReduce": _arg_reduce,
        "ArgSort": _sort("argsort"),
        "BitwiseBinary": _bitwise,
        "Concatenate": _concat,
        "Convolution": _conv,
        "LogSumExp": lambda step: logsumexp(step.draft, step.operands[0]),
        "Matmul": _matmul,
        "Pad": _pad,
        "Reduce": _reduce,
        "Scan": _scan,
        "Softmax": lambda step: softmax(step.draft, step.operands[0]),
        "Sort": _sort("sort"),
        "Transpose": _transpose,
        **indexing.LOWERED,
    }
)
"""By the name of the primitive; what is not here, or gives None, is a gap."""
