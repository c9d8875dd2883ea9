import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_switcheroo.formats.tiles import copy_reordered


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8", "c16", ml_dtypes.bfloat16, "?"])
@pytest.mark.parametrize(
    "shape", [(1030, 777), (257, 5000), (3, 100_003), (7, 300, 301), (64, 3, 50, 90), (2, 1, 999, 400)]
)
def test_every_order_of_the_axes(dtype: object, shape: tuple[int, ...]) -> None:
    bits = np.random.default_rng(0).integers(0, 2, shape, np.uint8)
    source = bits.astype(dtype)
    for order in {
        tuple(range(len(shape)))[::-1],
        (*range(1, len(shape)), 0),
        (len(shape) - 1, *range(len(shape) - 1)),
    }:
        view = source.transpose(order)
        target = np.zeros(view.shape, dtype)
        copy_reordered(target, view)
        np.testing.assert_array_equal(target, view)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_strides(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.sampled_from([1, 2, 17, 40, 130]), min_size=2, max_size=3).map(tuple))
    source = np.arange(np.prod(shape), dtype=np.uint64).reshape(shape)
    view = source.transpose(data.draw(st.permutations(range(len(shape)))))
    view = view[tuple(slice(None, None, data.draw(st.sampled_from([1, -1, 2]))) for _ in shape)]
    target = np.zeros((view.shape[0], *view.shape[1:-1], view.shape[-1] + 3), np.uint64)
    copy_reordered(target[..., 1:-2], view)
    np.testing.assert_array_equal(target[..., 1:-2], view)
    assert not target[..., 0].any()
    assert not target[..., -2:].any()


def test_bits_are_copied_not_values() -> None:
    bits = np.full((600, 600), 0x7FA00001, np.uint32)  # a signalling NaN
    target = np.empty((600, 600), np.float32)
    copy_reordered(target, bits.view(np.float32).T)
    assert (target.view(np.uint32) == 0x7FA00001).all()
