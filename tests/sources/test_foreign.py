"""A checkpoint of another layout under PyTorch's names is not permuted once more."""

import mlx.nn as mlx_nn
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import ml_switcheroo as ms
from ml_switcheroo.errors import UsageError
from ml_switcheroo.rules import Kind

NET = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 8, (5, 5)))
STATE = {name: tensor.detach().numpy() for name, tensor in NET.state_dict().items()}


def laid_out(order):
    return {name: array.transpose(order) if array.ndim == 4 else array for name, array in STATE.items()}


@pytest.mark.parametrize(("order", "word"), [((0, 2, 3, 1), "MLX"), ((2, 3, 1, 0), "Flax and Keras")])
@pytest.mark.parametrize("to", ["nnx", "numpy", "mlx"])
def test_kernels_of_another_layout_are_refused(order, word, to):
    with pytest.raises(UsageError, match=f"as {word} keeps it"):
        ms.make_plan(laid_out(order), to=to)
    with pytest.raises(UsageError, match="does not have the layout of the PyTorch module"):
        ms.make_plan(laid_out(order), to=to, layers=NET)


def test_kernels_of_pytorch_are_not():
    ms.make_plan(STATE, to="nnx").check()
    ms.make_plan(STATE, to="nnx", layers=NET).check()
    # One kernel may look like another framework's: 5 x 7 over 5 channels, in two of MLX's layouts.
    more = {"4.weight": np.zeros((8, 5, 5, 7), "float32"), "4.bias": np.zeros(8, "float32")}
    ms.make_plan(STATE | more, to="nnx").check()
    up = torch.nn.ConvTranspose2d(4, 6, 3).state_dict()
    ms.make_plan(up, to="nnx", layers={"": "conv_transpose"}).check()


def test_a_rule_says_that_it_is_pytorch_after_all():
    state = {"c.weight": np.zeros((8, 5, 5, 7), "float32")}
    with pytest.raises(UsageError, match='say so: Kind\\("c", "conv"\\)'):
        ms.make_plan(state, to="nnx")
    ms.make_plan(state, to="nnx", rules=[Kind("c", "conv")]).check()


class Port(mlx_nn.Module):
    def __init__(self):
        super().__init__()
        self.c = mlx_nn.Conv2d(3, 8, 3)


def test_a_file_that_says_it_is_of_mlx_is_loaded_as_it_is_or_refused(tmp_path):
    state = {"c.weight": np.random.default_rng(0).random((8, 3, 3, 3), "float32")}
    state["c.bias"] = np.zeros(8, "float32")
    file = tmp_path / "model.safetensors"
    save_file(state, file, metadata={"format": "mlx"})
    port = Port()
    ms.load_into(port, file)
    np.testing.assert_array_equal(np.array(port.c.weight), state["c.weight"])
    with pytest.raises(UsageError, match="format: mlx"):
        ms.make_plan(file, to="nnx")
    save_file(state, file, metadata={"format": "pt"})
    ms.make_plan(file, to="nnx").check()
