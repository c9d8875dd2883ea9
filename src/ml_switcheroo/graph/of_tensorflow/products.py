"""Products of matrices, as TensorFlow writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from ml_switcheroo.graph.formulas import turned
from ml_switcheroo.graph.step import Lowered, Step

__all__ = ["LOWERED"]


def _matmul(turn_left: str, turn_right: str) -> Lowered:
    def lowered(step: Step) -> int:
        draft, (left, right) = step.draft, step.operands
        shapes = draft.shape(left), draft.shape(right)
        rank = max(map(len, shapes))
        batch = tuple(
            max(sizes) if min(sizes) else 0
            for sizes in zip(*((1,) * (rank - len(one)) + one[:-2] for one in shapes), strict=True)
        )
        turns = bool(step.arguments[turn_left]), bool(step.arguments[turn_right])
        if len(shapes[1]) == 2:  # one matrix for all of a batch
            lead = tuple(range(len(shapes[0]) - 2))
            if turns[0]:
                left = turned(draft, left, (*lead, len(lead) + 1, len(lead)))
            inner = ((len(lead) + 1,), (1 if turns[1] else 0,))
            return draft.add("dot", left, right, contract=inner, batch=((), ()))
        left, right = (_spread(step, one, batch) for one in (left, right))
        lead = tuple(range(len(batch)))
        inner = (
            (rank - 2 if turns[0] else rank - 1,),
            (rank - 1 if turns[1] else rank - 2,),
        )
        return draft.add("dot", left, right, contract=inner, batch=(lead, lead))

    return lowered


def _spread(step: Step, data: int, batch: tuple[int, ...]) -> int:
    shape = step.draft.shape(data)
    wide = (*batch, *shape[-2:])
    spread = step.draft.add("reshape", data, shape=(1,) * (len(wide) - len(shape)) + shape)
    return step.draft.add("broadcast", spread, shape=wide)


def _einsum(step: Step) -> int | None:
    terms, out = step.arguments["equation"].replace(" ", "").split("->")
    inputs = terms.split(",")
    if "." in terms or any(len(set(one)) < len(one) for one in (*inputs, out)) or len(inputs) > 2:
        return None
    count = Counter("".join((*inputs, out)))
    data = []
    for place, (number, labels) in enumerate(zip(step.operands, inputs, strict=True)):
        gone = tuple(axis for axis, label in enumerate(labels) if count[label] == 1)
        data.append(step.draft.add("sum", number, axes=gone) if gone else number)
        inputs[place] = "".join(label for label in labels if count[label] > 1)
    if len(inputs) == 1:
        return turned(step.draft, data[0], [inputs[0].index(label) for label in out])
    left, right = inputs
    shared = [label for label in left if label in right and label in out]
    inner = [label for label in left if label in right and label not in out]
    made = step.draft.add(
        "dot",
        *data,
        contract=tuple(tuple(one.index(label) for label in inner) for one in inputs),
        batch=tuple(tuple(one.index(label) for label in shared) for one in inputs),
    )
    now = [*shared, *(one for one in left if one not in right), *(one for one in right if one not in left)]
    return turned(step.draft, made, [now.index(label) for label in out])


LOWERED: Mapping[str, Lowered] = MappingProxyType(
    {
        "BatchMatMul": _matmul("adj_x", "adj_y"),
        "BatchMatMulV2": _matmul("adj_x", "adj_y"),
        "BatchMatMulV3": _matmul("adj_x", "adj_y"),
        "Einsum": _einsum,
        "MatMul": _matmul("transpose_a", "transpose_b"),
    }
)
"""By the name of the operation."""
