"""What several primitives can say is drawn in one way, and computes the same."""

import numpy as np
import pytest

from ml_switcheroo.graph.graph import Draft
from ml_switcheroo.graph.running import run


def drawn(*shapes):
    draft = Draft()
    return draft, [draft.leaf(f"l{n}", shape, "float32") for n, shape in enumerate(shapes)]


def value(draft, number, leaves):
    graph = draft.finished([number])
    given = {
        one: np.random.default_rng(one).normal(size=draft.shape(one)) for one in (*leaves, *graph.inputs)
    }
    return run(graph, given, [number])[number], given


PLAIN = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "spread": (1, 1), "groups": 1}


def test_padding_before_a_convolution_is_the_convolution_s():
    draft, (kernel,) = drawn((3, 2, 3, 3))
    x = draft.input((1, 2, 5, 5), "float32")
    pads = {"low": (0, 0, 1, 2), "high": (0, 0, 1, 0), "interior": (0,) * 4}
    padded = draft.add("pad", x, draft.constant(0.0, "float32"), **pads)
    made = draft.add("conv", padded, kernel, **PLAIN)
    assert draft[made].operands[0] == x
    assert draft[made].params["padding"] == ((1, 1), (2, 0))


def test_padding_with_another_value_stays():
    draft, (kernel,) = drawn((3, 2, 3, 3))
    x = draft.input((1, 2, 5, 5), "float32")
    pads = {"low": (0, 0, 1, 1), "high": (0, 0, 1, 1), "interior": (0,) * 4}
    padded = draft.add("pad", x, draft.constant(1.0, "float32"), **pads)
    assert draft[draft.add("conv", padded, kernel, **PLAIN)].operands[0] == padded


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
