import ml_dtypes
import mlx.core as mx
import numpy as np
import pytest
import torch
from mlx import nn

from ml_switcheroo.errors import PlanError
from ml_switcheroo.targets import TARGETS, owner_of
from targets.moved import (
    Net,
    assert_close,
    image,
    moved,
    output_of,
    plan_for,
    randomised,
)

LIVE = TARGETS["mlx"].live


class Port(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.relu, nn.Linear(4, 2))
        self.blocks = [nn.Linear(2, 2)]
        self.scale = mx.ones((2,))

    def __call__(self, x):
        return self.blocks[0](self.net(x)) * self.scale


def test_a_model_computes_what_torch_computes_and_keeps_its_objects():
    module, model = randomised(Net()), Port()
    first = model.net.layers[0]
    assert moved(module, model, "mlx") is model
    assert model.net.layers[0] is first
    x = image(5, 3)
    assert_close(model(mx.array(x)), output_of(module, x))


def test_the_paths_without_a_model_are_those_of_the_model():
    assert set(plan_for(Net(), "mlx").outputs) == set(LIVE.template(Port()).specs)


def test_what_is_read_is_what_was_written():
    module = randomised(Net())
    model = moved(module, Port(), "mlx")
    back = (~plan_for(module, "mlx", model)).apply(LIVE.read(model))
    for name, tensor in module.state_dict().items():
        assert back[name].tobytes() == tensor.numpy().tobytes()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_dtype_of_the_model_is_kept_and_its_bits_are(dtype):
    model = nn.Linear(2, 2)
    model.set_dtype(getattr(mx, dtype))
    numpy = np.dtype(getattr(ml_dtypes, dtype, dtype))
    bits = np.array([0x7F81, 0x0001, 0x8000, 0x3F80], "u2").view(numpy).reshape(2, 2)
    LIVE.write(model, {"weight": bits})
    assert str(model.weight.dtype) == f"mlx.core.{dtype}"
    assert LIVE.read(model)["weight"].dtype == numpy
    assert LIVE.read(model)["weight"].tobytes() == bits.tobytes()
    LIVE.write(model, {"bias": np.array([1.5, 2.0], "f4")})
    assert LIVE.read(model)["bias"].astype("f4").tolist() == [1.5, 2.0]


def test_the_types_of_the_model_are_its_kinds():
    template = LIVE.template(Port())
    assert template.kinds == {"net.layers.0": "linear", "net.layers.2": "linear", "blocks.0": "linear"}
    assert template.containers == {"net": "sequential"}


def test_a_leaf_of_another_shape_is_named():
    with pytest.raises(PlanError, match=r'axis "in" is 3, expected 5'):
        moved(torch.nn.Linear(3, 2), nn.Linear(5, 2), "mlx")


def test_it_owns_mlx_modules_only():
    assert owner_of(nn.Linear(2, 2)) is TARGETS["mlx"]
    assert owner_of(torch.nn.Linear(2, 2)) is None
    assert owner_of({"weight": mx.ones(2)}) is None
