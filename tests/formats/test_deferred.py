from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.stream import strips
from ml_switcheroo.ops import Axes, Cast, Concat, Flip, Gates, Scale, Shift, Split, Stack, Sum, Unstack


def joined(leaf: Any) -> bytes:
    return b"".join(map(bytes, strips(leaf)))


def assert_same(found: Any, expected: np.ndarray) -> None:
    assert isinstance(found, Deferred | np.ndarray)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(np.asarray(found), expected)
    assert joined(found) == expected.tobytes()


def axes_before(axis: int) -> tuple[slice, ...]:
    return (slice(None),) * axis


STEPS: dict[str, Callable[[Any, int, list[int]], Any]] = {
    "flat": lambda x, _axis, _n: x.reshape(-1),
    "reshape": lambda x, _axis, _n: x.reshape(x.shape[::-1]),
    "transpose": lambda x, _axis, n: x.transpose(np.argsort([n[i % 4] * 10 + i for i in range(x.ndim)])),
    "astype": lambda x, _axis, _n: x.astype(np.float32),
    "slice": lambda x, axis, n: x[(*axes_before(axis), slice(min(n), max(n)))],
    "row": lambda x, axis, n: x[(*axes_before(axis), n[0] % max(1, x.shape[axis]))] if x.size else x,
    "concatenate": lambda x, axis, _n: np.concatenate([x, x[:1] if axis == 0 else x, x], axis=axis),
    "stack": lambda x, _axis, n: np.stack([x, x], axis=n[0] % (x.ndim + 1) - n[1] % 2),
    "split": lambda x, axis, n: np.split(x, [1, 2], axis=axis)[n[0] % 3],
    "flip": lambda x, axis, _n: np.flip(x, axis),
    "moveaxis": lambda x, axis, n: np.moveaxis(x, axis, n[0] % x.ndim),
}
WITHOUT_AXES = ["flat", "reshape", "transpose", "astype", "stack"]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_is_done_to_it_it_is_what_numpy_makes(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple))
    real = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    pair: tuple[Any, np.ndarray] = (Deferred.of(real), real)
    for _ in range(data.draw(st.integers(0, 4))):
        rank = pair[1].ndim
        name = data.draw(st.sampled_from(list(STEPS) if rank else WITHOUT_AXES))
        axis = data.draw(st.integers(0, max(0, rank - 1)))
        numbers = data.draw(st.lists(st.integers(0, 4), min_size=4, max_size=4))
        lazy, real = (STEPS[name](each, axis, numbers) for each in pair)
        pair = (lazy, real)
    assert_same(*pair)


@pytest.mark.parametrize(
    ("ops", "shapes"),
    [
        ((Axes("out in *space -> *space in out"),), [(5, 4, 3, 2)]),
        ((Axes("(h d) in -> in h d", (("h", 2),)),), [(6, 4)]),
        ((Axes("out (c h w) -> (h w c) out", (("c", 2), ("h", 2))),), [(5, 12)]),
        ((Axes("out in -> in out"), Concat(1)), [(4, 3), (2, 3)]),
        ((Concat(0), Axes("out in -> in out")), [(4, 3), (2, 3)]),
        ((Stack(0), Axes("l out in -> l in out")), [(4, 3), (4, 3), (4, 3)]),
        ((Axes("out in -> in out"), Stack(0)), [(4, 3), (4, 3)]),
        ((Split(0, (2, 4)),), [(6, 5)]),
        ((Unstack(1),), [(3, 4)]),
        ((Flip("out in *space"), Axes("out in *space -> *space in out")), [(3, 2, 4, 3)]),
        ((Gates((1, 0, 2)),), [(6, 5)]),
        ((Gates((1, 0)), Axes("out in -> in out")), [(6, 5)]),
        ((Cast("bfloat16"), Axes("out in -> in out")), [(6, 5)]),
        ((Shift(1.0),), [(6,)]),
        ((Scale(0.5),), [(6, 5)]),
        ((Sum(),), [(6,), (6,)]),
    ],
)
def test_every_operation_of_a_move_works_on_it(ops: tuple[Any, ...], shapes: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    arrays: Any = tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    lazy: Any = tuple(map(Deferred.of, arrays))
    for op in ops:
        arrays, lazy = op(arrays), op(lazy)
    assert len(arrays) == len(lazy)
    for found, expected in zip(lazy, arrays, strict=True):
        assert_same(found, expected)


def test_joining_and_casting_reads_nothing() -> None:
    source = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (2**20, 2**20), (0, 0))  # 4 TiB
    leaf = Deferred.of(source)
    stacked = np.stack([leaf.T.astype(np.float64), np.concatenate([leaf, leaf])[: 2**20].astype(np.float64)])
    assert isinstance(stacked, Deferred)
    assert stacked.shape == (2, 2**20, 2**20)
    assert stacked.nbytes == 2**44
    assert isinstance(stacked.reshape(2, -1), Deferred)


def test_errors_are_numpys() -> None:
    leaf = Deferred.of(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="cannot reshape"):
        leaf.reshape(7)
    with pytest.raises(ValueError, match="must match"):
        np.concatenate([leaf, leaf.T])
    with pytest.raises(ValueError, match="equal"):
        np.split(leaf, 2, axis=1)
    with pytest.raises(IndexError):
        leaf[5]
