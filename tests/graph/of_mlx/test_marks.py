"""Primitives of MLX have the line of the user's program that they are from."""

import inspect
from collections import defaultdict

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn

from ml_switcheroo.graph.drawers.mlx import draw
from ml_switcheroo.graph.inputs import given
from ml_switcheroo.graph.running import run
from small_arrays import small_arrays


class Net(nn.Module):
    """A network with a line for each thing that it does."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.rest = nn.Sequential(nn.LayerNorm(4), nn.GELU())

    def __call__(self, x):
        y = self.first(x)
        y = mx.softmax(y, axis=0)
        y = y * 2
        y = nn.silu(y)
        y = y.sum(axis=-1, keepdims=True) + y[:, ::2].max()
        return self.rest(x - y)


def lines(graph, function):
    """Return the operations and the words of each line of a function, counted from its first."""
    start = inspect.getsourcelines(function)[1]
    found = defaultdict(set)
    for node in graph.nodes:
        if node.operands:
            assert node.line.file == "test_marks.py"
            found[node.line.number - start].add((node.op, node.word))
    return found


def test_each_primitive_has_the_line_and_the_word_of_the_call_that_it_is_from():
    found = lines(draw(Net(), None, given("float32[3,4]")), Net.__call__)
    assert {word for _, word in found[1]} == {"Linear"}
    assert ("exp", "softmax") in found[2]
    assert found[3] == {("mul", "")}
    assert ("logistic", "silu") in found[4]
    assert {("sum", "sum"), ("add", ""), ("slice", ""), ("amax", "max")} <= found[5]
    assert ("sub", "") in found[6]
    assert ("erf", "Sequential") in found[6]
    assert set(found) == set(range(1, 7))


def test_mlx_is_as_before_afterwards_also_if_it_compiles():
    def held():
        return {
            **{f"mx.{name}": value for name, value in vars(mx).items()},
            **{f"nn.{name}": value for name, value in vars(nn).items()},
            **{f"array.{name}": getattr(mx.array, name) for name in dir(mx.array)},
            "call": nn.Linear.__call__,
        }

    def failing(*_):
        raise ValueError("not today")

    def traces():
        traced = []
        function = mx.compile(lambda x: (traced.append(x), x + 1)[1])
        function(mx.zeros(1))
        function(mx.zeros(1))
        return len(traced)

    before = held()
    draw(Net(), None, given("float32[3,4]"))
    with pytest.raises(ValueError, match="not today"):
        draw(Net(), failing, given("float32[3,4]"))
    after = held()
    assert [name for name in before if before[name] is not after[name] and before[name] != after[name]] == []
    assert traces() == 1
    mx.disable_compile()
    try:
        draw(Net(), None, given("float32[3,4]"))
        assert traces() == 2
    finally:
        mx.enable_compile()


@mx.compile
def doubled(x):
    return mx.exp(x) * 2


@pytest.mark.parametrize(
    "function",
    [
        lambda _, x: doubled(x),
        lambda _, x: mx.vmap(lambda row: mx.exp(row) * row)(x),
        lambda _, x: mx.grad(lambda y: mx.sum(mx.exp(y)))(x),
        lambda _, x: mx.checkpoint(lambda y: mx.exp(y) + 1)(x),
    ],
)
def test_what_transforms_functions_is_drawn(function):
    (array,) = small_arrays("f3,4")
    graph = draw(Net(), function, given([array]))
    assert not graph.gaps
    values = run(graph, {graph.inputs[0]: array}, graph.outputs)
    assert np.allclose(values[graph.outputs[0]], np.array(function(None, mx.array(array))), atol=1e-5)
