"""What programs write in several ways is drawn in one, and computes the same."""

import numpy as np
import pytest

from ml_switcheroo.graph.graph import Draft
from ml_switcheroo.graph.running import run
from small_arrays import small_arrays

PLAIN = {"stride": (2, 1), "padding": ((0, 1), (0, 0)), "dilation": (1, 1), "spread": (1, 1), "groups": 1}


def padded(low, high, interior=(0, 0, 0, 0), filling=0.0, order=None):
    """Return a graph that pads, turns axes and convolves, and what it gives."""
    draft = Draft()
    x, kernel = draft.input((2, 3, 5, 6), "float32"), draft.leaf("kernel", (4, 3, 3, 2), "float32")
    back = np.argsort(order) if order else None
    data = draft.add("transpose", x, axes=tuple(back)) if order else x
    words = {"low": low, "high": high, "interior": interior}
    data = draft.add("pad", data, draft.constant(filling, "float32"), **words)
    data = draft.add("transpose", data, axes=order) if order else data
    graph = draft.finished([draft.add("conv", data, kernel, **PLAIN)])
    arrays = small_arrays("f2,3,5,6 f4,3,3,2")
    values = run(graph, {x: arrays[0], kernel: arrays[1]}, graph.outputs)
    moved = arrays[0].transpose(back) if order else arrays[0]
    widths = list(zip(low, high, strict=True))
    whole = np.pad(moved, widths, constant_values=filling) if not any(interior) else None
    return graph, values[graph.outputs[0]], whole


def convolved(data):
    kernel = small_arrays("f2,3,5,6 f4,3,3,2")[1]
    draft = Draft()
    x, leaf = draft.input(data.shape, "float32"), draft.leaf("kernel", kernel.shape, "float32")
    graph = draft.finished([draft.add("conv", x, leaf, **PLAIN)])
    return run(graph, {x: data, leaf: kernel}, graph.outputs)[graph.outputs[0]]


@pytest.mark.parametrize("order", [None, (0, 3, 1, 2)])
def test_zeros_around_data_are_the_padding_of_a_convolution(order):
    low, high = ((0, 0, 1, 2), (0, 0, 0, 3)) if order is None else ((0, 1, 2, 0), (0, 0, 3, 0))
    graph, found, whole = padded(low, high, order=order)
    node = graph.nodes[graph.outputs[0]]
    assert node.params["padding"] == ((1, 1), (2, 3))
    assert graph.nodes[node.operands[0]].op != "pad"
    assert np.allclose(found, convolved(whole.transpose(order) if order else whole))


@pytest.mark.parametrize(
    "words",
    [
        {"low": (0, 0, 1, 0), "high": (0, 0, 0, 0), "filling": 1.0},
        {"low": (0, 0, -1, 0), "high": (0, 0, 1, 0)},
        {"low": (0, 0, 0, 0), "high": (0, 0, 0, 0), "interior": (0, 0, 1, 0)},
        {"low": (1, 0, 0, 0), "high": (0, 0, 0, 0)},
    ],
)
def test_other_padding_stays(words):
    graph, _, _ = padded(**words) if min(words["low"]) >= 0 else padded_and_cut(words)
    assert graph.nodes[graph.nodes[graph.outputs[0]].operands[0]].op == "pad"


def padded_and_cut(words):
    draft = Draft()
    x, kernel = draft.input((2, 3, 5, 6), "float32"), draft.leaf("kernel", (4, 3, 3, 2), "float32")
    data = draft.add("pad", x, draft.constant(0.0, "float32"), **words, interior=(0, 0, 0, 0))
    return draft.finished([draft.add("conv", data, kernel, **PLAIN)]), None, None


def drawn(*shapes):
    draft = Draft()
    return draft, [draft.leaf(f"l{n}", shape, "float32") for n, shape in enumerate(shapes)]


