import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml_switcheroo.formats.checkpoint import StridedTensor
from ml_switcheroo.formats.files import StoredBytes
from ml_switcheroo.formats.runs import boxes, find_runs, is_flat, join_runs
from ml_switcheroo.tensors import TensorSpec, spec_of

SHAPES = st.lists(st.integers(1, 4), max_size=4).map(tuple)


def vector(numbers: np.ndarray) -> StridedTensor:
    return StridedTensor(StoredBytes(numbers.tobytes()), spec_of(numbers))


@given(SHAPES, st.data())
def test_boxes_cover_what_follows_in_c_order(shape: tuple[int, ...], data: st.DataObject) -> None:
    numbers = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    start, stop = sorted(data.draw(st.integers(0, numbers.size)) for _ in range(2))
    seen: list[int] = []
    for corner, sizes, at in boxes(shape, start, stop):
        part = numbers[tuple(slice(low, low + count) for low, count in zip(corner, sizes, strict=True))]
        assert part.shape == sizes
        assert part.ravel().tolist() == list(range(at, at + part.size))
        seen += part.ravel().tolist()
    assert seen == list(range(start, stop))
    assert len(list(boxes(shape, start, stop))) <= max(1, 2 * len(shape) - 1)


@given(SHAPES, st.lists(st.integers(0, 60), max_size=5), st.integers(0, 5))
def test_runs_of_vectors_are_joined(shape: tuple[int, ...], cuts: list[int], before: int) -> None:
    size = int(np.prod(shape, dtype=int))
    numbers = np.arange(before + size + 3, dtype=np.int32)
    vectors = [vector(part) for part in np.split(numbers, sorted(min(cut, numbers.size) for cut in cuts))]
    tensor = join_runs(TensorSpec(shape, "int32"), find_runs(vectors, before, size))
    np.testing.assert_array_equal(tensor.read(), numbers[before : before + size].reshape(shape))
    np.testing.assert_array_equal(np.asarray(tensor.defer().T), tensor.read().T)
    assert sum(count for _, _, count in find_runs(vectors, before, size + 9)) == size + 3


def test_what_is_flat() -> None:
    flat = vector(np.arange(6, dtype=np.int32))
    assert is_flat(flat)
    assert not is_flat(StridedTensor(flat.region, TensorSpec((2, 3), "int32")))
    assert not is_flat(StridedTensor(flat.region, TensorSpec((3,), "int32"), strides=(2,)))
    assert not is_flat(join_runs(flat.spec, [(flat, 0, 6)]))
