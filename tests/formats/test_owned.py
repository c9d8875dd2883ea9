"""Leaves in memory of their own: the bits of the plan, aligned, in any order, and nobody else's."""

import ml_dtypes
import numpy as np
import pytest
import torch

import ml_switcheroo as ms
from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.owned import Owned, owned

DRAW = np.random.default_rng(0)
SHAPES = {
    "one": (),
    "none": (0, 3),
    "row": (5,),
    "flat": (1500, 2048),
    "wide": (3, 900001),
    "space": (70, 60, 9, 31),
}


def views(array):
    """Yield arrays as moves make them: as they are, turned, flipped, cut, joined and cast."""
    whole = Deferred.of(array)
    yield "as it is", whole, array
    yield "turned", whole.T, array.T
    if array.ndim > 1:
        yield "flipped", np.flip(whole, 1), np.flip(array, 1)
        yield "cut", whole[1:], array[1:]
        yield "joined", np.concatenate([whole.T, whole.T], 1), np.concatenate([array.T, array.T], 1)
        yield "cast", whole.T.astype("float64"), array.T.astype("float64")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("name", SHAPES)
def test_each_leaf_has_the_bits_of_its_source_and_memory_of_its_own(name, dtype):
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    array = np.asarray(DRAW.standard_normal(SHAPES[name]) * 50).astype(kind)
    cases = list(views(array))
    made = Owned({case: leaf for case, leaf, _ in cases})
    for case, _, expected in cases:
        found = made[case]
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        assert found.tobytes() == np.ascontiguousarray(expected).tobytes()
        assert found.flags.c_contiguous
        assert not found.size or found.ctypes.data % 64 == 0
        assert not np.shares_memory(found, array)


def test_leaves_come_in_any_order_and_more_than_once():
    arrays = {str(i): DRAW.standard_normal((400, 5000)) for i in range(6)}
    seen = []
    made = Owned(arrays, progress=seen.append)
    for name in ("3", "0", "1", "1", "5", "2"):
        assert np.array_equal(made[name], arrays[name])
    assert seen == [400 * 5000 * 8] * 6
    assert owned(made) is made
    assert list(made) == list(arrays)


def test_a_view_of_the_source_is_lent_only_where_it_is_one():
    array = DRAW.standard_normal((4, 5))
    made = Owned({"same": array, "turned": Deferred.of(array).T})
    assert np.shares_memory(made.borrowed("same"), array)
    assert not np.shares_memory(made.borrowed("turned"), array)
    assert np.array_equal(made.borrowed("turned"), array.T)


def test_what_a_plan_gives_is_what_apply_gives(tmp_path):
    net = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(700, 300), "up": torch.nn.ConvTranspose2d(300, 70, 5)})
    torch.save(net.state_dict(), tmp_path / "net.pt")
    with ms.open_checkpoint(tmp_path / "net.pt") as state:
        leaves = ms.make_plan(state, to="keras", layers=net).apply(state)
        expected = {path: np.array(leaf) for path, leaf in leaves.items()}
        made = owned(leaves)
        assert {path: made[path].tobytes() for path in made} == {p: a.tobytes() for p, a in expected.items()}


def test_a_file_that_was_cut_off_is_an_error(tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"a": torch.randn(3000, 1000)}, path)
    with ms.open_checkpoint(path) as state:
        leaves = ms.make_plan(state, to="numpy").apply(state)
        with path.open("r+b") as file:
            file.truncate(5000)
        with pytest.raises(CheckpointError):
            owned(leaves)["a"]
        with pytest.raises(CheckpointError):
            leaves.check_sources()


def handed_over(made, paths):
    """Return a copy of each leaf, turned, and its order; what was handed over without one is kept."""

    def take(path, array, order):
        assert array.flags.c_contiguous
        return (np.array(array.transpose(order)) if order else array), order

    return dict(made.hand_over(paths, take))


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_a_leaf_whose_axes_were_turned_is_handed_over_as_it_lies(axes):
    array = DRAW.standard_normal((40, 60, 700))
    made, order = handed_over(Owned({"a": Deferred.of(array).transpose(axes)}), "a")["a"]
    assert bool(order) == (axes != (0, 1, 2))
    assert np.array_equal(made, array.transpose(axes))
    assert not np.shares_memory(made, array)


def test_what_is_no_turned_source_is_handed_over_as_it_is():
    array = DRAW.standard_normal((400, 600))
    cases = {
        "cut": (Deferred.of(array).T[:90], array.T[:90]),
        "cast": (Deferred.of(array).T.astype("float32"), array.T.astype("float32")),
        "flipped": (np.flip(Deferred.of(array).T, 0), np.flip(array.T, 0)),
        "joined": (np.concatenate([Deferred.of(array).T] * 2), np.concatenate([array.T] * 2)),
    }
    found = handed_over(Owned({name: leaf for name, (leaf, _) in cases.items()}), cases)
    for name, (_, expected) in cases.items():
        assert found[name][1] == ()
        assert np.array_equal(found[name][0], expected)


@pytest.mark.parametrize("rows", [3, 300])
def test_leaves_that_are_handed_over_share_their_room_only_while_they_are(rows):
    arrays = {str(i): DRAW.standard_normal((rows, 900 + i)) for i in range(12)}
    leaves = {name: array if name in "159" else Deferred.of(array).T for name, array in arrays.items()}
    seen = []
    found = handed_over(Owned(leaves, seen.append), arrays)
    for name, array in arrays.items():
        assert np.array_equal(found[name][0], array if name in "159" else array.T)
    assert sorted(seen) == sorted(array.nbytes for array in arrays.values())


def test_a_hand_over_that_fails_ends_it():
    arrays = {str(i): DRAW.standard_normal((300, 900)) for i in range(40)}
    taken = []

    def take(path, array, order):
        taken.append(path)
        if path == "3":
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        list(Owned(arrays).hand_over(arrays, take))
    assert len(taken) < len(arrays)


def test_a_stretch_says_where_a_leaf_lies(tmp_path):
    array = np.arange(24, dtype="f4").reshape(2, 3, 4)
    torch.save({"a": torch.from_numpy(array)}, tmp_path / "a.pt")
    with ms.open_checkpoint(tmp_path / "a.pt") as checkpoint:
        leaf = checkpoint["a"].defer()
        made = Owned({"whole": leaf, "turned": leaf.transpose(2, 0, 1), "cast": leaf.astype("f8")})
        for name, shape, order in (("whole", (2, 3, 4), ()), ("turned", (2, 3, 4), (2, 0, 1))):
            found = made.stretch(name)
            assert (found.shape, found.order) == (shape, order)
            raw = (tmp_path / "a.pt").read_bytes()[found.offset : found.offset + array.nbytes]
            assert raw == array.tobytes()
        assert made.stretch("cast") is None
    assert Owned({"memory": array}).stretch("memory") is None