def value(draft, number, leaves):
    graph = draft.finished([number])
    given = {
        one: np.random.default_rng(one).normal(size=draft.shape(one)) for one in (*leaves, *graph.inputs)
    }
    return run(graph, given, [number])[number], given


@pytest.mark.parametrize(("kind", "filling"), [("max", -np.inf), ("sum", 0.0), ("min", np.inf)])
def test_padding_before_a_window_is_the_window_s(kind, filling):
    draft = Draft()
    x = draft.input((2, 5), "float32")
    padded = draft.add("pad", x, draft.constant(filling, "float32"), low=(0, 1), high=(0, 1), interior=(0, 0))
    params = {"size": (1, 3), "stride": (1, 1), "padding": ((0, 0),) * 2, "dilation": (1, 1)}
    made = draft.add("window", padded, kind=kind, **params)
    assert draft[made].operands == (x,)
    assert draft.shape(made) == (2, 5)


def product(draft, left, right, contract, batch=((), ())):
    return draft.add("dot", left, right, contract=contract, batch=batch)


def test_data_and_a_leaf_for_each_element_of_an_axis_are_that_many_products():
    draft, (kernel,) = drawn((3, 4, 5))
    x = draft.input((2, 3, 4), "float32")
    made = product(draft, x, kernel, ((2,), (1,)), ((1,), (0,)))
    found, given = value(draft, made, [kernel])
    np.testing.assert_allclose(found, np.einsum("bei,eio->ebo", given[x], given[kernel]))
    assert draft[made].op == "concat"


@pytest.mark.parametrize("data", [0, 1])
def test_a_product_with_what_was_joined_is_a_sum(data):
    draft, (kernel,) = drawn((5, 3))
    one, other = draft.input((2, 2), "float32"), draft.input((2, 3), "float32")
    joined = draft.add("concat", one, other, axis=1)
    pair, contract = ((joined, kernel), ((1,), (0,))) if data == 0 else ((kernel, joined), ((0,), (1,)))
    made = product(draft, *pair, contract)
    found, given = value(draft, made, [kernel])
    wanted = np.concatenate([given[one], given[other]], 1) @ given[kernel]
    np.testing.assert_allclose(found, wanted if data == 0 else wanted.T)
    assert draft[made].op == "add"


@pytest.mark.parametrize("place", [0, 1])
def test_a_product_with_joined_leaves_is_joined(place):
    draft, leaves = drawn((3, 2), (3, 4))
    x = draft.input((5, 3), "float32")
    kernel = draft.add("concat", *leaves, axis=1)
    made = product(draft, x, kernel, ((1,), (0,))) if place else product(draft, kernel, x, ((0,), (1,)))
    found, given = value(draft, made, leaves)
    wanted = given[x] @ np.concatenate([given[one] for one in leaves], 1)
    np.testing.assert_allclose(found, wanted if place else wanted.T)
    assert draft[made].op == "concat"


def test_a_part_of_what_was_joined_along_the_last_axis_is_the_part():
    draft = Draft()
    one, other = draft.input((2, 2), "float32"), draft.input((2, 3), "float32")
    joined = draft.add("concat", one, other, axis=1)
    assert draft.add("slice", joined, start=(0, 2), stop=(2, 5), step=(1, 1)) == other
    across = draft.add("slice", joined, start=(0, 1), stop=(2, 3), step=(1, 1))
    assert draft[across].operands == (joined,)


def test_steps_that_were_joined_stay_joined():
    draft = Draft()
    joined = draft.add("concat", draft.input((1, 2), "float32"), draft.input((1, 2), "float32"), axis=0)
    step = draft.add("slice", joined, start=(0, 0), stop=(1, 2), step=(1, 1))
    assert draft[step].operands == (joined,)


def test_nothing_added_is_left_out_and_what_is_left_is_as_wide():
    draft, (bias,) = drawn((1, 3))
    made = draft.add("add", draft.constant(np.zeros((2, 3)), "float32"), bias)
    assert (draft[made].op, draft.shape(made)) == ("broadcast", (2, 3))
