"""Every class of torch.nn by reflection: what holds tensors is known, or refused by name."""

import inspect
import warnings

import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

import ml_switcheroo as ms
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS
from ml_switcheroo.targets import TARGETS

BASES = {"Module", "Container", "RNNBase", "RNNCellBase"}
LISTS = {"ParameterList", "ParameterDict"}
WEIGHT = torch.ones(4)

# Arguments of the classes that a number for each required one does not do for.
ARGUMENTS = {
    "AdaptiveLogSoftmaxWithLoss": (6, 10, [3, 6]),
    "ChannelShuffle": (2,),
    "DataParallel": (nn.Linear(2, 2),),
    "FractionalMaxPool2d": (2, 2),
    "FractionalMaxPool3d": (2, 2),
    "GroupNorm": (2, 4),
    "MultiheadAttention": (4, 2),
    "ParameterDict": ({"a": WEIGHT},),
    "ParameterList": ([WEIGHT],),
    **dict.fromkeys(("RNN", "LSTM", "GRU"), (4, 4)),
    "Transformer": (4, 2, 1, 1, 8),
    "TransformerDecoder": (nn.TransformerDecoderLayer(4, 2, 8), 2, nn.LayerNorm(4)),
    "TransformerDecoderLayer": (4, 2, 8),
    "TransformerEncoder": (nn.TransformerEncoderLayer(4, 2, 8), 2, nn.LayerNorm(4)),
    "TransformerEncoderLayer": (4, 2, 8),
    "Unflatten": (1, (2, 2)),
}
CLASSES = sorted(
    name
    for name, cls in vars(nn).items()
    if inspect.isclass(cls) and issubclass(cls, nn.Module) and name not in BASES
)


def made(name):
    """Make a layer with small sizes; what may have tensors has them."""
    cls = getattr(nn, name)
    parameters = inspect.signature(cls).parameters
    more = {"weight": WEIGHT} if "weight" in parameters and name.endswith(("Loss", "Loss2d")) else {}
    more |= {"affine": True} if "affine" in parameters else {}
    more |= {"track_running_stats": True} if "track_running_stats" in parameters else {}
    required = [
        4 for one in parameters.values() if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cls(*ARGUMENTS.get(name, required), **more)


def settled(layer, name):
    """Give a lazy layer its tensors."""
    if name.startswith("Lazy"):
        rank = int(name[-2]) if name[-1] == "d" else 0
        layer(torch.zeros(2, 4, *[5] * rank) if "Norm" not in name else torch.ones(2, 4, *[5] * rank))
    return layer.eval()


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_that_holds_tensors_is_known(name):
    holder = nn.ModuleDict({"m": settled(made(name), name)})
    for module in holder.modules():
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        cls = type(module).__name__
        assert not own or cls in KIND_OF_CLASS or cls in LISTS, f"{cls} holds tensors, and no row has it"
    state = holder.state_dict()
    for to, target in TARGETS.items():
        # Which axis of a norm over several is that of channels is not the question here.
        plan = ms.make_plan(state, to=to, layers=holder)
        assert not plan.ambiguous
        moved = {source for move in plan.moves for source in move.sources}
        assert moved | set(plan.dropped) | set(plan.unexpected) == set(state)
        for left in plan.unexpected.values():
            # Keras and Haiku shape some leaves by the rank of their input: only a model shows it.
            by_rank = "how many axes of size 1 there are" in left.why
            assert by_rank or any(f"{kind} at m" in left.why for kind in LAYERS), (target.name, left.why)


@pytest.mark.parametrize("make", [lambda q: q.Linear(3, 4), lambda q: q.Conv2d(3, 4, 3)])
def test_quantised_layers_are_refused_with_the_way_out(make):
    quantized = pytest.importorskip("torch.ao.nn.quantized")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        holder = nn.ModuleDict({"m": make(quantized)})
    state = {"m.weight": torch.ones(4, 3), "m.scale": torch.ones(()), "m.zero_point": torch.zeros(())}
    plan = ms.make_plan(state, to="nnx", layers=holder)
    assert set(plan.unexpected) == set(state)
    assert all("load the float model instead" in left.why for left in plan.unexpected.values())


# What no layer of a target holds, a port of one's own can keep: PyTorch's tensors under PyTorch's names.
KEPT = {
    "bilinear": lambda: nn.Bilinear(3, 4, 5),
    "proj_size": lambda: nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2),
    "bias_k": lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True),
    "recurrent": lambda: nn.GRU(3, 4),
}


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("name", KEPT)
def test_what_a_target_has_no_layer_for_can_be_kept_as_it_is(name, to):
    holder = nn.ModuleDict({"m": KEPT[name]()})
    state = holder.state_dict()
    plan = ms.make_plan(state, to=to, layers=holder, rules=[ms.Kind("m", "parameter")])
    plan.check()
    leaves = dict(plan.apply(state))
    assert len(leaves) == len(state)
    for move in plan.moves:
        ((source, leaf),) = zip(move.sources, move.leaves, strict=True)
        assert leaves[leaf].tobytes() == state[source].numpy().tobytes()


def test_stateless_layers_count_in_the_paths_and_hold_nothing():
    net = nn.Sequential(nn.Identity(), nn.Linear(3, 4), nn.Flatten(), nn.Identity(), nn.Linear(4, 2))
    plan = ms.make_plan(net.state_dict(), to="nnx", layers=net)
    assert set(plan.outputs) == {f"layers.{i}.{leaf}" for i in (1, 4) for leaf in ("kernel", "bias")}
    rngs = nnx.Rngs(0)
    port = nnx.Sequential(
        lambda x: x,
        nnx.Linear(3, 4, rngs=rngs),
        lambda x: x.reshape(len(x), -1),
        lambda x: x,
        nnx.Linear(4, 2, rngs=rngs),
    )
    assert ms.load_into(port, net.state_dict(), layers=net) == ([], [])
    x = torch.randn(5, 3)
    with torch.no_grad():
        np.testing.assert_allclose(np.asarray(port(x.numpy())), net(x).numpy(), rtol=1e-5, atol=1e-6)


def test_weights_with_an_order_of_axes_are_oriented_and_vectors_are_not():
    assert [LAYERS[kind].oriented for kind in ("linear", "conv", "embedding")] == [True] * 3
    assert [LAYERS[kind].oriented for kind in ("layer_norm", "parameter", "lstm")] == [False] * 3
