"""What a change of dtype loses is refused or counted, and never silent."""

import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

import ml_switcheroo as ms
from ml_switcheroo.errors import CastError, LoadError
from ml_switcheroo.ops.casting import Losses, losses, may_lose, refusal


class Port(nnx.Module):
    def __init__(self, **dtypes):
        for name, dtype in dtypes.items():
            setattr(self, name, nnx.Param(jnp.zeros(3, dtype)))


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ("complex64", "float32", True),
        ("float32", "int32", True),
        ("bfloat16", "bool", True),
        ("int8", "bool", True),
        ("bool", "float32", False),
        ("int64", "int8", False),
        ("float64", "float8_e4m3fn", False),
        ("complex128", "complex64", False),
    ],
)
def test_kinds_of_numbers_that_hold_no_others_are_refused(before, after, refused):
    assert bool(refusal(np.dtype(before), np.dtype(after))) is refused


@pytest.mark.parametrize(
    ("before", "after", "may"),
    [
        ("float32", "float16", True),
        ("float32", "bfloat16", True),
        ("bfloat16", "float32", False),
        ("float16", "bfloat16", False),
        ("float32", "float64", False),
        ("int8", "int64", False),
        ("uint8", "int8", True),
        ("int64", "float16", True),
        ("int64", "float32", False),
    ],
)
def test_only_dtypes_of_a_smaller_range_are_looked_at(before, after, may):
    assert may_lose(np.dtype(before), np.dtype(after)) is may


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e5m2", "float8_e4m3fn"])
def test_values_are_counted_as_numpy_sees_them(dtype):
    values = np.concatenate([np.float32([0, 1, -2, np.inf, np.nan]), np.float32([1e-44, 1e-9, 1e5, 3.4e38])])
    with np.errstate(all="ignore"):
        after = values.astype(dtype)
    wide = after.astype("float64")
    found = losses(values, after)
    finite = np.isfinite(values)
    assert found == Losses(
        infinite=int((np.isinf(wide) & finite).sum()),
        undefined=int((np.isnan(wide) & finite).sum()),
        zero=int(((wide == 0) & (values != 0)).sum()),
    )
    assert found


def test_values_that_were_infinite_before_are_not_lost():
    values = np.array([np.inf, -np.inf, np.nan, 0], ml_dtypes.bfloat16)
    assert not losses(values.astype("float32"), values)


def test_a_leaf_of_another_kind_of_number_stays_missing_and_says_why():
    port = Port(a="int8", b="float32")
    state = {"a": np.float32([0.7, 1, 2]), "b": np.complex64([1j, 2, 3])}
    with pytest.raises(LoadError) as error:
        ms.load_into(port, state)
    assert "a is int8: an integer has no place for fractions" in str(error.value)
    assert "b is float32: a real number has no place for the imaginary part" in str(error.value)


def test_all_leaves_that_lose_values_are_named_and_none_is_written():
    port = Port(a="float16", b="float16", c="int8")
    state = {"a": np.float32([7e4, 1, 1e-9]), "b": np.float32([1, 2, 3]), "c": np.int32([1, 300, 3])}
    with pytest.raises(CastError) as error:
        ms.load_into(port, state)
    assert error.value.losses == {
        "a": "1 become infinite, 1 become 0",
        "c": "1 become other integers",
    }
    assert not np.asarray(port.b[...]).any()
    ms.load_into(port, state, allow_overflow=True)
    assert np.isinf(np.asarray(port.a[...])[0])


@pytest.mark.parametrize("size", [8, 700])  # by itself, and strip by strip
@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_a_conversion_that_loses_values_writes_nothing(tmp_path, size, suffix):
    big = np.ones((size, size + 4), "float32")
    big[-1, -2] = 1e6
    source, out = tmp_path / "w.npz", tmp_path / f"out.{suffix}"
    np.savez(source, **{"a.weight": big, "b.weight": big * 2, "c.weight": np.ones((4, 2), "float32")})
    kinds = dict.fromkeys("abc", "linear")
    with pytest.raises(CastError) as error:
        ms.convert(source, out, to="jax", layers=kinds, dtype="float16")
    assert set(error.value.losses) == {"a.kernel", "b.kernel"}
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]
    ms.convert(source, out, to="jax", layers=kinds, dtype="float16", allow_overflow=True)
    with ms.open_checkpoint(out) as made:
        assert np.isinf(made["a.kernel"].read()[-2, -1])


def test_a_converted_checkpoint_is_cast_as_carefully(tmp_path):
    source, out = tmp_path / "w.npz", tmp_path / "out.safetensors"
    np.savez(source, a=np.float32([7e4, 1, 2]))
    ms.convert(source, out, to="nnx", layers={"a": "parameter"})
    with pytest.raises(CastError, match="1 become infinite"):
        ms.load_into(Port(a="float16"), out)
