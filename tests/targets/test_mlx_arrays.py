"""What MLX reads by itself, what it is handed, and in which dtype."""

import ml_dtypes
import mlx.core as mx
import numpy as np
import pytest
from mlx import nn
from safetensors.numpy import save_file

import ml_switcheroo as ms
from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.owned import Owned
from ml_switcheroo.targets import mlx_arrays
from ml_switcheroo.targets.mlx_arrays import Reader, from_mlx, to_mlx

DRAW = np.random.default_rng(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, (2, 5))
        self.fc = nn.Linear(4, 6)


def written(folder, dtype, **more):
    state = {
        "conv.weight": DRAW.standard_normal((4, 3, 2, 5)),
        "conv.bias": DRAW.standard_normal(4),
        "fc.weight": DRAW.standard_normal((6, 4)),
        "fc.bias": DRAW.standard_normal(6),
    }
    state = {name: value.astype(dtype) for name, value in state.items()}
    save_file(state | more, folder / "model.safetensors", metadata={"format": "pt"})
    return state, folder / "model.safetensors"


def leaves_of(state):
    return {**state, "conv.weight": state["conv.weight"].transpose(0, 2, 3, 1)}


def assert_holds(model, state, dtype):
    for path, expected in leaves_of(state).items():
        layer, name = path.split(".")
        leaf = model[layer][name]
        assert leaf.dtype == dtype
        assert np.array_equal(from_mlx(leaf), expected.astype(from_mlx(leaf).dtype)), path


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_model_of_no_chosen_dtype_takes_that_of_the_file(tmp_path, dtype):
    state, path = written(tmp_path, getattr(ml_dtypes, dtype, dtype))
    model = Net()
    said = ms.load_into(model, path).notes
    assert_holds(model, state, getattr(mx, dtype))
    assert any(f"4 leaves are {dtype}, as in the checkpoint" in note for note in said) == (dtype != "float32")


def test_a_dtype_that_was_set_is_kept(tmp_path):
    state, path = written(tmp_path, "float32")
    model = Net()
    model.set_dtype(mx.float16)
    ms.load_into(model, path)
    assert_holds(model, state, mx.float16)


def test_double_numbers_and_a_state_dict_get_the_dtype_of_the_leaf(tmp_path):
    state, path = written(tmp_path, "float64")
    model = Net()
    ms.load_into(model, path)
    assert_holds(model, state, mx.float32)
    ms.load_into(model, {name: value.astype("f2") for name, value in state.items()})
    assert model.fc.weight.dtype == mx.float16


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_a_converted_file_is_loaded_alike(tmp_path, name):
    state, path = written(tmp_path, getattr(ml_dtypes, name, name))
    ms.convert(path, tmp_path / "out.safetensors", to="mlx", like=Net())
    model = Net()
    ms.load_into(model, tmp_path / "out.safetensors")
    assert_holds(model, state, getattr(mx, name))


def test_a_dtype_that_mlx_lacks_beside_the_others_is_no_obstacle(tmp_path):
    scale = np.ones(3, ml_dtypes.float8_e4m3fn)
    state, path = written(tmp_path, "float32", scale=scale)
    model = Net()
    ms.load_into(model, path, rules=[ms.Drop("scale")])
    assert_holds(model, state, mx.float32)


def test_a_file_that_was_put_in_place_of_the_open_one_is_not_read(tmp_path):
    state, path = written(tmp_path, "float32")
    with ms.open_checkpoint(path) as checkpoint:
        (tmp_path / "new").mkdir()
        _, new = written(tmp_path / "new", "float32")
        new.replace(path)
        model = Net()
        ms.load_into(model, checkpoint)
    assert_holds(model, state, mx.float32)


def test_a_file_that_was_written_to_is_an_error(tmp_path):
    _, path = written(tmp_path, "float32")
    model = Net()
    before = from_mlx(model.fc.weight)
    with ms.open_checkpoint(path) as checkpoint:
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(CheckpointError, match="changed while it was read"):
            ms.load_into(model, checkpoint)
    assert np.array_equal(from_mlx(model.fc.weight), before)


def test_what_lies_in_a_file_as_it_is_is_read_by_mlx_and_nothing_else_is(tmp_path, monkeypatch):
    state, path = written(tmp_path, "float32")
    with ms.open_checkpoint(path) as checkpoint:
        whole = checkpoint["fc.weight"].defer()
        seen = []
        made = Owned({"whole": whole, "part": whole[1:5], "flipped": np.flip(whole, 0)}, seen.append)
        monkeypatch.setattr(Reader, "_copied", lambda _, path, __: mx.array([len(path)]))
        (ready,) = Reader(made).read(dict.fromkeys(made, mx.zeros(1)))
        assert np.array_equal(from_mlx(ready["whole"]), state["fc.weight"])
        assert [ready[name].tolist() for name in ("part", "flipped")] == [[4], [7]]
        assert seen == [6 * 4 * 4]


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.int32, np.bool_])
def test_arrays_go_to_mlx_and_back_bit_for_bit(dtype):
    array = (DRAW.standard_normal((3, 5)) * 3).astype(dtype)
    assert from_mlx(to_mlx(array.T)).tobytes() == np.ascontiguousarray(array.T).tobytes()


def test_leaves_come_some_at_a_time_and_old_ones_are_let_go_of(tmp_path, monkeypatch):
    monkeypatch.setattr(mlx_arrays, "_AT_ONCE", 100)
    state, path = written(tmp_path, "float32")
    old = {name: mx.zeros(1) for name in state}
    with ms.open_checkpoint(path) as checkpoint:
        groups = Reader(Owned({name: checkpoint[name].defer() for name in state})).read(old)
        first = next(groups)
        assert [*first] == ["conv.weight"]
        assert [*old] == ["conv.bias", "fc.weight", "fc.bias"]
        rest = [*groups]
    assert [[*group] for group in rest] == [["conv.bias", "fc.weight"], ["fc.bias"]]
    assert not old
    for group in (first, *rest):
        for name, array in group.items():
            assert np.array_equal(from_mlx(array), state[name])
