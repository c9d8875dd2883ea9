"""What is drawn of each operation computes what TensorFlow does: one line a call."""

import numpy as np
import pytest

from ml_switcheroo.graph.inputs import given
from ml_switcheroo.graph.of_tensorflow import draw_tensorflow
from ml_switcheroo.graph.running import run
from small_arrays import small_arrays

tf = pytest.importorskip("tensorflow")


def drawn(code, arrays):
    """Return the graph of an expression in ``x, y, z``, and what TensorFlow gives for it."""

    def function(*values):
        return eval(code, {"tf": tf, "nn": tf.nn, **dict(zip("xyz", values, strict=False))})

    made = tf.nest.flatten(function(*map(tf.constant, arrays)))
    return draw_tensorflow(function, {}, given(arrays)), [leaf.numpy() for leaf in made]


def loop(x, count):
    return tf.while_loop(lambda i, _: i < count, lambda i, s: (i + 1, s * 2 + x), (0, x))[1]


CALLS = [
    *(
        (f"tf.{name}(x)", "f2,3")
        for name in """abs negative sign floor sin cos sinh cosh tanh exp sigmoid square round identity
    stop_gradient zeros_like ones_like reduce_sum reduce_mean reduce_max reduce_min reduce_prod transpose
    math.erf math.erfc math.expm1 math.is_nan math.is_inf math.is_finite math.ceil math.softplus math.rint
    math.asinh math.atan math.reduce_std math.reduce_variance math.reduce_logsumexp argmax argmin
    shape size rank nn.relu nn.relu6 nn.elu nn.selu nn.softsign nn.softmax nn.log_softmax nn.silu nn.gelu
    nn.leaky_relu nn.tanh math.reduce_euclidean_norm""".split()
    ),
    *(
        (f"tf.{name}(x)", "p2,3")
        for name in """sqrt math.log math.rsqrt math.log1p math.reciprocal math.acos math.asin math.atanh tan
    math.lgamma math.digamma math.erfinv""".split()
    ),
    ("tf.acosh(1 + x)", "p3"),
    *(
        (f"tf.{name}(x, y)", "f2,3 f3")
        for name in """add subtract multiply divide maximum minimum atan2 equal not_equal less less_equal
    greater greater_equal math.squared_difference math.divide_no_nan math.floordiv math.floormod""".split()
    ),
    *((f"(x - 4) {op} 3", "i9:2,3") for op in "+ - * // % < ==".split()),
    ("tf.bitwise.bitwise_and(x, 3)", "i9:4"),
    ("tf.pow(x, y), x ** 2, 2.0 ** x", "p4 f4"),
    ("tf.logical_and(x, y), tf.logical_or(x, y), tf.logical_not(x), tf.math.logical_xor(x, y)", "b5 b5"),
    (
        "tf.where(x, y, 0.5), tf.where(y > 0, y, -y), tf.raw_ops.Select(condition=x[:, 0], x=y, y=-y)",
        "b2,3 f2,3",
    ),
    ("tf.clip_by_value(x, -0.5, 0.5), tf.add_n([x, x, x]), tf.cast(x, 'int32'), tf.cast(x, 'bool')", "f6"),
    ("nn.leaky_relu(x, 0.3), nn.gelu(x, approximate=True), nn.bias_add(x, y)", "f2,3 f3"),
    *(
        (f"tf.reduce_{name}(x, axis=1), tf.reduce_{name}(x, axis=(0, -1), keepdims=True)", "f2,3,4")
        for name in "sum mean max min prod logsumexp".split()
    ),
    ("tf.reduce_any(x, axis=1), tf.reduce_all(x)", "b2,3"),
    ("tf.argmax(x, axis=1), tf.argmin(x, axis=-1)", "f2,3,4"),
    *(
        (
            f"tf.math.{name}(x), tf.math.{name}(x, 1, exclusive=True), tf.math.{name}(x, -1, reverse=True)",
            "f2,4",
        )
        for name in ("cumsum", "cumprod")
    ),
    ("tf.cumsum(x, 1, exclusive=True, reverse=True)", "f2,4"),
    ("nn.softmax(x, axis=1)", "f2,3,4"),
    ("tf.sort(x, axis=1), tf.argsort(x, axis=1), tf.math.top_k(x, 2)", "f2,5"),
    # Other axes.
    ("tf.reshape(x, (6, -1)), tf.reshape(x, (-1,)), tf.transpose(x, (2, 0, 1))", "f2,3,4"),
    ("tf.reshape(x, (tf.shape(x)[0], tf.shape(x)[1] * tf.shape(x)[2]))", "f2,3,4"),
    ("tf.expand_dims(x, 1), tf.expand_dims(x, -1), tf.squeeze(x[:, :1]), tf.squeeze(x[:1], 0)", "f2,3"),
    ("tf.concat([x, y], 1), tf.concat([x, y], -2), tf.stack([x, y], 1), tf.unstack(x, axis=1)", "f2,3 f2,3"),
    ("tf.split(x, 2, axis=-1), tf.split(x, [1, -1], axis=1)", "f2,3,4"),
    ("tf.pad(x, [[1, 0], [0, 2]]), tf.pad(x, [[1, 1], [0, 0]], constant_values=3.0)", "f2,3"),
    ("tf.pad(x, [[1, 1], [0, 2]], 'REFLECT'), tf.pad(x, [[1, 1], [0, 2]], 'SYMMETRIC')", "f3,4"),
    ("tf.tile(x, (2, 3)), tf.broadcast_to(x, (4, 2, 3)), tf.repeat(x, 2, axis=1)", "f2,3"),
    ("tf.reverse(x, [1]), tf.roll(x, 1, axis=1), tf.fill((2, 3), 0.5) + x", "f2,3"),
    ("tf.nn.space_to_depth(x, 2), tf.nn.depth_to_space(tf.tile(x, (1, 1, 1, 4)), 2)", "f1,4,4,3"),
    # Parts.
    ("x[0], x[-1], x[:, 1:], x[..., ::2], x[:, ::-1], x[1:, None, ::-2], x[-2:, :, 0]", "f2,3,4"),
    ("x[:, -1], x[0, :, -1], x[..., 1, :2], x[tf.newaxis, ..., tf.newaxis], x[:, :0]", "f2,3,4"),
    ("tf.slice(x, (0, 1), (2, -1))", "f2,3"),
    ("tf.gather(x, y), tf.gather(x, y, axis=1), tf.gather(x, y, axis=-1)", "f4,5,6 i4:2,3"),
    ("tf.gather(x, y, axis=1, batch_dims=1), tf.gather_nd(x, y)", "f2,5 i2:2,2"),
    ("tf.one_hot(x, 4), tf.one_hot(x, 4, axis=0, on_value=2.0, off_value=-1.0)", "i4:2,3"),
    ("tf.linalg.band_part(x, -1, 0), tf.linalg.band_part(x, 1, -1), tf.linalg.diag(x[0])", "f4,4"),
    ("tf.range(3) + tf.cast(x, 'int32'), tf.linspace(0.0, 1.0, 4)", "f3"),
    # Products.
    ("x @ y, tf.matmul(y, x, transpose_a=True, transpose_b=True)", "f2,3 f3,4"),
    ("x @ y, tf.tensordot(x, y, 1)", "f5,2,3 f3,4"),
    ("x @ y, tf.matmul(x, x, transpose_b=True), tf.matmul(x, x, adjoint_a=True)", "f5,2,3 f5,3,4"),
    ("x @ y", "f2,1,3,4 f5,4,2"),
    ("tf.einsum('bqhd,bkhd->bhqk', x, y), tf.einsum('bqhd->hbq', x)", "f2,3,2,4 f2,5,2,4"),
    ("tf.einsum('...ij,jk->...ik', x, y)", "f2,5,3 f3,4"),
    ("tf.linalg.matvec(x, y)", "f4,3 f3"),
    # Convolutions: kernels *space in out.
    *(
        (f"nn.conv2d(x, y, strides=({pace}, 1), padding='{padding}')", "f2,7,6,3 f3,2,3,5")
        for pace in (1, 2)
        for padding in ("SAME", "VALID")
    ),
    ("nn.conv2d(x, y, strides=2, padding=[[0, 0], [1, 2], [0, 1], [0, 0]])", "f2,7,6,3 f3,2,3,5"),
    ("nn.conv2d(x, y, strides=2, padding='SAME')", "f2,7,6,4 f3,3,2,6"),
    *(
        (f"nn.convolution(x, y, padding='{padding}', dilations={holes})", "f2,9,8,3 f3,2,3,5")
        for padding in ("SAME", "VALID")
        for holes in ((2, 2), (3, 1), (1, 2))
    ),
    (
        "nn.convolution(x, y, padding='SAME', dilations=2), nn.convolution(x, y, dilations=[3])",
        "f2,9,3 f3,3,5",
    ),
    ("nn.conv1d(x, y, stride=2, padding='SAME')", "f2,9,3 f3,3,5"),
    ("nn.conv3d(x, y, strides=(1, 2, 2, 2, 1), padding='SAME')", "f1,4,5,4,2 f2,3,2,2,3"),
    ("nn.depthwise_conv2d(x, y, strides=(1, 2, 2, 1), padding='SAME')", "f2,7,7,3 f3,3,3,2"),
    (
        "nn.depthwise_conv2d(x, y, strides=(1, 1, 1, 1), padding='SAME', dilations=(2, 2))",
        "f2,7,7,3 f3,3,3,2",
    ),
    ("nn.conv2d_transpose(x, y, (2, 10, 8, 5), strides=2, padding='SAME')", "f2,5,4,3 f3,3,5,3"),
    ("nn.conv2d_transpose(x, y, (2, 12, 9, 5), strides=2, padding='VALID')", "f2,5,4,3 f3,3,5,3"),
    ("nn.conv1d_transpose(x, y, (2, 11, 5), strides=2, padding='VALID')", "f2,5,3 f3,5,3"),
    ("nn.conv3d_transpose(x, y, (1, 6, 6, 6, 2), strides=2, padding='SAME')", "f1,3,3,3,3 f3,3,3,2,3"),
    *(
        (f"nn.{kind}_pool2d(x, (3, 2), 2, '{padding}')", "f2,7,6,3")
        for kind in ("max", "avg")
        for padding in ("SAME", "VALID")
    ),
    ("nn.max_pool1d(x, 2, 2, 'VALID'), nn.avg_pool1d(x, 3, 1, 'SAME')", "f2,7,3"),
    ("nn.max_pool3d(x, 2, 2, 'VALID'), nn.avg_pool3d(x, 3, 2, 'SAME')", "f1,5,4,4,2"),
    (
        "tf.raw_ops.FusedBatchNormV3(x=x, scale=y, offset=y, mean=z, variance=z, is_training=False)[0]",
        "f2,4,4,3 f3 p3",
    ),
    *(
        (f"tf.image.resize(x, ({size}, 5), '{kind}')", "f1,4,3,2")
        for kind in ("bilinear", "nearest")
        for size in (2, 8, 7)
    ),
    ("tf.compat.v1.image.resize_bilinear(x, (7, 5), align_corners=True)", "f1,4,3,2"),
    ("tf.compat.v1.image.resize_nearest_neighbor(x, (7, 5), align_corners=True)", "f1,4,3,2"),
    # What is called.
    ("tf.function(lambda v: v * 2)(x), tf.cond(tf.constant(True), lambda: x, lambda: -x)", "f3"),
    ("tf.scan(lambda s, v: s + v, x), tf.map_fn(lambda v: v * 2, x)", "f4,3"),
]


