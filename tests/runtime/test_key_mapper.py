"""From a PyTorch state dict to arrays, and into live Flax NNX models."""

import ast
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from ml_switcheroo.codemod.bundle import PUBLIC, source_of
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.plugins.checkpoint_keys import KEY_MAPPER_SOURCE
from ml_switcheroo.rules import Kind
from ml_switcheroo.runtime import KeyMapper

nn = torch.nn


class Torch(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4, bias=False)])
        self.tok = nn.Embedding(5, 4)
        self.norm = nn.LayerNorm(4)
        self.pos = nn.Parameter(torch.randn(3, 4))
        self.register_buffer("mask", torch.tensor([True, False]))

    def forward(self, x, i):
        x = self.features(x).mean((2, 3)) + self.tok(i)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x) + self.pos[1]


class Port(nnx.Module):
    def __init__(self, dtype=jnp.float32):
        rngs = nnx.Rngs(0)
        self.features = nnx.Sequential(
            nnx.Conv(2, 4, (3, 3), padding=1, rngs=rngs), nnx.BatchNorm(4, epsilon=1e-5, rngs=rngs), nnx.relu
        )
        self.layers = nnx.List(
            [nnx.Linear(4, 4, param_dtype=dtype, rngs=rngs), nnx.Linear(4, 4, use_bias=False, rngs=rngs)]
        )
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.tok = nnx.Embed(5, 4, rngs=rngs)
        self.norm = nnx.LayerNorm(4, epsilon=1e-5, rngs=rngs)
        self.pos = nnx.Param(jnp.zeros((3, 4)))
        self.mask = nnx.Variable(jnp.zeros(2, bool))

    def __call__(self, x, i):
        x = self.features(x).mean((1, 2)) + self.tok(i)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x) + self.pos[1]


@pytest.fixture
def state():
    torch.manual_seed(0)
    net = Torch()
    net(torch.randn(2, 2, 5, 5), torch.tensor([0, 1]))
    return net.state_dict()


def values(model):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(model, nnx.Not(nnx.RngState)))]


def test_a_live_model_gives_the_outputs_of_the_pytorch_model(state):
    net, port = Torch().eval(), Port()
    net.load_state_dict(state)
    report = KeyMapper.load_into(port, state)
    assert tuple(report) == ([], [])
    x, i = torch.randn(3, 2, 5, 5), torch.tensor([1, 4, 2])
    with torch.no_grad():
        expected = net(x, i).numpy()
    port.eval()
    found = port(jnp.asarray(x.permute(0, 2, 3, 1).numpy()), jnp.asarray(i.numpy()))
    assert np.allclose(found, expected, atol=1e-5)


def test_variables_keep_their_identity_and_dtype(state):
    port = Port(dtype=jnp.bfloat16)
    kernel = port.layers[0].kernel
    KeyMapper.load_into(port, state)
    assert port.layers[0].kernel is kernel
    assert kernel[...].dtype == jnp.bfloat16
    assert port.mask[...].dtype == bool
    assert port.mask[...].tolist() == [True, False]


