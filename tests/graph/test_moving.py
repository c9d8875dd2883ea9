"""What is done to tensors is read off what both programs compute with them."""

import pytest

from drafting import Pen, moves, random

X = random(5, 3)


def source(bias=("b",), gate=None):
    """Return a layer of two gates, with biases; one of them may be changed."""
    pen = Pen()
    x = pen.data(5, 3)
    y = pen.product(x, pen.weight("w", 4, 3), axis=1)
    for name in bias:
        y = pen.plus(y, pen.weight(name, 4))
    return gated(pen, pen.part(y, 0, 2), pen.part(y, 2, 4))


def gated(pen, one, other):
    return pen.finished([pen.add("mul", pen.add("tanh", one), pen.add("exp", other))])


def target(bias=("c",), first=None, second=None, turned=False):
    """Return the same with the gates in another order."""
    pen = Pen()
    x = pen.data(5, 3)
    y = pen.product(x, pen.weight("k", 3, 4))
    for name in bias:
        y = pen.plus(y, pen.weight(name, 4))
    one, other = pen.part(y, 2, 4), pen.part(y, 0, 2)
    one = one if first is None else pen.add("add", one, pen.number(first))
    other = other if second is None else pen.add("add", other, pen.number(second))
    return gated(pen, one, other)


def test_the_gates_of_a_kernel_and_its_bias_are_put_in_order():
    made, refused = moves(source(), target(), X)
    assert made[("k",)][0] == ("w",)
    assert made[("c",)] == (("b",), "gates 1 0")
    assert not refused


def test_biases_that_are_added_up_become_one():
    made, _ = moves(source(("a", "b")), target(), X)
    assert made[("c",)] == (("a", "b"), "sum, gates 1 0")


def test_as_many_biases_as_there_are_find_a_place_each():
    made, _ = moves(source(("a", "b")), target(("c", "d")), X)
    assert sorted(made[("c",)][0] + made[("d",)][0]) == ["a", "b"]


def test_a_number_at_one_gate_is_taken_from_its_bias():
    made, _ = moves(source(), target(first=1.0), X)
    assert made[("c",)] == (("b",), "split axis 0 into 2 + 2, in the order 1 0, as it is; -1, join on axis 0")


@pytest.mark.parametrize("count", [0, 2])
def test_fewer_biases_or_more_are_refused(count):
    made, refused = moves(source(), target(("c", "d")[:count]), X)
    assert not any(set(paths) & {"c", "d"} for paths in made)
    assert set(refused) == set(("c", "d")[:count])


def test_a_bias_that_a_part_of_is_added_elsewhere_is_summed_in_part():
    """As the biases of a GRU: the last part of the second is multiplied first."""
    pen = Pen()
    y = pen.product(pen.data(5, 3), pen.weight("w", 4, 3), axis=1)
    y, d = pen.plus(y, pen.weight("b", 4)), pen.row(y, pen.weight("d", 4))
    one = pen.add("add", pen.part(y, 0, 2), pen.part(d, 0, 2))
    mine = gated(pen, one, pen.add("mul", pen.part(y, 2, 4), pen.part(d, 2, 4)))
    pen = Pen()
    y = pen.plus(pen.product(pen.data(5, 3), pen.weight("k", 3, 4)), pen.weight("c", 4))
    other = pen.times(pen.part(y, 2, 4), pen.weight("n", 2))
    made, refused = moves(mine, gated(pen, pen.part(y, 0, 2), other), X)
    assert made[("c", "n")] == (("b", "d"), "sum of 1 gates")
    assert not refused


def test_a_tensor_becomes_leaves_in_each_of_which_its_parts_are_turned():
    pen = Pen()
    y = pen.product(pen.data(5, 3), pen.weight("w", 8, 3), axis=1)
    words = ("exp", "tanh", "sin", "logistic")
    parts = [pen.add(word, pen.part(y, 2 * n, 2 * n + 2)) for n, word in enumerate(words)]
    mine = pen.finished([pen.add("add", parts[0], pen.add("mul", parts[1], parts[2])), parts[3]])
    pen = Pen()
    x = pen.data(5, 3)
    one, other = (pen.product(x, pen.weight(name, 3, 4)) for name in "kl")
    parts = [
        pen.add(word, pen.part(y, start, start + 2))
        for word, y, start in zip(words, (one, one, other, other), (2, 0, 2, 0), strict=True)
    ]
    theirs = pen.finished([pen.add("add", parts[0], pen.add("mul", parts[1], parts[2])), parts[3]])
    made, refused = moves(mine, theirs, X)
    assert not refused
    assert made[("k", "l")][0] == ("w",)
    assert made[("k", "l")][1].startswith("split axis 0 into 4 + 4, gates 1 0")
