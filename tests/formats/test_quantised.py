"""Quantised checkpoints: each scheme by a row, refused where it cannot be computed, never copied as codes."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch
from click.testing import CliRunner

from ml_switcheroo import convert, make_plan, open_checkpoint
from ml_switcheroo.cli import cli
from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats.quantised import SCHEMES, find_quantised
from ml_switcheroo.tensors import spec_of

RNG = np.random.default_rng(0)
HALF = np.float16


def _zeros(dtype, *shape):
    return np.zeros(shape, dtype)


LAYERS = {
    "fp8 with scales": {
        "weight": _zeros(ml_dtypes.float8_e4m3fn, 256, 128),
        "weight_scale_inv": _zeros("float32", 2, 1),
    },
    "AWQ": {
        "qweight": _zeros("int32", 64, 4),
        "qzeros": _zeros("int32", 2, 4),
        "scales": _zeros(HALF, 2, 32),
    },
    "GPTQ": {
        "qweight": _zeros("int32", 8, 32),
        "qzeros": _zeros("int32", 2, 4),
        "scales": _zeros(HALF, 2, 32),
        "g_idx": _zeros("int32", 64),
    },
    "bitsandbytes": {
        "weight": _zeros("uint8", 64, 1),
        "weight.absmax": _zeros("float32", 2),
        "weight.quant_map": _zeros("float32", 16),
        "weight.quant_state.bitsandbytes__nf4": _zeros("uint8", 80),
    },
    "HQQ": {"W_q": _zeros("uint8", 32, 32), "scale": _zeros(HALF, 32, 1), "zero": _zeros(HALF, 32, 1)},
    "compressed-tensors": {
        "weight_packed": _zeros("int32", 32, 8),
        "weight_scale": _zeros(HALF, 32, 1),
        "weight_shape": _zeros("int64", 2),
    },
    "MLX's quantisation": {
        "weight": _zeros("uint32", 32, 8),
        "scales": _zeros(HALF, 32, 1),
        "biases": _zeros(HALF, 32, 1),
    },
    "quanto": {"weight._data": _zeros("int8", 32, 8), "weight._scale": _zeros("float32", 32, 1)},
    "MXFP4": {"up_blocks": _zeros("uint8", 2, 32, 1, 16), "up_scales": _zeros("uint8", 2, 32, 1)},
}


def _state(layer, path="layers.0.fc"):
    return {"norm.weight": np.ones(4, "float32"), **{f"{path}.{slot}": one for slot, one in layer.items()}}


def test_each_scheme_has_a_layer_here() -> None:
    assert [scheme.name for scheme in SCHEMES] == list(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("to", ["nnx", "numpy", "mlx"])
def test_a_scheme_is_named_and_refused(name: str, to: str) -> None:
    with pytest.raises(UsageError, match="is quantised") as caught:
        make_plan(_state(LAYERS[name]), to=to)
    assert f"{name}: layers.0.fc" in str(caught.value)
    assert caught.value.cure


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in ("fp8 with scales", "AWQ")])
def test_what_cannot_be_computed_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    safetensors.numpy.save_file(_state(LAYERS[name]), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="1 modules cannot be dequantised") as caught:
        open_checkpoint(tmp_path / "model.safetensors", dequantise=True)
    assert "Take the checkpoint that it was made from" in str(caught.value)


def test_eight_bits_of_bitsandbytes() -> None:
    int8 = {"weight": _zeros("int8", 8, 8), "SCB": _zeros("float32", 8)}
    found = find_quantised({name: spec_of(one) for name, one in _state(int8).items()})
    assert [scheme.name for scheme in found.values()] == ["bitsandbytes"]


@pytest.mark.parametrize(
    "layer",
    [
        {"weight": _zeros("float32", 4, 4), "scales": _zeros("float32", 4, 4)},
        {"weight": _zeros("float32", 4, 4), "weight_scale": _zeros("float32", 1)},
        {"weight": _zeros("uint8", 4, 4), "scales": _zeros("float32", 4, 4)},
        {"qweight": _zeros("float32", 4, 4), "scales": _zeros("float32", 4, 32)},
        {"W_q": _zeros("float32", 4, 4), "W_k": _zeros("float32", 4, 4)},
        {"weight": _zeros("float32", 4, 4), "absmax": _zeros("float32", 4), "SCB": _zeros("float32", 4)},
        {"up_blocks": _zeros("float32", 4, 4), "up_scales": _zeros("float32", 4)},
        {"weight": _zeros(ml_dtypes.float8_e4m3fn, 4, 4)},
    ],
)
def test_an_ordinary_layer_is_not_refused(layer) -> None:
    assert not find_quantised({name: spec_of(one) for name, one in _state(layer).items()})


def test_what_somebody_says_of_the_codes_goes_before() -> None:
    from ml_switcheroo import Drop

    state = _state(LAYERS["HQQ"])
    assert "layers.0.fc.W_q" in make_plan(state, to="numpy", rules=[Drop("layers.0.*")]).dropped


@pytest.mark.parametrize("shape", [(256, 384), (200, 130), (128, 1), (1, 300)])
@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2])
def test_blocks_of_fp8(tmp_path: Path, shape, dtype) -> None:
    """Against the formula, number by number; the product of float32 is rounded once."""
    weight = RNG.normal(size=shape).astype(dtype)
    scale = RNG.uniform(0.01, 2, [-(-size // 128) for size in shape]).astype("float32")
    state = {"fc.weight": weight, "fc.weight_scale_inv": scale, "fc.bias": np.ones(shape[0], "float32")}
    torch.save(
        {
            name: torch.from_numpy(one.view("uint8")).view(
                torch.float8_e4m3fn if dtype is ml_dtypes.float8_e4m3fn else torch.float8_e5m2
            )
            if one.dtype.itemsize == 1
            else torch.from_numpy(one)
            for name, one in state.items()
        },
        tmp_path / "model.pt",
    )
    with open_checkpoint(tmp_path / "model.pt", dequantise=True) as checkpoint:
        assert list(checkpoint) == ["fc.weight", "fc.bias"]
        found = checkpoint["fc.weight"].read()
        np.testing.assert_array_equal(checkpoint["fc.weight"][:1], found[:1])
    for i, j in np.ndindex(*shape):
        assert found[i, j] == np.float32(weight[i, j]) * scale[i // 128, j // 128]


@pytest.mark.parametrize(
    "scale",
    [
        np.float32(0.5),
        np.full(1, 0.5, "float32"),
        np.arange(1, 9, dtype="float32"),
        np.arange(1, 9, dtype="float32")[:, None],
    ],
)
def test_a_scale_for_all_or_for_each_row_of_fp8(tmp_path: Path, scale) -> None:
    weight = RNG.normal(size=(8, 6)).astype(ml_dtypes.float8_e4m3fn)
    state = {
        "weight": torch.from_numpy(weight.view("uint8")).view(torch.float8_e4m3fn),
        "weight_scale": torch.tensor(scale),
        "input_scale": torch.ones(1),
    }
    torch.save(state, tmp_path / "model.pt")
    with open_checkpoint(tmp_path / "model.pt", dequantise=True) as checkpoint:
        assert list(checkpoint) == ["weight"]
        np.testing.assert_array_equal(
            checkpoint["weight"].read(), weight.astype("float32") * np.reshape(scale, (-1, 1))
        )


def test_scales_that_do_not_fit_are_an_error(tmp_path: Path) -> None:
    state = {
        "fc.weight": torch.zeros(256, 256).to(torch.float8_e4m3fn),
        "fc.weight_scale_inv": torch.ones(4, 4),
    }
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"fc: scales of \[4, 4\] for a weight of \[256, 256\]"):
        open_checkpoint(tmp_path / "model.pt", dequantise=True)


def _pack(codes: np.ndarray) -> np.ndarray:
    """Pack as AWQ's own code does: the code of neighbour ``order[i]`` goes to the bits from ``4 * i``."""
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    words = np.zeros((codes.shape[0], codes.shape[1] // 8), np.uint32)
    for column in range(words.shape[1]):
        for i in range(8):
            words[:, column] |= codes[:, column * 8 + order[i]].astype(np.uint32) << np.uint32(4 * i)
    return words.view(np.int32)


def test_awq(tmp_path: Path) -> None:
    inward, outward, groups = 24, 16, 3
    codes = RNG.integers(0, 16, (inward, outward))
    zeros = RNG.integers(0, 16, (groups, outward))
    scales = RNG.uniform(0.01, 1, (groups, outward)).astype(HALF)
    state = {
        "fc.qweight": _pack(codes),
        "fc.qzeros": _pack(zeros),
        "fc.scales": scales,
        "fc.bias": np.ones(16, HALF),
    }
    safetensors.numpy.save_file(state, tmp_path / "model.safetensors")
    with open_checkpoint(tmp_path / "model.safetensors", dequantise=True) as checkpoint:
        assert set(checkpoint) == {"fc.weight", "fc.bias"}
        found = checkpoint["fc.weight"].read()
    assert found.shape == (outward, inward)
    for o, i in np.ndindex(outward, inward):
        group = i // (inward // groups)
        assert found[o, i] == (int(codes[i, o]) - int(zeros[group, o])) * float(scales[group, o])


def test_convert_computes_the_weights_on_request(tmp_path: Path) -> None:
    weight = RNG.normal(size=(8, 6)).astype(ml_dtypes.float8_e4m3fn)
    torch.save(
        {
            "fc.weight": torch.from_numpy(weight.view("uint8")).view(torch.float8_e4m3fn),
            "fc.weight_scale": torch.tensor(0.5),
            "fc.bias": torch.ones(8),
        },
        tmp_path / "model.pt",
    )
    arguments = ["convert", str(tmp_path / "model.pt"), str(tmp_path / "out.safetensors"), "--to", "nnx"]
    refused = CliRunner().invoke(cli, arguments)
    assert isinstance(refused.exception, UsageError)
    assert not (tmp_path / "out.safetensors").exists()
    done = CliRunner().invoke(cli, [*arguments, "--dequantise", "--dtype", "bfloat16"])
    assert done.exit_code == 0, done.output
    with open_checkpoint(tmp_path / "out.safetensors") as made:
        expected = (weight.astype("float32") * np.float32(0.5)).T.astype(ml_dtypes.bfloat16)
        np.testing.assert_array_equal(made["fc.kernel"].read(), expected)
    with pytest.raises(UsageError, match="says what is read of a file"):
        convert({"fc.weight": np.ones((2, 2))}, tmp_path / "x.npz", to="nnx", dequantise=True)
    with pytest.raises(UsageError, match="nothing in it is quantised"):
        open_checkpoint(tmp_path / "out.safetensors", dequantise=True)


def test_a_scheme_that_the_configuration_names(tmp_path: Path) -> None:
    """Its tensors are those of no row; integers of two axes are its codes."""
    state = {"fc.codes": np.zeros((4, 4), "int16"), "fc.codebooks": np.zeros((4, 4), "float32")}
    safetensors.numpy.save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "aqlm"}}')
    with pytest.raises(UsageError, match=r"quantised by aqlm, as config\.json says: fc\.codes are codes"):
        make_plan(tmp_path, to="numpy")
    (tmp_path / "config.json").write_text('{"quantization_config": null}')
    make_plan(tmp_path, to="numpy").check()
    safetensors.numpy.save_file({"fc.weight": np.zeros((4, 4), "float32")}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "fp8"}}')
    make_plan(tmp_path, to="numpy").check()  # dequantised since