@pytest.mark.parametrize(("code", "given_as"), CALLS)
def test_what_is_drawn_computes_what_tensorflow_does(code, given_as):
    arrays = small_arrays(given_as)
    graph, wanted = drawn(code, arrays)
    assert not graph.gaps
    values = run(graph, dict(zip(graph.inputs, arrays, strict=True)), graph.outputs)
    assert len(graph.outputs) == len(wanted)
    for number, right in zip(graph.outputs, wanted, strict=True):
        assert values[number].shape == right.shape == graph.nodes[number].shape
        np.testing.assert_allclose(values[number], right, rtol=1e-4, atol=1e-4)


def test_the_rounds_of_a_loop_are_drawn_where_their_number_is_known():
    (array,) = small_arrays("f3")
    graph = draw_tensorflow(lambda x: loop(x, 4), {}, given([array]))
    assert not graph.gaps
    values = run(graph, dict(zip(graph.inputs, [array], strict=True)), graph.outputs)
    assert np.allclose(values[graph.outputs[0]], loop(tf.constant(array), 4))
    graph = draw_tensorflow(lambda x: loop(x, tf.cast(tf.reduce_sum(x), "int32")), {}, given([array]))
    assert any("While has no fixed number of rounds" in gap for gap in graph.gaps)


def test_a_variable_is_a_leaf_and_its_line_is_said():
    table = tf.Variable(np.ones((5, 3), "float32"))
    graph = draw_tensorflow(lambda x: tf.gather(table, x), {"table": table}, given("int32[2]"))
    assert graph.leaves == {"table": 0}
    assert graph.nodes[graph.outputs[0]].op == "take"
    assert graph.nodes[graph.outputs[0]].line.file == "test_operations.py"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("tf.random.normal((3,)) * x", "draws random numbers"),
        ("tf.boolean_mask(x, x > 0)", "has a size that depends on what is given"),
        ("tf.cond(x[0] > 0, lambda: x, lambda: -x)", "depends on values"),
    ],
)
def test_what_cannot_be_followed_is_a_gap(code, why):
    graph, _ = drawn(code, small_arrays("f3"))
    assert any(why in gap for gap in graph.gaps)
