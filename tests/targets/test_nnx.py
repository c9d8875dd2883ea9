import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

import ml_switcheroo as ms
from ml_switcheroo.targets import owner_of
from ml_switcheroo.targets.nnx import TARGET
from ml_switcheroo.tensors import TensorSpec


class Block(nnx.Linear):
    """A layer of the user's own, derived from one of Flax."""


class Net(nnx.Module):
    def __init__(self, rngs):
        self.features = nnx.Sequential(
            nnx.Conv(1, 4, (3, 3), rngs=rngs), nnx.relu, nnx.BatchNorm(4, rngs=rngs)
        )
        self.blocks = nnx.List([Block(4, 5, rngs=rngs), nnx.LayerNorm(5, rngs=rngs)])
        self.tok = nnx.Embed(6, 3, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.scale = nnx.Param(jnp.ones(3, jnp.bfloat16))


@pytest.fixture
def net():
    return Net(nnx.Rngs(0))


def test_the_template_has_the_leaves_and_no_random_state(net):
    template = TARGET.live.template(net)
    assert template.specs["features.layers.0.kernel"] == TensorSpec((3, 3, 1, 4), "float32")
    assert template.specs["features.layers.2.mean"] == TensorSpec((4,), "float32")
    assert template.specs["scale"] == TensorSpec((3,), "bfloat16")
    assert not [path for path in template.specs if path.startswith("drop")]
    assert len(template.specs) == 12


def test_the_types_of_the_modules_are_their_kinds(net):
    assert TARGET.live.template(net).kinds == {
        "features.layers.0": "conv",
        "features.layers.2": "batch_norm",
        "blocks.0": "linear",
        "blocks.1": "layer_norm",
        "tok": "embedding",
    }
    assert TARGET.live.template(net).containers == {"features": "sequential"}


def test_an_abstract_model_has_a_template_too():
    abstract = nnx.eval_shape(lambda: Net(nnx.Rngs(0)))
    assert TARGET.live.template(abstract).specs == TARGET.live.template(Net(nnx.Rngs(0))).specs


def test_writing_keeps_variables_dtypes_and_sharding(net):
    mesh = jax.make_mesh((1,), ("x",))
    sharding = NamedSharding(mesh, PartitionSpec("x"))
    net.scale.set_value(jax.device_put(net.scale.get_value(), sharding))
    variable = net.scale
    assert TARGET.live.write(net, {"scale": np.float32([1, 2, 3])}) is net
    assert net.scale is variable
    assert net.scale.get_value().dtype == jnp.bfloat16
    assert net.scale.get_value().sharding == sharding
    assert TARGET.live.read(net)["scale"].astype(float).tolist() == [1, 2, 3]


def test_only_nnx_models_are_owned(net):
    assert owner_of(net) is TARGET
    assert owner_of(torch.nn.Linear(1, 1)) is None
    assert owner_of({"kernel": np.zeros(1)}) is None


def test_a_load_walks_the_graph_once(monkeypatch):
    class Net(nnx.Module):
        def __init__(self):
            self.fc = nnx.Linear(2, 3, rngs=nnx.Rngs(0))

    model, walks = Net(), []
    walk = nnx.iter_graph
    monkeypatch.setattr(nnx, "iter_graph", lambda node: walks.append(node) or walk(node))
    state = {"fc.weight": np.ones((3, 2), "f4"), "fc.bias": np.arange(3, dtype="f4")}
    assert ms.load_into(model, state) == ([], [])
    assert walks == [model]
    np.testing.assert_array_equal(model.fc.bias[...], state["fc.bias"])


def test_a_template_holds_the_variables_and_what_stands_for_bare_arrays(net):
    held = TARGET.live.template(net).held
    assert set(held) == set(TARGET.live.template(net).specs)
    normalised = nnx.WeightNorm(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    template = TARGET.live.template(normalised)
    path = next(path for path in template.held if "scales" in path)
    TARGET.live.fill(template.held, {path: np.full(template.specs[path].shape, 2.0, "f4")})
    assert set(np.unique(TARGET.live.read(normalised)[path])) == {2.0}
