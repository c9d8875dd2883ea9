"""The plan of a known model in a rewritten file: the leaves are those that the plan itself gives."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import warnings

import equinox as eqx
import jax
import numpy as np
import pytest
import torch
from flax import nnx
from mlx import core as mx
from mlx import nn as mnn

import ml_switcheroo as ms
from ml_switcheroo.codemod.block import Carried, code_of
from ml_switcheroo.codemod.bundle import Table
from ml_switcheroo.codemod.known_kinds import kinds_of
from ml_switcheroo.codemod.known_plan import plan_of
from ml_switcheroo.codemod.rewriter import rewrite
from ml_switcheroo.errors import UsageError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

nn = torch.nn


class Torch(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.blocks = nn.ModuleList(nn.Linear(36, 36, bias=False) for _ in range(3))
        self.head = nn.Sequential(nn.Linear(36, 6), nn.ReLU(), nn.Linear(6, 6))

    def forward(self, x):
        x = self.bn(self.conv(x)).flatten(1)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Nnx(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(2, 4, (3, 3), rngs=rngs)
        self.bn = nnx.BatchNorm(4, use_running_average=True, epsilon=1e-5, rngs=rngs)
        self.blocks = nnx.List([nnx.Linear(36, 36, use_bias=False, rngs=rngs) for _ in range(3)])
        layers = nnx.Linear(36, 6, rngs=rngs), jax.nn.relu, nnx.Linear(6, 6, rngs=rngs)
        self.head = nnx.Sequential(*layers)

    def __call__(self, x):
        x = self.bn(self.conv(x)).reshape(len(x), -1)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Keras(keras.Model):
    def __init__(self):
        super().__init__()
        nn = keras.layers
        self.conv = nn.Conv2D(4, 3, padding="same")
        self.bn = nn.BatchNormalization(epsilon=1e-5)
        self.blocks = [nn.Dense(36, use_bias=False) for _ in range(3)]
        self.head = keras.Sequential([nn.Dense(6), nn.ReLU(), nn.Dense(6)])
        self(np.zeros((1, 3, 3, 2), np.float32))

    def call(self, x):
        x = keras.ops.reshape(self.bn(self.conv(x), training=False), (-1, 36))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.conv = mnn.Conv2d(2, 4, 3, padding=1)
        self.bn = mnn.BatchNorm(4)
        self.blocks = [mnn.Linear(36, 36, bias=False) for _ in range(3)]
        self.head = mnn.Sequential(mnn.Linear(36, 6), mnn.ReLU(), mnn.Linear(6, 6))
        self.eval()

    def __call__(self, x):
        x = self.bn(self.conv(mx.array(x))).reshape(len(x), -1)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Eqx(eqx.Module):
    conv: eqx.nn.Conv2d
    blocks: list
    head: eqx.nn.Sequential

    def __init__(self):
        keys = iter(jax.random.split(jax.random.key(0), 6))
        self.conv = eqx.nn.Conv2d(2, 4, 3, padding=1, key=next(keys))
        self.blocks = [eqx.nn.Linear(36, 36, use_bias=False, key=next(keys)) for _ in range(3)]
        layers = [eqx.nn.Linear(36, 6, key=next(keys)), eqx.nn.Lambda(jax.nn.relu)]
        self.head = eqx.nn.Sequential([*layers, eqx.nn.Linear(6, 6, key=next(keys))])

    def __call__(self, x):
        def one(x):
            x = self.conv(x).reshape(-1)
            for block in self.blocks:
                x = block(x)
            return self.head(x)

        return jax.vmap(one)(np.moveaxis(x, -1, 1))


PORTS = {"nnx": Nnx, "keras": Keras, "mlx": Mlx, "equinox": Eqx}


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(3)
    net = Torch()
    net(torch.randn(8, 2, 3, 3))  # running statistics of its own
    return net.eval()


def loaded(net, to, state=None, **words):
    """Rewrite a load for a known plan, run it on the port, and return port and result."""
    table = plan_of(net.state_dict(), net, to)
    code = rewrite("result = model.load_state_dict(sd, strict=strict)\n", to, table=table).code
    if to == "equinox":
        code = rewrite("model = Net()\nmodel.load_state_dict(sd, strict=strict)\n", to, table=table).code
    assert "possible_kinds" not in code
    names = {"sd": net.state_dict() if state is None else state, "strict": True, "Net": PORTS[to], **words}
    names["model"] = PORTS[to]()
    exec(compile(code, "<rewritten>", "exec"), names)
    return names["model"], names.get("result")


@pytest.mark.parametrize("to", PORTS)
def test_the_port_computes_what_pytorch_does(net, to):
    if to == "equinox":  # whose batch norm is a state of its own
        net = Torch().eval()
        net.bn = nn.Identity()
    x = torch.randn(5, 2, 3, 3)
    port, report = loaded(net, to)
    assert report in (None, ([], []))
    with torch.no_grad():
        expected = net(x).numpy()
    found = np.array(port(np.moveaxis(x.numpy(), 1, -1)))
    assert np.allclose(found, expected, atol=1e-5)


def test_names_that_lack_or_have_no_place_are_said_in_pytorchs_words(net):
    state = net.state_dict()
    state["more.weight"] = state.pop("blocks.1.weight")
    with pytest.raises(RuntimeError, match=r"missing: blocks\.1\.weight\n\tunexpected: more\.weight"):
        loaded(net, "nnx", state)
    assert loaded(net, "nnx", state, strict=False)[1] == (["blocks.1.weight"], ["more.weight"])


def test_what_is_not_as_the_plan_has_it_is_refused_and_nothing_is_written(net):
    other = Torch()
    other.conv = nn.Conv2d(2, 6, 3)  # 6 channels in front of a head of 36: (6, 6) is not the plan's (4, 9)
    other.bn = nn.BatchNorm2d(6)
    port = Nnx()
    before = np.array(port.conv.kernel.get_value())
    code = code_of(Carried("nnx", ("load_into",), table=plan_of(net.state_dict(), net, "nnx")))
    names = {}
    exec(code, names)
    for strict in (True, False):
        with pytest.raises(
            RuntimeError, match=r"size mismatch for conv\.weight: \(3, 3, 2, 6\) after the move"
        ):
            names["KeyMapper"].load_into(port, other.state_dict(), strict=strict)
    assert np.array_equal(np.array(port.conv.kernel.get_value()), before)
    with pytest.raises(RuntimeError, match="no tensor of the state dict becomes a leaf"):
        names["KeyMapper"].load_into(port, {"a": torch.ones(2)}, strict=False)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.head.weight = self.tok.weight
        self.a = nn.Linear(3, 3)
        self.b = self.a


class TiedPort(nnx.Module):
    """``attend`` needs no head, and ``b`` is another name of ``a``."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.tok = nnx.Embed(5, 3, rngs=rngs)
        self.a = nnx.Linear(3, 3, rngs=rngs)
        self.b = self.a


