import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.errors import LoadError, PlanError, UsageError
from ml_switcheroo.targets.nnx import TARGET

STATE = {
    "fc.weight": np.arange(6, dtype="f4").reshape(2, 3),
    "fc.bias": np.arange(2, dtype="f4"),
    "norm.weight": np.float32([5, 6]),
    "norm.bias": np.float32([7, 8]),
}


class Net(nnx.Module):
    def __init__(self, dtype=jnp.float32, out=2):
        self.fc = nnx.Linear(3, out, param_dtype=dtype, rngs=nnx.Rngs(0))
        self.norm = nnx.LayerNorm(2, param_dtype=dtype, rngs=nnx.Rngs(0))


def leaves(model):
    return {path: array.copy() for path, array in TARGET.live.read(model).items()}


def unchanged(model, before):
    return all((array == before[path]).all() for path, array in leaves(model).items())


def test_all_leaves_are_filled():
    model = Net()
    loaded = ms.load_into(model, STATE)
    assert (loaded.missing_keys, loaded.unexpected_keys) == ([], [])
    np.testing.assert_array_equal(model.fc.kernel.get_value(), STATE["fc.weight"].T)
    np.testing.assert_array_equal(model.norm.scale.get_value(), STATE["norm.weight"])


def test_the_dtype_of_the_model_is_kept():
    model = Net(jnp.bfloat16)
    ms.load_into(model, STATE)
    assert model.fc.kernel.get_value().dtype == jnp.bfloat16
    assert leaves(model)["fc.kernel"].astype("f4").tolist() == STATE["fc.weight"].T.tolist()


def test_strict_lists_everything_in_the_words_of_both_sides_and_changes_nothing():
    model, state = Net(), {**STATE, "head.weight": np.zeros((4, 2), "f4"), "head.bias": np.zeros(4, "f4")}
    del state["norm.weight"], state["fc.bias"]
    before = leaves(model)
    with pytest.raises(LoadError) as caught:
        ms.load_into(model, state)
    text = str(caught.value)
    assert isinstance(caught.value, RuntimeError)
    assert "norm.scale float32[2]: no source" in text
    assert "in PyTorch it would be norm.weight" in text
    assert "in PyTorch it would be fc.bias" in text
    assert "head.weight float32[4,2]: the target has no leaf head.kernel" in text
    assert unchanged(model, before)


def test_not_strict_loads_the_rest_and_reports_in_torch_names():
    model, state = Net(), {**STATE, "head.bias": np.zeros(4, "f4")}
    del state["norm.weight"]
    missing, unexpected = ms.load_into(model, state, strict=False)
    assert (missing, unexpected) == (["norm.weight"], ["head.bias"])
    np.testing.assert_array_equal(model.fc.kernel.get_value(), STATE["fc.weight"].T)


def test_a_leaf_of_another_shape_is_an_error_and_nothing_is_written():
    model = Net(out=5)
    before = leaves(model)
    with pytest.raises(LoadError, match='axis "out" is 2, expected 5'):
        ms.load_into(model, STATE)
    assert unchanged(model, before)


def test_a_converted_checkpoint_is_read_as_it_is(tmp_path):
    torch_file, out = tmp_path / "torch.safetensors", tmp_path / "nnx.safetensors"
    np.savez(tmp_path / "state.npz", **STATE)
    ms.convert(tmp_path / "state.npz", out, to="nnx", rules=[ms.Kind("fc", "linear")])
    model = Net()
    assert ms.load_into(model, out) == ([], [])
    np.testing.assert_array_equal(model.fc.kernel.get_value(), STATE["fc.weight"].T)
    before = leaves(wide := Net(out=5))
    with pytest.raises(
        LoadError, match=r"fc.kernel: float32\[3,5\] in the model, float32\[3,2\] in the checkpoint"
    ):
        ms.load_into(wide, out)
    assert unchanged(wide, before)
    with pytest.raises(UsageError, match="already converted to nnx"):
        ms.convert(out, torch_file, to="linen")
    assert not torch_file.exists()


def test_a_model_of_no_target_is_an_error():
    with pytest.raises(UsageError, match="a dict is not a model of a known target"):
        ms.load_into({}, STATE)


def test_ambiguous_is_an_error_even_when_not_strict():
    class Conv(nnx.Module):
        def __init__(self):
            self.conv = nnx.Conv(1, 4, (3, 3), rngs=nnx.Rngs(0))
            self.fc = nnx.Linear(16, 2, rngs=nnx.Rngs(0))

    state = {
        "conv.weight": np.zeros((4, 1, 3, 3), "f4"),
        "conv.bias": np.zeros(4, "f4"),
        "fc.weight": np.zeros((2, 16), "f4"),
        "fc.bias": np.zeros(2, "f4"),
    }
    with pytest.raises(PlanError, match=r'Kind\("fc", "linear", flatten=4\)'):
        ms.load_into(Conv(), state, strict=False)
    assert ms.load_into(Conv(), state, rules=[ms.Kind("fc", "linear", flatten=4)]) == ([], [])


def test_progress_counts_the_bytes_of_the_leaves(capsys):
    seen = []
    ms.load_into(Net(), STATE, progress=lambda done, total: seen.append((done, total)))
    total = sum(array.nbytes for array in STATE.values())
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (total, total)
    ms.load_into(Net(), STATE, progress=True)
    assert "100%" in capsys.readouterr().err
    ms.load_into(Net(), STATE)
    assert capsys.readouterr().err == ""
