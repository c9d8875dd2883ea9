"""How leaves enter what a graph computes."""

import numpy as np

from ml_switcheroo.graph.entering import parameters_of
from ml_switcheroo.graph.graph import Draft


def product(draft, data, leaf):
    return draft.add("dot", data, leaf, contract=((len(draft.shape(data)) - 1,), (0,)), batch=((), ()))


def test_a_bias_is_one_though_other_data_are_added_too():
    draft = Draft()
    x, w, b = (
        draft.input((2, 3), "float32"),
        draft.leaf("w", (3, 3), "float32"),
        draft.leaf("b", (3,), "float32"),
    )
    summed = draft.add("add", x, product(draft, x, w))
    made = draft.add("add", summed, draft.add("reshape", b, shape=(1, 3)))
    found = parameters_of(draft.finished([made]))
    assert [found.added[root].leaves for root in found.biases.leaves] == [("b",)]


def test_a_leaf_that_is_multiplied_is_no_bias():
    draft = Draft()
    x, w, b = (
        draft.input((2, 3), "float32"),
        draft.leaf("w", (3, 3), "float32"),
        draft.leaf("b", (3,), "float32"),
    )
    y = product(draft, x, w)
    row = draft.add("reshape", b, shape=(1, 3))
    found = parameters_of(draft.finished([draft.add("mul", draft.add("add", y, row), row)]))
    assert not found.biases.leaves
    assert [plain.leaves for plain in found.plains.values()] == [("b",)]


def test_the_parts_of_a_bias_belong_to_the_kernels_that_they_are_added_to():
    draft = Draft()
    x, b = draft.input((2, 3), "float32"), draft.leaf("b", (2, 4), "float32")
    made = []
    for n in (0, 1):
        row = draft.add("slice", b, start=(n, 0), stop=(n + 1, 4), step=(1, 1))
        made.append(draft.add("add", product(draft, x, draft.leaf(f"w{n}", (3, 4), "float32")), row))
    found = parameters_of(draft.finished(made))
    lies = {
        kernel.leaf: list(found.added[root].lies[where])
        for root, kernels in found.biases.leaves.items()
        for kernel, where in kernels.items()
    }
    assert lies == {"w0": [0, 1, 2, 3], "w1": [4, 5, 6, 7]}


def test_the_rows_of_a_stacked_leaf_enter_by_themselves():
    draft = Draft()
    x, g = draft.input((3, 4), "float32"), draft.leaf("g", (2, 4), "float32")
    for n in (0, 1):
        x = draft.add(
            "mul", draft.add("exp", x), draft.add("slice", g, start=(n, 0), stop=(n + 1, 4), step=(1, 1))
        )
    found = parameters_of(draft.finished([x]))
    assert [list(plain.lies) for plain in found.plains.values()] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_rows_that_overlap_are_one_leaf():
    draft = Draft()
    x, g = draft.input((1, 4), "float32"), draft.leaf("g", (5,), "float32")
    for n in (0, 1):
        row = draft.add("slice", g, start=(n,), stop=(n + 4,), step=(1,))
        x = draft.add("mul", draft.add("exp", x), draft.add("reshape", row, shape=(1, 4)))
    (plain,) = parameters_of(draft.finished([x])).plains.values()
    np.testing.assert_array_equal(plain.lies, np.arange(5))


def test_a_leaf_is_compared_in_the_shape_in_which_it_is_used():
    draft = Draft()
    x, table = draft.input((4, 3), "float32"), draft.leaf("t", (2, 2, 3), "float32")
    (plain,) = parameters_of(
        draft.finished([draft.add("mul", x, draft.add("reshape", table, shape=(4, 3)))])
    ).plains.values()
    assert plain.shape == (4, 3)
