import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen
from flax.core import FrozenDict, freeze

import ml_switcheroo as ms
from ml_switcheroo.errors import LoadError


class Port(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.Dense(4, name="fc", param_dtype=jnp.bfloat16)(x)
        return linen.BatchNorm(use_running_average=True, epsilon=1e-5, momentum=0.9, name="bn")(x)


def torch_net():
    torch.manual_seed(0)
    net = torch.nn.Sequential()
    net.add_module("fc", torch.nn.Linear(3, 4))
    net.add_module("bn", torch.nn.BatchNorm1d(4))
    return net.eval()


def variables():
    return Port().init(jax.random.key(0), jnp.ones((1, 3)))


def test_loading_makes_a_new_tree_and_leaves_the_old_one():
    net, old = torch_net(), variables()
    before = np.asarray(old["params"]["fc"]["kernel"].astype("f4"))
    new = ms.load_into(old, net.state_dict(), layers=net)
    expected = net.fc.weight.detach().to(torch.bfloat16).float().numpy().T
    np.testing.assert_array_equal(np.asarray(new["params"]["fc"]["kernel"].astype("f4")), expected)
    np.testing.assert_array_equal(np.asarray(old["params"]["fc"]["kernel"].astype("f4")), before)
    assert new["params"]["fc"]["kernel"].dtype == jnp.bfloat16
    assert new["batch_stats"]["bn"]["mean"].dtype == jnp.float32
    assert jax.tree.structure(new) == jax.tree.structure(old)


def test_a_frozen_tree_stays_frozen():
    net = torch_net()
    assert isinstance(ms.load_into(freeze(variables()), net.state_dict(), layers=net), FrozenDict)


def test_partitioned_leaves_keep_their_boxes_and_shardings():
    class Boxed(linen.Module):
        @linen.compact
        def __call__(self, x):
            init = linen.with_partitioning(linen.initializers.zeros, ("data", None))
            return linen.Dense(4, kernel_init=init, name="fc")(x)

    old = Boxed().init(jax.random.key(0), jnp.ones((1, 3)))
    layer = torch.nn.ModuleDict({"fc": torch.nn.Linear(3, 4)})
    new = ms.load_into(old, layer.state_dict(), layers=layer)
    box = new["params"]["fc"]["kernel"]
    assert isinstance(box, linen.Partitioned)
    assert box.names == ("data", None)
    assert box.value.sharding == old["params"]["fc"]["kernel"].value.sharding
    np.testing.assert_array_equal(box.value, layer.fc.weight.detach().numpy().T)


def test_what_is_missing_is_an_error_and_a_warning_where_that_is_wanted():
    net, old = torch_net(), variables()
    state = {name: tensor for name, tensor in net.state_dict().items() if name != "fc.bias"}
    with pytest.raises(LoadError, match=r"params/fc/bias bfloat16\[4\]"):
        ms.load_into(old, state, layers=net)
    with pytest.warns(UserWarning, match=r"loaded in part\n.*params/fc/bias"):
        ms.load_into(old, state, layers=net, strict=False)
