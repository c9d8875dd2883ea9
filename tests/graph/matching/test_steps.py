"""Kernels that take the same data are told apart by what becomes of what they give."""

import numpy as np
import pytest

from drafting import Pen, matched, random

X = random(5, 3)


def pairs(found):
    """Return which outer elements of the source's kernels each kernel of the target has, in order."""
    made = {}
    for one in found.kernels:
        elements = [(one.source.kernel.leaf, int(place)) for place in one.source.where[one.order]]
        places = zip(one.target.where.tolist(), elements, strict=True)
        made.setdefault(one.target.kernel.leaf, {}).update(places)
    return {leaf: [own[place] for place in sorted(own)] for leaf, own in made.items()}


def loop(steps, joined, *, later=False, other=False):
    """Return a loop of two gates, the second of which the first step does not use, and a layer behind it.

    Args:
        steps: How many.
        joined: Whether the kernels of both gates are one.
        later: Whether the layer behind takes all steps at once.
        other: Whether the second gate is given something else than the first.
    """
    pen = Pen()
    x = pen.data(steps, 2, 3)
    kernels = [pen.weight("xs", 3, 8)] if joined else [pen.weight(f"x{n}", 3, 4) for n in "ab"]
    back, out = pen.weight("h", 4, 4), pen.weight("o", 4, 4)
    state, made = None, []
    for step in range(steps):
        given = pen.add("slice", x, start=(step, 0, 0), stop=(step + 1, 2, 3), step=(1, 1, 1))
        given = pen.add("reshape", given, shape=(2, 3))
        if joined:
            gates = pen.product(given, kernels[0])
            first, second = pen.part(gates, 0, 4), pen.part(gates, 4, 8)
        else:
            first = pen.product(given, kernels[0])
            second = pen.product(pen.add("exp", given) if other else given, kernels[1]) if step else None
        new = pen.add("tanh", first)
        if state is not None:
            kept = pen.add("mul", pen.add("logistic", second), pen.product(state, back))
            new = pen.add("add", new, kept)
        state = new
        made.append(state)
    if not later:
        return pen.finished([pen.product(one, out) for one in made])
    apart = [pen.add("reshape", one, shape=(1, 2, 4)) for one in made]
    whole = pen.product(pen.add("concat", *apart, axis=0), out)
    return pen.finished(
        [
            pen.add(
                "reshape",
                pen.add("slice", whole, start=(n, 0, 0), stop=(n + 1, 2, 4), step=(1, 1, 1)),
                shape=(2, 4),
            )
            for n in range(steps)
        ]
    )


@pytest.mark.parametrize("later", [False, True])
def test_a_gate_that_a_first_step_does_not_use_is_a_part_of_its_kernel(later):
    found = matched(loop(4, True), loop(4, False, later=later), random(4, 2, 3))
    assert found.complete
    made = pairs(found)
    assert made["xa"] == [("xs", n) for n in range(4)]
    assert made["xb"] == [("xs", n) for n in range(4, 8)]
    assert {leaf: {name for name, _ in made[leaf]} for leaf in "ho"} == {"h": {"h"}, "o": {"o"}}


def test_a_gate_that_is_given_something_else_is_none_of_its_kernel():
    found = matched(loop(4, True), loop(4, False, other=True), random(4, 2, 3))
    assert not found.complete
    assert "xb" not in pairs(found)


def attention(heads, *, last=False, crossed=False):
    """Return an attention; the numbers of a head follow each other, or lie apart (``last``)."""
    pen = Pen()
    x = pen.data(5, 3)

    def split(leaf):
        y = pen.product(x, pen.weight(leaf, 3, 8))
        if last:
            return pen.add("transpose", pen.add("reshape", y, shape=(5, 8 // heads, heads)), axes=(2, 0, 1))
        return pen.add("transpose", pen.add("reshape", y, shape=(5, heads, 8 // heads)), axes=(1, 0, 2))

    q, k, v = map(split, "kqv" if crossed else "qkv")
    scores = pen.add("exp", pen.add("dot", q, k, contract=((2,), (2,)), batch=((0,), (0,))))
    share = pen.add("div", scores, pen.add("reshape", pen.add("sum", scores, axes=(2,)), shape=(heads, 5, 1)))
    y = pen.add("dot", share, v, contract=((2,), (1,)), batch=((0,), (0,)))
    y = pen.add("transpose", y, axes=(1, 2, 0) if last else (1, 0, 2))
    return pen.finished([pen.product(pen.add("reshape", y, shape=(5, 8)), pen.weight("o", 8, 3))])


def test_heads_may_be_counted_the_other_way():
    found = matched(attention(2), attention(2, last=True, crossed=True), X)
    assert found.complete
    order = np.arange(8).reshape(2, 4).T.reshape(-1).tolist()
    made = pairs(found)
    assert made["q"] == [("k", n) for n in order]
    assert made["k"] == [("q", n) for n in order]
    assert made["v"] == [("v", n) for n in order]


def test_other_heads_are_no_other_way_to_count():
    assert not matched(attention(2), attention(4, last=True), X).complete
