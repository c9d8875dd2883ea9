import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import ml_switcheroo as ms
from ml_switcheroo.errors import PlanError, UsageError
from ml_switcheroo.targets import TARGETS, owner_of
from targets.moved import (
    Net,
    assert_close,
    channels_last,
    image,
    moved,
    output_of,
    plan_for,
    randomised,
)

LIVE = TARGETS["haiku"].live
KEY = jax.random.key(0)


def start_norm(x):
    """Return a transformed batch norm, and the params and state it starts with."""

    def function(x, train=False):
        return hk.BatchNorm(True, True, 0.9, name="layer")(x, train)

    transformed = hk.transform_with_state(function)
    return transformed, transformed.init(KEY, x, True)


def test_the_statistics_of_a_batch_norm_go_on_where_torch_left_them():
    module = randomised(torch.nn.BatchNorm2d(4, momentum=0.1)).train()
    x = image(8, 4, 5, 3)
    transformed, model = start_norm(channels_last(x))
    params, state = moved(torch.nn.ModuleDict({"layer": module}), model, "haiku")
    _, state = transformed.apply(params, state, None, channels_last(x), True)
    output_of(module, x)
    found = LIVE.read((params, state))
    assert_close(found["layer/~/mean_ema/average"].ravel(), module.running_mean.numpy())
    # torch's running variance is the unbiased one: n / (n - 1) of Haiku's, n = 8 * 5 * 3.
    assert_close(found["layer/~/var_ema/average"].ravel(), module.running_var.numpy(), tolerance=1e-2)


class Port(hk.Module):
    def __init__(self, name=None):
        super().__init__(name=name)
        self.blocks = [hk.Linear(2, name="blocks_0")]

    def __call__(self, x):
        net = hk.Sequential([hk.Linear(4, name="net_0"), jax.nn.relu, hk.Linear(2, name="net_2")])
        return self.blocks[0](net(x)) * hk.get_parameter("scale", (2,), init=jnp.ones)


def port(x):
    return Port(name="model")(x)


class Wrapped(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Net()

    def forward(self, x):
        return self.model(x)


def test_a_model_computes_what_torch_computes():
    x = image(5, 3)
    transformed = hk.without_apply_rng(hk.transform(port))
    params = transformed.init(KEY, x)
    assert {"model/~/blocks_0", "model/net_0", "model"} <= set(params)
    module = randomised(Wrapped())
    assert_close(transformed.apply(moved(module, params, "haiku"), x), output_of(module, x))
    assert params["model"]["scale"].tolist() == [1.0, 1.0]


def test_what_is_read_is_what_was_written():
    x = image(5, 3)
    params = hk.transform(port).init(KEY, x)
    module = randomised(Wrapped())
    plan = plan_for(module, "haiku", params)
    back = (~plan).apply(LIVE.read(LIVE.write(params, plan.apply(module.state_dict()))))
    for name, tensor in module.state_dict().items():
        assert back[name].tobytes() == tensor.numpy().tobytes()


def test_the_rank_of_a_batch_norm_is_the_models_and_no_guess():
    plan = plan_for(torch.nn.BatchNorm2d(4), "haiku")
    assert "how many axes of size 1 there are is not known" in plan.unexpected["weight"].why
    with pytest.raises(PlanError):
        plan.check()


def test_the_dtype_and_the_sharding_of_the_params_are_kept():
    mesh = jax.make_mesh((1,), ("x",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    params = {"fc": {"w": jax.device_put(jnp.zeros((2, 2), jnp.bfloat16), sharding)}}
    new = LIVE.write(params, {"fc/w": np.eye(2, dtype="f4")})["fc"]["w"]
    assert (new.dtype, new.sharding) == (jnp.bfloat16, sharding)
    assert new.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_it_owns_what_only_haiku_can_have_made():
    w = jnp.ones((2, 2))
    haiku = TARGETS["haiku"]
    assert owner_of({"linear": {"w": w}}) is haiku
    assert owner_of({"net/~/norm": {"scale": w}}) is haiku
    assert owner_of(({"linear": {"w": w}}, {})) is haiku
    assert owner_of({"norm": {"scale": w}}) is not haiku
    assert owner_of({"Dense_0": {"kernel": w}}) is not haiku
    assert owner_of({"linear": {"w": 3}}) is not haiku
    assert owner_of({"a": {"linear": {"w": w}}}) is not haiku


def test_what_is_not_recognised_is_loaded_where_the_target_is_named():
    params = {"norm": {"scale": jnp.ones(3)}}
    state = {"norm.weight": np.float32([1, 2, 3])}
    with pytest.raises(UsageError, match="a dict is not a model of a known target"):
        ms.load_into(params, state, layers={"norm": "LayerNorm"})
    new = ms.load_into(params, state, to="haiku", layers={"norm": "LayerNorm"})
    assert new["norm"]["scale"].tolist() == [1.0, 2.0, 3.0]
    assert params["norm"]["scale"].tolist() == [1.0, 1.0, 1.0]


def test_a_path_in_both_trees_is_an_error():
    tree = {"net/a": {"w": jnp.ones(2)}}
    with pytest.raises(UsageError, match="both have net/a/w"):
        LIVE.template((tree, tree))


def test_a_plain_recurrent_layer_of_which_nothing_is_stated_has_pytorchs_tanh():
    state = torch.nn.ModuleDict({"m": torch.nn.RNN(3, 4)}).state_dict()
    plan = ms.make_plan(state, to="haiku")
    assert {left.why for left in plan.unexpected.values()} == {
        "rnn at m: Haiku's VanillaRNN has relu, not tanh"
    }
    rules = [ms.Kind("m", "RNN", args={"nonlinearity": "relu"})]
    assert not ms.make_plan(state, to="haiku", rules=rules).unexpected
