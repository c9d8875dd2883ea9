"""What is drawn of each primitive computes what MLX does: one line a call."""

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from ml_switcheroo.graph.inputs import given
from ml_switcheroo.graph.of_mlx import draw_mlx
from ml_switcheroo.graph.running import run
from small_arrays import small_arrays


def drawn(code, arrays):
    """Return the graph of an expression in ``x, y, z``, and what MLX gives for it."""

    def function(_, *values):
        return eval(code, {"mx": mx}, dict(zip("xyz", values, strict=False)))

    made = [leaf for _, leaf in tree_flatten([function({}, *map(mx.array, arrays))])]
    return draw_mlx(function, {}, given(arrays)), [np.array(leaf) for leaf in made]


CALLS = [
    *(
        (f"mx.{name}(x)", "f2,3")
        for name in """abs negative sign ceil floor sin cos sinh cosh tanh arctan arcsinh erf exp expm1 square
    sigmoid isnan isinf isfinite stop_gradient contiguous degrees round softmax logsumexp sum mean var std max
    min prod argmax argmin sort argsort cumsum cumprod cummax cummin all any transpose flatten""".split()
    ),
    *(
        (f"mx.{name}(x)", "p2,3")
        for name in """sqrt rsqrt log log2 log10 log1p reciprocal arccos arcsin arctanh erfinv tan""".split()
    ),
    ("mx.arccosh(1 + x)", "p3"),
    *(
        (f"mx.{name}(x, y)", "f2,3 f3")
        for name in """add subtract multiply divide maximum minimum arctan2 equal not_equal less less_equal
    greater greater_equal logaddexp floor_divide remainder""".split()
    ),
    *((f"x {op} 2", "f2,3") for op in "+ - * / // % < <= > >= == !=".split()),
    *((f"(x - 4) {op} 3", "i9:2,3") for op in "+ - * // % < == & | ^ << >>".split()),
    ("3 - x, 2 / x, x ** 3, x ** -0.5, 2.0 ** x", "p4"),
    ("mx.divmod(x, y), mx.divmod(-x, y)", "p5 p5"),
    ("mx.divmod(x, y + 1)", "i9:4 i5:4"),
    ("~x, x & y, x | y, mx.logical_not(y), mx.logical_and(x, y), mx.logical_or(x, y)", "b5 b5"),
    ("mx.where(x, y, 0.5), mx.where(y > 0, y, -y)", "b2,3 f2,3"),
    ("mx.clip(x, -0.5, 0.5), mx.nan_to_num(x), mx.round(x, 1)", "f2,3"),
    ("x.astype(mx.int32), x.astype(mx.bool_), mx.floor(x).astype(mx.float16).astype(mx.float32)", "f6"),
    ("mx.array_equal(x, x), mx.allclose(x, x), mx.isclose(x, x + 1)", "f3"),
    # Fewer elements.
    *(
        (f"mx.{name}(x, axis=1), mx.{name}(x, axis=(0, 2), keepdims=True), mx.{name}(x, axis=-1)", "f2,3,4")
        for name in "sum mean var std max min prod all any logsumexp".split()
    ),
    *((f"mx.softmax(x, axis={axis})", "f2,3,4") for axis in (0, 1, -1)),
    ("mx.softmax(x, axis=(1, 2)), mx.softmax(x, axis=-1, precise=True)", "f2,3,4"),
    ("mx.argmax(x, axis=1), mx.argmin(x, axis=-1, keepdims=True)", "f2,3,4"),
    # Along an axis.
    *(
        (f"mx.{name}(x, axis=1), mx.{name}(x, axis=1, reverse=True)", "f2,4")
        for name in "cumsum cumprod cummax cummin".split()
    ),
    ("mx.cumsum(x, axis=1, inclusive=False), mx.cumsum(x, axis=1, reverse=True, inclusive=False)", "f2,4"),
    ("mx.cumprod(x, axis=1, inclusive=False)", "f2,4"),
    ("mx.sort(x, axis=0), mx.argsort(x, axis=1)", "f4,5"),
    # Other axes.
    ("x.reshape(6, -1), x.reshape(-1), mx.flatten(x, 1, 2), mx.unflatten(x, -1, (2, 2))", "f2,3,4"),
    ("mx.transpose(x, (2, 0, 1)), mx.moveaxis(x, 0, 2), mx.swapaxes(x, 1, 2)", "f2,3,4"),
    ("x[:, None], mx.expand_dims(x, (0, 2)), mx.squeeze(x[:, :1]), mx.squeeze(x[:1], 0)", "f2,3"),
    ("mx.broadcast_to(x, (2, 4, 3)), mx.broadcast_arrays(x, mx.zeros((4, 1)))", "f3"),
    ("mx.repeat(x, 2, axis=1), mx.tile(x, (1, 2)), mx.roll(x, 1, axis=1)", "f2,3"),
    ("mx.concatenate([x, y], axis=1), mx.stack([x, x], axis=1), mx.concatenate([y, x])", "f2,3 f2,3"),
    ("mx.split(x, 2, axis=-1), mx.split(x, [1, 2], axis=1)", "f2,3,4"),
    ("mx.pad(x, [(1, 0), (0, 2)]), mx.pad(x, 1, constant_values=3.0), mx.pad(x, 1, mode='edge')", "f2,3"),
    ("mx.outer(x, y), mx.kron(x, y), mx.meshgrid(x, y)", "f3 f4"),
    # What the program knows by itself.
    ("mx.arange(4) + x, mx.arange(1.0, 3.0, 0.5) * x, mx.linspace(0, 1, 4) * x", "f4"),
    ("mx.full((2, 3), 2.5) * x, mx.ones((2, 3)) + x, mx.zeros_like(x)", "f2,3"),
    ("mx.tril(x), mx.triu(x, 1), mx.eye(3) @ x, mx.tri(3) * x", "f3,3"),
    ("mx.diag(x), mx.identity(3) * x, mx.array([[1.0, 2.0, 3.0]]) * x", "f3"),
    # Parts.
    ("x[0], x[-1], x[:, 1:], x[..., ::2], x[:, ::-1], x[1:, None, ::-2], x[-2:, :, 0]", "f2,3,4"),
    ("x[:, -1], x[0, :, -1], x[..., 1, :2]", "f2,3,4"),
    ("mx.take(x, y, axis=1), mx.take(x, y, axis=0) , x[y], x[:, y], x[0, y]", "f3,3,4 i3:5"),
    ("mx.take(x, y, axis=0), mx.take(x, y, axis=-1), x[y]", "f5,5 i5:2,3"),
    ("x[y, z], x[y, :, z]", "f4,4,4 i4:3 i4:3"),
    ("mx.take_along_axis(x, y, axis=1)", "f2,5 i5:2,3"),
    ("mx.as_strided(x, (3, 2), (2, 1), 1)", "f2,5"),
    ("mx.slice(x, mx.array([1]), (0,), (1, 3)), mx.slice(x, mx.array([1, 2]), (0, 1), (1, 2))", "f3,4"),
    ("x.at[1].add(y), x.at[:, 1:].add(1.0), x.at[::2].add(2.0)", "f3,4 f4"),
    ("mx.slice_update(x, y, mx.array([1]), (0,))", "f3,4 f1,4"),
    ("mx.put_along_axis(x, y, z, axis=1)", "f2,5 i1:2,1 f2,1"),
    # Products.
    ("x @ y", "f2,3 f3,4"),
    ("x @ y, y.swapaxes(-1, -2) @ x.swapaxes(-1, -2)", "f5,2,3 f3,4"),
    ("x @ y", "f5,2,3 f5,3,4"),
    ("x @ y", "f2,1,3,4 f5,4,2"),
    ("x @ y, y @ y", "f2,3 f3"),
    ("mx.addmm(x, y, z), mx.addmm(x, y, z, 0.5, 2.0)", "f4 f2,3 f3,4"),
    ("mx.einsum('bqhd,bkhd->bhqk', x, y)", "f2,3,2,4 f2,5,2,4"),
    ("mx.tensordot(x, y, 1), mx.inner(x, x)", "f2,3,4 f4,5"),
    # Convolutions: data *space c, kernels out *space in.
    ("mx.conv1d(x, y, stride=2, padding=1, dilation=2)", "f2,9,4 f6,3,4"),
    ("mx.conv1d(x, y, padding=1, groups=2)", "f2,9,4 f6,3,2"),
    ("mx.conv2d(x, y, stride=(2, 1), padding=(1, 0))", "f2,7,6,3 f5,3,2,3"),
    ("mx.conv2d(x, y, stride=2), mx.conv2d(x, y, groups=1)", "f2,6,6,3 f5,1,1,3"),
    ("mx.conv2d(x, y, padding=1, groups=4)", "f2,6,6,4 f8,3,3,1"),
    ("mx.conv3d(x, y, stride=2, padding=1)", "f1,4,5,4,2 f3,2,3,2,2"),
    ("mx.conv_transpose1d(x, y, stride=2, padding=1)", "f2,5,3 f4,3,3"),
    ("mx.conv_transpose2d(x, y, stride=2, padding=1, output_padding=1, dilation=2)", "f1,5,4,3 f4,3,2,3"),
    (
        "mx.conv_general(x, y, padding=([1, 0], [2, 3]), kernel_dilation=2, input_dilation=2, flip=True)",
        "f1,5,5,3 f4,3,3,3",
    ),
    # Fast kernels.
    ("mx.fast.layer_norm(x, y, z, 1e-3), mx.fast.layer_norm(x, None, None, 1e-3)", "f2,3,4 f4 f4"),
    ("mx.fast.rms_norm(x, y, 1e-3), mx.fast.rms_norm(x, None, 1e-3)", "f2,3,4 f4"),
    *(
        (f"mx.fast.rope(x, {dims}, traditional={old}, base=100.0, scale=0.5, offset={at})", "f2,3,5,8")
        for dims, old, at in ((8, True, 0), (8, False, 2), (4, True, 1), (4, False, 0))
    ),
    ("mx.fast.scaled_dot_product_attention(x, y, z, scale=0.3)", "f2,4,3,5 f2,2,6,5 f2,2,6,5"),
    ("mx.fast.scaled_dot_product_attention(x, y, y, scale=0.3, mask='causal')", "f2,4,3,5 f2,4,3,5"),
    ("mx.fast.scaled_dot_product_attention(x, y, y, scale=0.3, mask=z)", "f2,4,3,5 f2,4,6,5 b3,6"),
]


@pytest.mark.parametrize(("code", "given_as"), CALLS)
def test_what_is_drawn_computes_what_mlx_does(code, given_as):
    arrays = small_arrays(given_as)
    graph, wanted = drawn(code, arrays)
    assert not graph.gaps
    values = run(graph, dict(zip(graph.inputs, arrays, strict=True)), graph.outputs)
    assert len(graph.outputs) == len(wanted)
    for number, right in zip(graph.outputs, wanted, strict=True):
        assert values[number].shape == right.shape == graph.nodes[number].shape
        np.testing.assert_allclose(values[number], right, rtol=1e-4, atol=1e-4)
