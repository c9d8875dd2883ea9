"""There and back: torch -> target -> torch gives the same bits for every move without arithmetic."""

import operator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ml_switcheroo.errors import UsageError
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.rules import Kind
from ml_switcheroo.targets import TARGETS
from ml_switcheroo.tensors import DTYPES

size = st.integers(1, 5)
flag = st.booleans()
LAYERS = st.one_of(
    st.builds(nn.Linear, size, size, bias=flag),
    st.builds(
        lambda rank, groups, into, out, kernel: (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank](
            groups * into, groups * out, kernel, groups=groups
        ),
        *(st.integers(0, 2), st.integers(1, 3), size, size, st.integers(1, 3)),
    ),
    st.builds(
        lambda rank, into, out, kernel: (nn.ConvTranspose1d, nn.ConvTranspose2d)[rank](into, out, kernel),
        *(st.integers(0, 1), size, size, st.integers(1, 3)),
    ),
    st.builds(nn.BatchNorm2d, size, affine=flag),
    st.builds(nn.LayerNorm, size, bias=flag),
    st.builds(nn.LayerNorm, st.tuples(size, size)),
    st.builds(nn.RMSNorm, size),
    st.builds(nn.Embedding, size, size),
    st.builds(
        lambda heads, dim, bias: nn.MultiheadAttention(heads * dim, heads, bias=bias), size, size, flag
    ),
    st.builds(nn.LSTM, size, size, st.integers(1, 2), bias=st.just(False), bidirectional=flag),
    st.builds(nn.GRU, size, size, st.integers(1, 2), bias=st.just(False), bidirectional=flag),
    st.builds(nn.GRUCell, size, size, bias=st.just(False)),
)


def random_bits(spec, dtype, seed):
    row = DTYPES[dtype]
    count = int(np.prod(spec, dtype=int)) * row.itemsize
    raw = np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 256, count, dtype=np.uint8)
    return raw.view(row.numpy).reshape(spec)


@pytest.mark.parametrize("to", sorted(TARGETS))
@given(layer=LAYERS, dtype=st.sampled_from(sorted(DTYPES)), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_every_bit_comes_back(to, layer, dtype, seed):
    holder = nn.ModuleDict({"m": layer})
    shapes = {name: tuple(tensor.shape) for name, tensor in holder.state_dict().items()}
    state = {name: random_bits(shape, dtype, seed) for name, shape in shapes.items()}
    # Which axis of a norm over several is that of channels, only a person can say.
    rules = (
        [Kind("m", "layer_norm", flatten=shapes["m.weight"][0])] if isinstance(layer, nn.LayerNorm) else []
    )
    plan = make_plan(state, to=to, layers=holder, rules=rules)
    exact = [name for move in plan.moves if move.exact for name in move.sources]
    assert set(plan.inputs) == set(exact)
    assert set(exact) | set(plan.dropped) | set(plan.unexpected) == set(state)
    back = (~plan).apply(plan.apply(state, partial=True), partial=True)
    assert set(back) == set(exact)
    for name in exact:
        assert back[name].dtype == state[name].dtype
        assert back[name].tobytes() == state[name].tobytes()


def test_summed_biases_come_back_as_the_same_layer():
    layer = nn.LSTM(3, 4, 2, bidirectional=True)
    holder = nn.ModuleDict({"m": layer})
    state = holder.state_dict()
    plan = make_plan(state, to="nnx", layers=holder)
    back = ~plan
    assert "not the same bits: all in the first, zeros in the others" in str(back)
    restored = {name: torch.from_numpy(np.array(a)) for name, a in back.apply(plan.apply(state)).items()}
    x = torch.randn(5, 2, 3)
    expected = layer(x)[0]
    holder.load_state_dict(restored)
    torch.testing.assert_close(layer(x)[0], expected, rtol=1e-5, atol=1e-6)


def test_a_folded_weight_norm_comes_back_as_the_same_layer():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    holder = nn.ModuleDict({"m": layer})
    state = holder.state_dict()
    plan = make_plan(state, to="nnx", layers=holder)
    x = torch.randn(5, 3)
    expected = layer(x)
    back = (~plan).apply(plan.apply(state))
    holder.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in back.items()})
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_a_folded_spectral_norm_has_no_way_back_and_says_so():
    holder = nn.ModuleDict({"m": nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4))})
    plan = make_plan(holder.state_dict(), to="nnx", layers=holder)
    with pytest.raises(UsageError, match="spectral norm folded has no inverse"):
        operator.invert(plan)