def test_sharding_is_kept(state):
    port = Port()
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("x",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    port.pos.set_value(jax.device_put(port.pos[...], sharding))
    KeyMapper.load_into(port, state)
    assert port.pos[...].sharding == sharding


def test_a_strict_mismatch_lists_everything_and_writes_nothing(state):
    port = Port()
    before = values(port)
    state["extra.weight"] = torch.zeros(3)
    state["tok.weight"] = torch.zeros(7, 4)
    del state["pos"], state["features.1.running_var"]
    with pytest.raises(RuntimeError) as error:
        KeyMapper.load_into(port, state)
    text = str(error.value)
    assert "size mismatch for tok.weight: (7, 4)" in text
    assert "missing: features.1.running_var, pos" in text
    assert "unexpected: extra.weight" in text
    assert all(np.array_equal(a, b) for a, b in zip(before, values(port), strict=True))


def test_without_strict_the_rest_is_loaded_and_reported(state):
    port = Port()
    state["extra.weight"] = torch.zeros(3)
    del state["pos"], state["layers.1.weight"]
    missing, unexpected = report = KeyMapper.load_into(port, state, strict=False)
    assert sorted(missing) == report.missing_keys == ["layers.1.weight", "pos"]
    assert unexpected == report.unexpected_keys == ["extra.weight"]
    assert "missing_keys=['layers.1.weight', 'pos']" in repr(report)
    assert np.array_equal(port.tok.embedding[...], state["tok.weight"].numpy())


def test_a_shape_that_differs_is_an_error_even_if_not_strict(state):
    state["pos"] = torch.zeros(4, 3)
    with pytest.raises(RuntimeError, match="size mismatch for pos"):
        KeyMapper.load_into(Port(), state, strict=False)


def test_names_that_do_not_line_up_are_never_guessed(state):
    state["positions"] = state.pop("pos")
    report = KeyMapper.load_into(Port(), state, strict=False)
    assert tuple(report) == (["pos"], ["positions"])


def test_a_tied_tensor_under_a_second_name_is_not_unexpected(state):
    state["head.weight"] = state["tok.weight"]
    assert tuple(KeyMapper.load_into(Port(), state)) == ([], [])
    state["head.weight"] = state["tok.weight"].clone()
    with pytest.raises(RuntimeError, match=r"unexpected: head\.weight"):
        KeyMapper.load_into(Port(), state)


def test_the_way_back_gives_the_same_tensors(state):
    port = Port()
    KeyMapper.load_into(port, state)
    back = KeyMapper.to_torch(port)
    kept = {name: value for name, value in state.items() if "num_batches" not in name}
    assert back.keys() == kept.keys()
    assert all(torch.equal(back[name], kept[name]) for name in kept)
    assert Torch().load_state_dict(back).unexpected_keys == []
    net = Torch()
    assert KeyMapper.to_torch(net).keys() == net.state_dict().keys()


def test_the_way_back_gives_arrays_where_torch_is_not_imported(state, monkeypatch):
    port = Port()
    KeyMapper.load_into(port, state)
    arrays = {name: value.numpy() for name, value in state.items()}
    monkeypatch.delitem(sys.modules, "torch")
    back = KeyMapper.to_torch(port)
    assert all(isinstance(value, np.ndarray) for value in back.values())
    assert all(np.array_equal(value, arrays[name]) for name, value in back.items())


def test_the_way_back_guesses_no_layer():
    class Own(nnx.Module):
        def __init__(self):
            self.gate = nnx.Module()
            self.gate.kernel = nnx.Param(jnp.arange(6.0).reshape(2, 3))

    with pytest.raises(RuntimeError, match=r"gate\.kernel: nothing shows what kernel is to PyTorch"):
        KeyMapper.to_torch(Own())
    back = KeyMapper.to_torch(Own(), kinds={"gate": "linear"})
    assert torch.equal(back["gate.weight"], torch.arange(6.0).reshape(2, 3).T)
    back = KeyMapper.to_torch(Own(), kinds={"gate.kernel": "parameter"})
    assert torch.equal(back["gate.kernel"], torch.arange(6.0).reshape(2, 3))


def test_a_model_without_memory_takes_the_tensors_themselves(state):
    with torch.device("meta"):
        net = Torch()
    KeyMapper.load_into(net, state)
    assert not net.pos.is_meta
    assert torch.equal(net.pos, state["pos"])


class Flat(nnx.Module):
    def __init__(self):
        self.conv = nnx.Conv(1, 4, (3, 3), padding=1, rngs=nnx.Rngs(0))
        self.fc = nnx.Linear(36, 5, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.fc(self.conv(x).reshape(len(x), -1))


def test_a_flatten_is_asked_for_and_then_honoured():
    net = nn.ModuleDict({"conv": nn.Conv2d(1, 4, 3, padding=1), "fc": nn.Linear(36, 5)})
    state, port = net.state_dict(), Flat()
    before = np.asarray(port.fc.kernel.get_value())
    for strict in (True, False):  # which is about names, and this is about values
        with pytest.raises(RuntimeError, match=r'"fc": "linear".*"linear\(c=4\)".*Flatten'):
            KeyMapper.load_into(port, state, strict=strict)
    assert np.array_equal(np.asarray(port.fc.kernel.get_value()), before)
    KeyMapper.load_into(port, state, kinds={"fc": "linear(c=4)"})
    x = torch.randn(2, 1, 3, 3)
    with torch.no_grad():
        expected = net["fc"](net["conv"](x).flatten(1)).numpy()
    with pytest.raises(RuntimeError, match=r'"fc": "linear".*"linear\(c=4\)"'):
        KeyMapper.to_torch(port)
    back = KeyMapper.to_torch(port, kinds={"fc": "linear(c=4)"})
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert np.allclose(port(jnp.asarray(x.permute(0, 2, 3, 1).numpy())), expected, atol=1e-5)


class Own(nnx.Module):
    def __init__(self, rows, columns):
        self.gate = nnx.Module()
        self.gate.weight = nnx.Param(jnp.zeros((rows, columns)))


def test_a_class_of_the_ports_own_may_keep_pytorchs_names():
    port, value = Own(3, 4), np.arange(12.0, dtype=np.float32).reshape(3, 4)
    KeyMapper.load_into(port, {"gate.weight": value})
    assert np.array_equal(port.gate.weight[...], value)


def test_an_object_that_is_no_converted_model_loads_by_itself(state):
    net = Torch()
    assert KeyMapper.load_into(net, state).missing_keys == []
    assert torch.equal(net.pos, state["pos"])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    other = {**optimizer.state_dict()}
    other["param_groups"] = [{**other["param_groups"][0], "lr": 0.5}]
    KeyMapper.load_into(optimizer, other)
    assert optimizer.param_groups[0]["lr"] == 0.5
    del state["pos"]
    assert KeyMapper.load_into(net, state, strict=False).missing_keys == ["pos"]
    with pytest.raises(TypeError, match="cannot load into dict"):
        KeyMapper.load_into({}, state)


TABLE = {
    "linear": nn.Linear(3, 4),
    "linear_in_out": {"weight": torch.randn(3, 4), "bias": torch.randn(4)},
    "conv": nn.Conv2d(4, 6, (2, 3), groups=2),
    "conv 1d": nn.Conv1d(4, 6, 2, bias=False),
    "conv 3d": nn.Conv3d(1, 2, (2, 3, 4)),
    "conv_transpose": nn.ConvTranspose2d(3, 5, (2, 3)),
    "batch_norm": nn.BatchNorm2d(3),
    "layer_norm": nn.LayerNorm((3, 4)),
    "group_norm": nn.GroupNorm(1, 3),
    "rms_norm": nn.RMSNorm(3),
    "embedding": nn.Embedding(4, 3),
    "prelu": nn.PReLU(),
}


@pytest.mark.parametrize("name", TABLE)
def test_from_torch_agrees_with_the_plan_for_the_flat_target(name):
    layer, kind = TABLE[name], name.split()[0]
    tensors = layer if isinstance(layer, dict) else layer.state_dict()
    state = {f"net.0.{slot}": value for slot, value in tensors.items()}
    # A kind without an argument says to KeyMapper that no Flatten comes before the layer.
    leaves = make_plan(state, to="jax", rules=[Kind("net.0", kind, flatten=1)]).apply(state)
    found = KeyMapper.from_torch(state, strict=True, kinds={"net.0": kind})
    assert found.keys() == leaves.keys()
    for key, value in found.items():
        assert value.dtype == leaves[key].dtype
        assert np.array_equal(value, leaves[key])
    namespace = {}
    exec(KEY_MAPPER_SOURCE, namespace)
    pasted = namespace["KeyMapper"].from_torch(state, strict=True, kinds={"net.0": kind})
    assert pasted.keys() == found.keys()
    assert all(np.array_equal(pasted[key], found[key]) for key in found)


@pytest.mark.parametrize("to", ["nnx", "mlx", "keras", "equinox", "linen", "haiku"])
def test_what_is_pasted_imports_numpy_and_inside_functions_what_it_loads_into(to):
    tree = ast.parse(source_of(to, PUBLIC))
    top = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert set(top) <= {"import math", "import re", "import numpy as np"}
    inner = {
        (getattr(node, "module", None) or node.names[0].name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    frameworks = {"nnx": {"flax", "jax"}, "mlx": {"mlx"}, "keras": {"keras"}}.get(to, {"equinox", "jax"})
    base = {"re", "math", "numpy", "flax", "jax", "ml_dtypes", "warnings", "sys", "ml_switcheroo"}
    assert inner <= base | frameworks
