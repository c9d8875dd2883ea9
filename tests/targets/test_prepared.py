"""What a layer lacks as its framework makes it: the error has the code that mends it, and the code works."""

import re

import numpy as np
import pytest
import torch
from flax import nnx

from ml_switcheroo.errors import LoadError
from ml_switcheroo.load import load_into


def held(make):
    return nnx.Dict(m=make(nnx.Rngs(0)))


def code_of(error):
    return re.findall(r"`([^`]+)`", str(error))


def test_a_gru_without_a_bias_of_the_state_is_said_to_lack_it():
    holder = torch.nn.ModuleDict({"m": torch.nn.GRUCell(3, 4)})
    live = held(lambda rngs: nnx.GRUCell(3, 4, rngs=rngs))
    with pytest.raises(LoadError, match=r"no leaf m.dense_h.bias: nnx.GRUCell as Flax makes it") as caught:
        load_into(live, holder.state_dict(), layers=holder)
    names = {"nnx": nnx, "inputs": 3, "hidden": 4, "rngs": nnx.Rngs(0)}
    for line in code_of(caught.value):
        exec(line, names)
    live = nnx.Dict(m=names["cell"])
    assert tuple(load_into(live, holder.state_dict(), layers=holder)) == ([], [])
    x, state = torch.randn(2, 3), torch.randn(2, 4)
    expected = holder["m"](x, state).detach().numpy()
    np.testing.assert_allclose(live.m(state.numpy(), x.numpy())[1], expected, rtol=1e-4, atol=1e-5)


def test_values_of_another_size_than_keys_are_said_to_need_a_projection():
    holder = torch.nn.ModuleDict({"m": torch.nn.MultiheadAttention(4, 2, kdim=6, vdim=8)})
    live = held(lambda rngs: nnx.MultiHeadAttention(2, 4, in_kv_features=6, decode=False, rngs=rngs))
    with pytest.raises(LoadError, match=r"nnx.MultiHeadAttention as Flax makes it") as caught:
        load_into(live, holder.state_dict(), layers=holder)
    names = {"nnx": nnx, "heads": 2, "embed": 4, "kdim": 6, "vdim": 8, "rngs": nnx.Rngs(0)}
    for line in code_of(caught.value):
        exec(line, names)
    live = nnx.Dict(m=names["attention"])
    assert tuple(load_into(live, holder.state_dict(), layers=holder)) == ([], [])


def test_a_layer_that_is_not_there_at_all_lacks_no_leaf():
    holder = torch.nn.ModuleDict({"m": torch.nn.GRUCell(3, 4)})
    live = nnx.Dict(other=nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)))
    with pytest.raises(LoadError) as caught:
        load_into(live, holder.state_dict(), layers=holder)
    assert "as Flax makes it" not in str(caught.value)


def test_a_gru_without_biases_needs_none():
    holder = torch.nn.ModuleDict({"m": torch.nn.GRUCell(3, 4, bias=False)})
    live = held(lambda rngs: nnx.GRUCell(3, 4, rngs=rngs))
    assert tuple(load_into(live, holder.state_dict(), layers=holder)) == ([], [])
