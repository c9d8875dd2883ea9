import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

from ml_switcheroo.errors import UsageError
from ml_switcheroo.tensors import DTYPES, TensorSpec, as_numpy, dtype_of, spec_of


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_a_torch_tensor_of_every_dtype_comes_bit_for_bit(name):
    row = DTYPES[name]
    raw = np.arange(6 * row.itemsize, dtype=np.uint8) % (2 if name == "bool" else 251)
    tensor = torch.frombuffer(bytearray(raw.tobytes()), dtype=getattr(torch, name)).reshape(2, 3)
    array = as_numpy(tensor)
    assert array.dtype == row.numpy
    assert array.tobytes() == raw.tobytes()
    assert spec_of(tensor) == TensorSpec((2, 3), name) == spec_of(array)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, 3, requires_grad=True),
        torch.nn.Parameter(torch.ones(2, 3)),
        torch.ones(3, 2).T,
        torch.ones(3, 2, dtype=torch.bfloat16).T,
        torch.ones(4, 3, dtype=torch.bfloat16, requires_grad=True)[::2],
    ],
)
def test_any_torch_tensor_is_taken(tensor):
    array = as_numpy(tensor)
    assert array.shape == tuple(tensor.shape)
    assert (array == 1).all()


def test_conjugated_and_negated_views_are_resolved():
    tensor = torch.tensor([1 + 2j, 3 - 4j]).conj()
    assert as_numpy(tensor).tolist() == [1 - 2j, 3 + 4j]


def test_scalars_and_empty_tensors():
    assert as_numpy(torch.tensor(3, dtype=torch.bfloat16)).shape == ()
    assert as_numpy(torch.zeros(0, 4)).shape == (0, 4)


def test_jax_arrays_and_shapes():
    assert spec_of(jnp.zeros((2, 3), jnp.bfloat16)) == TensorSpec((2, 3), "bfloat16")
    assert spec_of(jax.ShapeDtypeStruct((2,), jnp.int32)) == TensorSpec((2,), "int32")
    assert spec_of((4, 5)) == TensorSpec((4, 5), "float32")
    assert as_numpy(jnp.zeros(2, jnp.bfloat16)).dtype == ml_dtypes.bfloat16


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_a_dtype_without_a_row_is_an_error():
    with pytest.raises(UsageError, match="is not one of: float64"):
        dtype_of(np.array(["text"]))
    with pytest.raises(UsageError, match="qint8"):
        dtype_of(torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8))


def test_the_table_covers_the_dtypes_of_torch():
    lacking = {
        name
        for name in dir(torch)
        if isinstance(getattr(torch, name), torch.dtype)
        and str(getattr(torch, name)) == f"torch.{name}"
        and name not in DTYPES
    }
    # What NumPy and ml_dtypes cannot hold, and what is packed several to a byte.
    refused = ("q", "bits", "uint1", "uint2", "uint3", "uint4", "uint5", "uint6", "uint7", "int1", "int2")
    refused += ("int3", "int4", "int5", "int6", "int7", "complex32", "float4", "bcomplex32")
    assert {name for name in lacking if not name.startswith(refused)} == set()


def test_sizes_in_bytes():
    assert TensorSpec((3, 5), "bfloat16").nbytes == 30
    assert TensorSpec((), "int64").nbytes == 8
    assert str(TensorSpec((3, 5), "bfloat16")) == "bfloat16[3,5]"
    assert sys.getsizeof(TensorSpec((), "int8")) < 100