@pytest.mark.parametrize("lacking", ["", "a.", "b.", "head."])
def test_one_name_of_a_tied_tensor_is_enough(lacking):
    net = Tied()
    table = plan_of(net.state_dict(), net, "nnx")
    names = {}
    exec(code_of(Carried("nnx", ("load_into",), table=table)), names)
    state = {
        name: value for name, value in net.state_dict().items() if not lacking or not name.startswith(lacking)
    }
    port = TiedPort()
    assert names["KeyMapper"].load_into(port, state) == ([], [])
    assert np.array_equal(np.array(port.b.kernel.get_value()), net.b.weight.detach().numpy().T)
    missing = net.load_state_dict(state, strict=False).missing_keys
    report = names["KeyMapper"].load_into(port, state, strict=False)
    assert report == ([name for name in missing if name != "head.weight"], [])


def test_a_plan_takes_one_name_of_a_tensor_that_it_stores_once():
    rows = (("tok.weight, head.weight", "tok.embedding", "tied"),)
    names = {}
    exec(code_of(Carried("jax", ("from_torch",), table=Table("Net", rows))), names)
    mapper = names["KeyMapper"]
    assert list(mapper.from_torch({"head.weight": np.ones(3)})) == ["tok.embedding"]
    with pytest.raises(ValueError, match=r"missing: tok\.weight"):
        mapper.from_torch({"head.weight": np.ones(3)}, strict=True)
    with pytest.raises(ValueError, match="as one tensor, and they differ"):
        mapper.from_torch({"head.weight": np.ones(3), "tok.weight": np.zeros(3)})


