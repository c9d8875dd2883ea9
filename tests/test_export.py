import numpy as np
import pytest
import safetensors.numpy
import torch
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo import conversion
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


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = torch.nn.Embedding(10, 4)
        self.bn = torch.nn.BatchNorm1d(4)
        self.head = torch.nn.Linear(4, 10, bias=False)
        self.head.weight = self.emb.weight
        self.low = torch.nn.Linear(4, 4).to(torch.bfloat16)
        self.register_buffer("steps", torch.tensor(3))
        self.register_buffer("angles", torch.arange(3.0), persistent=False)


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_module_takes_the_result_strictly_and_shares_no_memory_with_it():
    net = Tied()
    net.bn.num_batches_tracked += 7
    leaves = dict(ms.make_plan(net, to="nnx").apply(net))
    back = ms.to_torch(leaves, like=net, to="nnx")
    fresh = Tied()
    fresh.load_state_dict(back, strict=True)
    assert same(fresh, net)
    assert back._metadata == net.state_dict()._metadata
    back["bn.num_batches_tracked"] += 1
    assert net.bn.num_batches_tracked == 7


def test_of_a_file_the_result_is_arrays_or_the_tensors_that_torch_takes(tmp_path):
    net = Tied()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    leaves = dict(ms.make_plan(net, to="nnx").apply(net))
    arrays = ms.to_torch(leaves, like=tmp_path / "net.pt", to="nnx", layers=net)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    back = ms.to_torch(leaves, like=tmp_path / "net.pt", to="nnx", layers=net, tensors=True)
    fresh = Tied()
    fresh.load_state_dict(back, strict=True)
    assert same(fresh, net)
    asked = ms.to_torch(leaves, like=net, to="nnx", tensors=False)
    assert all(isinstance(array, np.ndarray) for array in asked.values())


@pytest.mark.parametrize("with_plan", [False, True])
def test_an_export_as_pt_is_taken_strictly_with_its_ties(tmp_path, with_plan):
    net = Tied()
    torch.save({"epoch": 1, "ema": Tied().state_dict(), "model": net.state_dict()}, tmp_path / "all.pt")
    out = tmp_path / "new.safetensors"
    plan = ms.convert(tmp_path / "all.pt", out, to="nnx", layers=net, select="model")
    how = {"plan": plan} if with_plan else {"layers": net}
    conversion.export(out, tmp_path / "back.pt", like=tmp_path / "all.pt", select="model", **how)
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert list(back) == list(net.state_dict())
    assert back["emb.weight"].data_ptr() == back["head.weight"].data_ptr()
    fresh = Tied()
    fresh.load_state_dict(back, strict=True)
    assert same(fresh, net)


def test_a_plan_alone_undoes_its_moves_and_says_what_it_cannot_write(tmp_path):
    net, said = Tied(), []
    torch.save(net.state_dict(), tmp_path / "net.pt")
    out, back = tmp_path / "new.safetensors", tmp_path / "back.pt"
    plan = ms.convert(tmp_path / "net.pt", out, to="nnx", layers=net)
    conversion.export(out, back, plan=plan, say=said.append)
    assert said == ["not written, since the plan moves it nowhere (--like has it): bn.num_batches_tracked"]
    read = torch.load(back, weights_only=True)
    assert set(net.state_dict()) - set(read) == {"bn.num_batches_tracked"}
    assert all(torch.equal(read[name], net.state_dict()[name]) for name in read)
    with pytest.raises(UsageError, match="already turned back"):
        conversion.export(back, tmp_path / "again.pt", plan=plan)


def test_a_plan_of_other_leaves_is_refused(tmp_path):
    net = Tied()
    out, back = tmp_path / "new.safetensors", tmp_path / "back.pt"
    ms.convert(net, out, to="nnx", layers=net)
    with pytest.raises(UsageError, match="the plan is one to jax"):
        conversion.export(out, back, plan=ms.make_plan(net, to="jax"))
    with pytest.raises(UsageError, match="say what the PyTorch names are"):
        conversion.export(out, back)
    assert not back.exists()


def test_tied_tensors_that_were_trained_apart_are_refused_with_a_plan_too(tmp_path):
    net = Tied()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    plan = ms.make_plan(tmp_path / "net.pt", to="nnx", layers=net)
    with ms.open_checkpoint(tmp_path / "net.pt") as state:
        leaves = {path: np.array(leaf, order="C") for path, leaf in plan.apply(state).items()}
    leaves["head.kernel"] = leaves["head.kernel"] + 1
    safetensors.numpy.save_file(leaves, tmp_path / "new.safetensors")
    with pytest.raises(LoadError, match=r"emb\.weight, head\.weight"):
        conversion.export(
            tmp_path / "new.safetensors", tmp_path / "back.pt", like=tmp_path / "net.pt", plan=plan
        )
