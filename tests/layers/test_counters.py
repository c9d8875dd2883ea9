"""The count of batches of a batch norm: dropped where nothing needs it, right where the target counts."""

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from mlx import nn as mlx

import ml_switcheroo as ms
from ml_switcheroo.targets import TARGETS

X = np.random.default_rng(0).normal(size=(3, 8, 4)).astype("f4") * 2 + 1


def net(momentum=0.1, batches=5):
    """Train a batch norm for some batches, so that its statistics and its count are no defaults."""
    made = torch.nn.ModuleDict({"bn": torch.nn.BatchNorm1d(4, momentum=momentum)}).train()
    torch.manual_seed(0)
    for _ in range(batches):
        made["bn"](torch.randn(16, 4) * 3 - 1)
    return made.eval()


@pytest.mark.parametrize("to", [name for name in TARGETS if name not in ("numpy", "haiku")])
def test_the_count_is_dropped_with_the_reason(to):
    made = net()
    plan = ms.make_plan(made.state_dict(), to=to, layers=made)
    plan.check()
    why = plan.dropped["bn.num_batches_tracked"].why
    assert "keeps no counter" in why or "needs no count" in why
    assert "bn.num_batches_tracked" in str(plan)


def test_numpy_keeps_it():
    made = net()
    leaves = ms.make_plan(made.state_dict(), to="numpy", layers=made).apply(made.state_dict())
    assert int(leaves["bn.num_batches_tracked"]) == 5


def haiku_norm(decay=0.9):
    def function(x, train):
        return hk.BatchNorm(True, True, decay, name="bn")(x, train)

    transformed = hk.without_apply_rng(hk.transform_with_state(function))
    return transformed, transformed.init(jax.random.key(0), X[0], True)


def trained(made, apply, params, state):
    """Train both on the same batches; return the outputs of PyTorch and of Haiku in evaluation."""
    for batch in X[:2]:
        made["bn"].train()(torch.from_numpy(batch))
        _, state = apply(params, state, batch, True)
    with torch.no_grad():
        return made["bn"].eval()(torch.from_numpy(X[2])).numpy(), np.asarray(
            apply(params, state, X[2], False)[0]
        )


def test_haikus_counters_leave_the_averages_as_they_are():
    made, (transformed, model) = net(), haiku_norm()
    plan = ms.make_plan(made.state_dict(), to="haiku", layers=made, like=model)
    assert "needs no count" in plan.dropped["bn.num_batches_tracked"].why
    params, state = ms.load_into(model, made.state_dict(), layers=made)
    with torch.no_grad():
        expected = made["bn"](torch.from_numpy(X[2])).numpy()
    np.testing.assert_allclose(
        transformed.apply(params, state, X[2], False)[0], expected, rtol=1e-5, atol=1e-6
    )
    for name in ("mean_ema", "var_ema"):
        average = state[f"bn/~/{name}"]
        assert average["hidden"].tolist() == average["average"].tolist()
        # The correction of the bias, 1 - decay**counter, is 1: what is loaded is the average itself.
        assert 1 - jnp.power(0.9, average["counter"]) == 1


def test_haiku_trains_on_where_pytorch_left_off_which_a_wrong_count_would_not():
    made, (transformed, model) = net(), haiku_norm()
    params, state = ms.load_into(model, made.state_dict(), layers=made)
    naive = {
        module: {**leaves, "hidden": model[1][module]["hidden"], "counter": jnp.int32(5)}
        if "ema" in module
        else leaves
        for module, leaves in state.items()
    }
    start = made.state_dict()
    copies = [net(), net()]
    for copy in copies:
        copy.load_state_dict(start)
    expected, found = trained(copies[0], transformed.apply, params, state)
    # PyTorch's running variance is the unbiased one: 8/7 of Haiku's for the two new batches.
    assert np.abs(found - expected).max() < 0.05
    expected, found = trained(copies[1], transformed.apply, params, naive)
    assert np.abs(found - expected).max() > 0.2


class Equinox(eqx.Module):
    bn: eqx.nn.BatchNorm


LIVE = {
    "nnx": lambda: nnx.Dict(bn=nnx.BatchNorm(4, epsilon=1e-5, momentum=0.9, rngs=nnx.Rngs(0))),
    "equinox": lambda: eqx.nn.make_with_state(Equinox)(
        eqx.nn.BatchNorm(4, "batch", momentum=0.9, mode="batch")
    ),
    "mlx": lambda: of_mlx(mlx.BatchNorm(4)),
    "keras": lambda: of_keras(keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="bn")),
}


def of_mlx(layer):
    model = mlx.Module()
    model.bn = layer
    return model


def of_keras(layer):
    x = keras.Input((4,))
    return keras.Model(x, layer(x))


@pytest.mark.parametrize("to", LIVE)
def test_an_average_of_all_batches_is_said_to_be_none_in_the_target(to):
    made = net(momentum=None)
    (note,) = ms.make_plan(made.state_dict(), to=to, layers=made, like=LIVE[to]()).notes
    assert note.startswith("batch_norm: momentum is 0.")
    assert "in the target, momentum is None in PyTorch: the average of all batches" in note
    made = net()
    assert not ms.make_plan(made.state_dict(), to=to, layers=made, like=LIVE[to]()).notes


def test_the_source_says_it_as_well(tmp_path):
    source = (
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    )
    (tmp_path / "model.py").write_text(source + "        self.bn = nn.BatchNorm1d(4, momentum=None)\n")
    plan = ms.make_plan(net().state_dict(), to="nnx", layers=f"{tmp_path}/model.py:Net", like=LIVE["nnx"]())
    assert "momentum is None in PyTorch" in plan.notes[0]
