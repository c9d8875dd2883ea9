import numpy as np
import pytest
import torch
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.errors import LoadError, UsageError


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.bn = torch.nn.BatchNorm2d(4)
        self.att = torch.nn.MultiheadAttention(4, 2)
        self.lstm = torch.nn.LSTM(4, 4, batch_first=True)


class Port(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.bn = nnx.BatchNorm(4, rngs=rngs)
        self.att = nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs)
        self.lstm = nnx.RNN(nnx.OptimizedLSTMCell(4, 4, rngs=rngs), rngs=rngs)


def test_a_live_model_comes_back_as_torch_tensors():
    net, port = Net(), Port(nnx.Rngs(0))
    state = net.state_dict()
    ms.load_into(port, state, layers=net)
    back = ms.to_torch(port, like=state, layers=net)
    assert list(back) == list(state)
    for name, tensor in state.items():
        assert isinstance(back[name], torch.Tensor)
        assert back[name].dtype == tensor.dtype
        if not name.startswith("lstm.bias"):
            assert torch.equal(back[name], tensor), name
    x = torch.randn(2, 5, 4)
    expected = net.lstm(x)[0]
    net.load_state_dict(back)
    torch.testing.assert_close(net.lstm(x)[0], expected)


def test_what_was_trained_in_the_target_goes_back():
    port = Port(nnx.Rngs(1))
    net = Net()
    back = ms.to_torch(port, like=net.state_dict(), layers=net)
    kernel = np.asarray(port.conv.kernel.get_value())
    np.testing.assert_array_equal(back["conv.weight"].numpy(), kernel.transpose(3, 2, 0, 1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float32])
def test_leaves_go_back_bit_for_bit(dtype):
    state = {"fc.weight": torch.randn(3, 2).to(dtype), "fc.bias": torch.randn(3).to(dtype)}
    leaves = dict(ms.make_plan(state, to="jax", layers={"fc": "linear"}).apply(state))
    back = ms.to_torch(leaves, like=state, to="jax", layers={"fc": "linear"})
    for name, tensor in state.items():
        assert back[name].dtype == dtype
        assert torch.equal(back[name].view(torch.uint8), tensor.view(torch.uint8))


def test_a_state_dict_of_another_model_is_an_error_that_names_everything():
    net = torch.nn.ModuleDict({"conv": torch.nn.Conv2d(3, 4, 3), "other": torch.nn.Linear(2, 3)})
    with pytest.raises(LoadError) as caught:
        ms.to_torch(Port(nnx.Rngs(0)), like=net.state_dict(), layers=net)
    assert "other.weight" in str(caught.value)
    assert "bn.scale float32[4]: no tensor of like= answers to it" in str(caught.value)


def test_a_tree_alone_shows_no_target():
    with pytest.raises(UsageError, match="say to= one of"):
        ms.to_torch({"a": np.zeros(1)}, like={"a": np.zeros(1)})


def test_what_is_tied_in_pytorch_and_trained_apart_is_an_error():
    table = torch.randn(5, 3)
    state = {"embed.weight": table, "head.weight": table}
    kinds = {"embed": "embedding", "head": "linear"}
    kept = table.numpy()
    back = ms.to_torch({"embed.embedding": kept, "head.kernel": kept.T}, like=state, to="jax", layers=kinds)
    assert torch.equal(back["head.weight"], table)
    apart = {"embed.embedding": kept, "head.kernel": kept.T + 1}
    with pytest.raises(LoadError, match=r"embed\.weight, head\.weight") as caught:
        ms.to_torch(apart, like=state, to="jax", layers=kinds)
    assert len(caught.value.problems) == 1
    whole = {"embed.weight": table, "head.weight": table.clone()}
    assert not torch.equal(*ms.to_torch(apart, like=whole, to="jax", layers=kinds).values())


def test_what_comes_back_shares_no_memory_with_the_model_or_the_example():
    net, port = Net(), Port(nnx.Rngs(0))
    state = net.state_dict()
    ms.load_into(port, state, layers=net)
    back = ms.to_torch(port, like=state, layers=net)
    before = {name: tensor.clone() for name, tensor in back.items()}
    for name, tensor in back.items():
        if name != "bn.num_batches_tracked":  # the target has no place for it: it is the example's own
            tensor.zero_()
    again = ms.to_torch(port, like=state, layers=net)
    assert all(torch.equal(again[name], before[name]) for name in before)