def test_a_torch_module_still_loads_itself(net):
    code = code_of(Carried("mlx", ("load_into",), table=plan_of(net.state_dict(), net, "mlx")))
    names = {}
    exec(code, names)
    other = Torch()
    names["KeyMapper"].load_into(other, net.state_dict())
    assert torch.equal(other.conv.weight, net.conv.weight)


LAYERS = {
    "lstm": nn.LSTM(3, 4, num_layers=2),
    "gru": nn.GRU(3, 4),
    "attention": nn.MultiheadAttention(6, 2),
    "transposed": nn.ConvTranspose2d(4, 6, 3, groups=2),
    "weight norm": nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 3, 2)),
    "embedding": nn.Embedding(5, 3),
    "norms": nn.ModuleDict(
        {"a": nn.GroupNorm(1, 4), "b": nn.RMSNorm(4), "c": nn.InstanceNorm2d(4, affine=True)}
    ),
}


# What the target's own layers do not do.
NONE = {("gru", "haiku"), *(("transposed", to) for to in ("nnx", "linen", "haiku", "keras", "mlx"))}


@pytest.mark.parametrize("to", ["jax", "nnx", "linen", "haiku", "keras", "mlx", "equinox"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_table_gives_the_leaves_of_the_plan(name, to):
    made = nn.ModuleDict({"net": LAYERS[name]})
    state = made.state_dict()
    table = plan_of(state, made, to)
    if (name, to) in NONE:
        assert "is not complete" in table
        return
    expected = ms.make_plan(state, to=to, layers=made).apply(state)
    names = {}
    exec(code_of(Carried(to, ("from_torch",), table=table)), names)
    found = names["KeyMapper"].from_torch(state, strict=True)
    dotted = {
        path.removeprefix("params/").removeprefix("batch_stats/").replace("/", "."): path for path in expected
    }
    assert found.keys() == dotted.keys()
    for key, path in dotted.items():
        assert found[key].dtype == expected[path].dtype
        assert np.array_equal(found[key], expected[path])


def test_an_operation_without_words_is_said():
    made = nn.ModuleDict({"net": nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4))})
    assert plan_of(made.state_dict(), made, "jax").endswith("this has no words in a table")


def test_repeated_blocks_are_one_row_where_its_pattern_means_no_other_tensor():
    alike = nn.ModuleDict({"b": nn.ModuleList(nn.Linear(2, 3) for _ in range(4))})
    assert plan_of(alike.state_dict(), alike, "jax").rows == (
        ("b.{}.weight", "b_{}.kernel", "out in -> in out"),
        ("b.{}.bias", "b_{}.bias"),
    )
    mixed = nn.ModuleDict({"b": nn.ModuleList([nn.Linear(3, 3), nn.Embedding(3, 3), nn.Linear(3, 3)])})
    assert [row[0] for row in plan_of(mixed.state_dict(), mixed, "jax").rows] == [
        *("b.0.weight", "b.{}.bias", "b.1.weight", "b.2.weight")
    ]


def test_names_inside_of_a_wrapper_are_the_models_own(net):
    state = {f"student.backbone.{name}": value for name, value in net.state_dict().items()}
    table = plan_of(state, net, "nnx")
    assert table == plan_of(net.state_dict(), net, "nnx")
    assert kinds_of(state, net) == kinds_of(net.state_dict(), net) != {}


def test_a_checkpoint_of_another_model_is_refused(net):
    for ask in (lambda: kinds_of({"a.b": np.ones(3)}, net), lambda: plan_of({"a.b": np.ones(3)}, net, "nnx")):
        with pytest.raises(
            UsageError, match=r"nothing of .* is in the state dict, whose tensors are called a\.b"
        ):
            ask()


def test_a_plan_with_open_places_is_none():
    made = nn.ModuleDict({"fc": nn.Linear(2, 3)})
    state = {**made.state_dict(), "own.weight": torch.ones(2, 2)}
    assert "own.weight" in plan_of(state, made, "nnx")


def test_a_table_is_read_back_as_it_was_written():
    from ml_switcheroo.codemod.block import compose, find_block

    carried = Carried("nnx", ("load_into",), table=Table('a "net"', (("a.{}.b", "c", "flip 2 3"), ("d", ""))))
    assert find_block(compose(carried)).carried == carried
