"""Leaves as arrays of JAX: turned while they are copied, in memory that nothing else uses."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.owned import Owned
from ml_switcheroo.targets.jax_arrays import in_shards, placed

DRAW = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("order", [(1, 0), (0, 1)])
def test_leaves_of_one_shape_keep_their_own_values(order, dtype):
    """The memory that one is read into is used for the next."""
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    arrays = {str(i): DRAW.standard_normal((700, 500)).astype(kind) for i in range(6)}
    made = Owned({name: Deferred.of(array).transpose(order) for name, array in arrays.items()})
    new = placed(dict.fromkeys(arrays, jnp.zeros((), dtype)), made)
    for name, array in arrays.items():
        expected = np.array(array.transpose(order))
        array[...] = 0
        assert np.asarray(new[name]).tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(1, 900), (900, 1), (3, 1, 5), (4, 3, 2, 5)])
def test_odd_shapes_are_turned_and_belong_to_nobody_else(shape):
    array = DRAW.standard_normal(shape).astype("f4")
    order = tuple(range(len(shape)))[::-1]
    made = Owned({"a": Deferred.of(array).transpose(order)})
    new = placed({"a": jnp.zeros((), "f4")}, made)["a"]
    expected = np.array(array.transpose(order))
    array[...] = 0
    assert np.array_equal(np.asarray(new), expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_without_values_is_filled_as_well(dtype):
    arrays = {str(i): DRAW.standard_normal((1, 900)).astype("f4") for i in range(3)}
    arrays |= {str(i): DRAW.standard_normal((300, 500)).astype("f4") for i in range(3, 6)}
    made = Owned({name: Deferred.of(array).T for name, array in arrays.items()})
    old = {name: jax.ShapeDtypeStruct(array.shape[::-1], dtype) for name, array in arrays.items()}
    new = placed(old | {"other": old["0"]}, made)
    assert list(new) == list(arrays)
    for name, array in arrays.items():
        expected = array.T.astype(new[name].dtype)
        array[...] = 0
        assert new[name].dtype == dtype
        assert np.array_equal(np.asarray(new[name]), expected)


def test_a_turned_leaf_gets_the_dtype_of_the_one_that_it_replaces():
    array = DRAW.standard_normal((600, 300)).astype("f4")
    made = Owned({"a": Deferred.of(array).T})
    new = placed({"a": jnp.zeros((), jnp.bfloat16)}, made)["a"]
    assert new.dtype == jnp.bfloat16
    assert np.array_equal(np.asarray(new), array.T.astype(ml_dtypes.bfloat16))


def test_slices_are_cut_out_of_the_move_in_the_dtype_of_the_leaf():
    array, cut = DRAW.standard_normal((4, 6)).astype("f4"), []
    leaf = Deferred.of(array).T
    new = in_shards(leaf, SingleDeviceSharding(jax.devices()[0]), "f2", cut.append)
    assert new.dtype == jnp.float16
    assert np.array_equal(np.asarray(new), array.T.astype("f2"))
    assert cut == [4 * 6 * 2]
