"""Kernels stand for what is added to their results, and for nothing else."""

import pytest

from drafting import Pen
from ml_switcheroo.graph.entering import parameters_of


def stood_for(pen, *outputs):
    """Return the elements of each leaf that a kernel stands for."""
    found = parameters_of(pen.finished(outputs))
    made = {}
    for root, taken in found.biases.taken.items():
        plain = found.added[root]
        for leaf in plain.leaves:
            made.setdefault(leaf, []).extend(plain.lies[taken].tolist())
    return {leaf: sorted(places) for leaf, places in made.items()}


def layer(pen):
    x, w, b = pen.data(2, 3), pen.weight("w", 3, 4), pen.weight("b", 4)
    return x, w, b


def test_a_bias_is_stood_for():
    pen = Pen()
    x, w, b = layer(pen)
    assert stood_for(pen, pen.add("exp", pen.plus(pen.product(x, w), b))) == {"b": [0, 1, 2, 3]}


@pytest.mark.parametrize("both", [True, False])
def test_a_kernel_that_is_used_twice_stands_for_what_is_added_both_times(both):
    pen = Pen()
    x, w, b = layer(pen)
    one, other = pen.product(x, w), pen.product(pen.add("exp", x), w)
    made = stood_for(pen, pen.plus(one, b), pen.plus(other, b) if both else other)
    assert made == ({"b": [0, 1, 2, 3]} if both else {})


def test_nothing_stands_for_what_is_added_twice():
    pen = Pen()
    x, w, b = layer(pen)
    assert not stood_for(pen, pen.plus(pen.plus(pen.product(x, w), b), b))


def test_nothing_stands_for_what_is_added_to_a_kernel_beside_itself():
    pen = Pen()
    x, w, b = layer(pen)
    both = pen.add("add", pen.product(x, w), pen.product(pen.add("exp", x), w))
    assert not stood_for(pen, pen.plus(both, b))


def test_nothing_stands_for_what_is_added_to_a_result_that_goes_elsewhere_too():
    pen = Pen()
    x, w, b = layer(pen)
    y = pen.product(x, w)
    assert not stood_for(pen, pen.add("mul", pen.add("exp", y), pen.plus(y, b)))


def test_the_parts_of_a_bias_are_told_apart():
    pen = Pen()
    x, w, b = layer(pen)
    y, row = pen.product(x, w), pen.row(x, b)
    one = pen.add("exp", pen.add("add", pen.part(y, 0, 2), pen.part(row, 0, 2)))
    other = pen.add("mul", pen.add("exp", pen.part(y, 2, 4)), pen.part(row, 2, 4))
    assert stood_for(pen, one, other) == {"b": [0, 1]}
    (plain,) = parameters_of(pen.finished([one, other])).plains.values()
    assert (plain.shape, plain.lies.tolist()) == ((2,), [2, 3])


def test_what_is_joined_before_it_is_added_is_seen():
    pen = Pen()
    x, w = pen.data(2, 3), pen.weight("w", 3, 4)
    row = pen.add("concat", pen.weight("a", 1, 2), pen.weight("c", 1, 2), axis=1)
    assert stood_for(pen, pen.add("add", pen.product(x, w), row)) == {"a": [0, 1], "c": [0, 1]}


@pytest.mark.parametrize("bias", [True, False])
def test_a_number_is_stood_for_where_a_bias_is(bias):
    pen = Pen()
    x, w, b = layer(pen)
    y = pen.product(x, w)
    made = pen.add("add", pen.plus(y, b) if bias else y, pen.number(1.0))
    found = parameters_of(pen.finished([pen.add("exp", made)])).biases
    assert [value for value, _ in found.numbers] == ([1.0] if bias else [])
    assert found.sums == ({made} if bias else set())


def test_positions_that_are_added_are_no_bias():
    pen = Pen()
    x, w, b = layer(pen)
    y = pen.plus(pen.product(x, w), b)
    assert stood_for(pen, pen.add("add", y, pen.weight("at", 2, 4))) == {"b": [0, 1, 2, 3]}
