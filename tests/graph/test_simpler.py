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
