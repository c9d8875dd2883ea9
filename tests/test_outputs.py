"""Each format through ``ms.convert``, read back by the library that it is for."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner

import ml_switcheroo as ms
from ml_switcheroo.cli.convert import convert
from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats import write_safetensors
from ml_switcheroo.outputs import choose_output
from ml_switcheroo.tensors import spec_of

RNG = np.random.default_rng(0)
STATE = {
    "conv.weight": RNG.standard_normal((4, 3, 2, 2), np.float32),
    "conv.bias": RNG.standard_normal(4, np.float32),
    "norm.weight": RNG.random(4, np.float32),
    "norm.bias": RNG.random(4, np.float32),
    "norm.running_mean": RNG.random(4, np.float32),
    "norm.running_var": RNG.random(4, np.float32),
    "fc.weight": RNG.standard_normal((2, 4), np.float32),
    "fc.bias": RNG.standard_normal(2, np.float32),
}


def source_of(folder: Path, state: dict[str, Any]) -> Path:
    specs = {name: spec_of(array) for name, array in state.items()}
    write_safetensors(folder / "source.safetensors", specs, state.items())
    return folder / "source.safetensors"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return source_of(tmp_path, STATE)


def keras_model() -> Any:
    keras = pytest.importorskip("keras")

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv = keras.layers.Conv2D(4, 2)
            self.norm = keras.layers.BatchNormalization(epsilon=1e-5)
            self.drop = keras.layers.Dropout(0.1)
            self.fc = keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            x = self.drop(self.norm(self.conv(x)))
            return self.fc(keras.ops.mean(x, axis=(1, 2)))

    model = Net()
    model(np.zeros((1, 5, 5, 3), np.float32))
    return model


def test_keras_loads_its_weights(source: Path) -> None:
    out = source.with_name("out.weights.h5")
    ms.convert(source, out, to="keras", like=keras_model())
    model = keras_model()
    model.load_weights(out)
    np.testing.assert_array_equal(np.asarray(model.conv.kernel), STATE["conv.weight"].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(np.asarray(model.norm.moving_variance), STATE["norm.running_var"])
    np.testing.assert_array_equal(np.asarray(model.fc.kernel), STATE["fc.weight"].T)
    other = keras_model()
    report = ms.load_into(other, out)
    assert report == ([], [])
    np.testing.assert_array_equal(np.asarray(other.fc.kernel), STATE["fc.weight"].T)


def test_variables_that_stay_are_those_of_the_model(tmp_path: Path) -> None:
    model, said = keras_model(), []
    source = source_of(tmp_path, {name: value for name, value in STATE.items() if not name.startswith("fc")})
    out = tmp_path / "out.weights.h5"
    ms.convert(source, out, to="keras", like=model, allow_missing=True, say=said.append)
    assert said == [
        "2 variables keep the values of the model, because a layer's are read together: fc/bias, fc/kernel"
    ]
    other = keras_model()
    other.load_weights(out)
    np.testing.assert_array_equal(np.asarray(other.fc.kernel), np.asarray(model.fc.kernel))


def test_keras_needs_its_live_model(source: Path) -> None:
    with pytest.raises(UsageError, match=r"laid out by .* the live Keras model"):
        ms.convert(source, source.with_name("a.weights.h5"), to="keras", layers={"fc": "linear"}, rules=KINDS)
    assert [path.name for path in source.parent.iterdir()] == ["source.safetensors"]


KINDS = [ms.Kind("conv", "conv"), ms.Kind("norm", "batch_norm"), ms.Kind("fc", "linear")]


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_mlx_loads_its_weights(tmp_path: Path, suffix: str, dtype: str) -> None:
    mx, nn = pytest.importorskip("mlx.core"), pytest.importorskip("mlx.nn")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 2), nn.BatchNorm(4), nn.Linear(4, 2)

    kind = getattr(ml_dtypes, dtype, None) or np.dtype(dtype)
    state = {name: value.astype(kind) for name, value in STATE.items()}
    source, out = source_of(tmp_path, state), tmp_path / f"out.{suffix}"
    ms.convert(source, out, to="mlx", rules=KINDS)
    model = Net()
    model.load_weights(str(out), strict=True)
    assert model.conv.weight.dtype == getattr(mx, dtype)
    kernel = np.array(model.conv.weight.astype(mx.float32))
    np.testing.assert_array_equal(kernel, state["conv.weight"].transpose(0, 2, 3, 1).astype(np.float32))
    assert set(mx.load(str(out))) == set(state)


def test_what_mlx_cannot_load_is_said(tmp_path: Path) -> None:
    mx = pytest.importorskip("mlx.core")
    source, said = source_of(tmp_path, {"fc.weight": np.ones((2, 2))}), []
    out = tmp_path / "out.safetensors"
    ms.convert(source, out, to="mlx", layers={"fc": "linear"}, say=said.append)
    assert [line.partition(" (")[0] for line in said] == ["mlx.core.load reads no float64 from safetensors"]
    with pytest.raises(RuntimeError, match="F64"):
        mx.load(str(out))


def test_a_name_without_a_suffix_is_a_folder_of_orbax(source: Path) -> None:
    for target in ("linen", "jax"):
        out = source.with_name(target)
        runner = CliRunner()
        arguments = [str(source), str(out), "--to", target, "--rules", str(rules_file(source))]
        result = runner.invoke(convert, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        with ms.open_checkpoint(out) as checkpoint:
            assert checkpoint.format == "orbax"
            assert checkpoint.metadata["ml_switcheroo.target"] == target
            kernel = "params/fc/kernel" if target == "linen" else "fc.kernel"
            np.testing.assert_array_equal(checkpoint[kernel].read(), STATE["fc.weight"].T)
        assert runner.invoke(convert, [*arguments, "--check"]).exit_code == 0


def rules_file(source: Path) -> Path:
    path = source.with_name("rules.toml")
    table = {"conv": "conv", "norm": "batch_norm", "fc": "linear"}
    lines = [f'[[kind]]\npattern = "{pattern}"\nkind = "{kind}"' for pattern, kind in table.items()]
    path.write_text("\n".join(lines))
    return path


def test_the_format_can_be_said(source: Path) -> None:
    out = source.with_name("out.bin")
    ms.convert(source, out, to="numpy", format="npz")
    assert set(np.load(out)) == set(STATE)


@pytest.mark.parametrize(
    ("out", "options", "problem"),
    [
        ("a.bin", {}, "the suffix is none of .safetensors, .npz, .pt, .weights.h5"),
        ("a", {"target": "keras"}, "say which format"),
        ("a", {"name": "zip"}, "say which format"),
        ("a.weights.h5", {}, "of the target keras, not of nnx"),
        ("a.h5", {"name": "keras", "target": "keras"}, r"end in \.weights\.h5"),
        ("a", {"name": "orbax", "target": "mlx"}, "only trees of nnx, linen, jax"),
        ("a.npz", {"resume": True}, "can be resumed"),
        ("a", {"resume": True}, "can be resumed"),
        ("a.npz", {"max_shard_bytes": 9}, "only safetensors are written in several files"),
        ("a.safetensors", {"max_shard_bytes": 9}, "give its name"),
    ],
)
def test_what_does_not_go_together(out: str, options: dict[str, Any], problem: str) -> None:
    options = {"name": None, "target": "nnx", **options}
    with pytest.raises(UsageError, match=problem):
        choose_output(Path(out), options.pop("name"), options.pop("target"), **options)


def test_a_plan_to_another_target_is_refused(source: Path) -> None:
    plan = ms.make_plan(source, to="numpy")
    with pytest.raises(UsageError, match="one to numpy, not to mlx"):
        ms.convert(source, source.with_name("a.npz"), to="mlx", plan=plan)
