"""What is taken for a checkpoint: a module says its tensors and its layers; what is neither is refused."""

import pytest
import torch
from flax import nnx
from torch import nn

import ml_switcheroo as ms
from ml_switcheroo.errors import UsageError


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Embedding(5, 4), nn.LayerNorm(4))


def test_a_module_is_planned_as_its_state_dict_with_its_layers():
    module = net()
    assert ms.make_plan(module, to="nnx") == ms.make_plan(module.state_dict(), to="nnx", layers=module)
    assert not ms.make_plan(module, to="nnx").ambiguous
    assert ms.make_plan(module.state_dict(), to="nnx").ambiguous  # a matrix alone says less


def test_what_is_said_of_the_layers_goes_before_the_module():
    module = nn.Sequential(nn.Linear(3, 4, bias=False))
    assert [move.kind for move in ms.make_plan(module, to="nnx", layers={"0": "embedding"}).moves] == [
        "embedding"
    ]


def test_a_kind_that_does_not_have_a_tensor_of_the_module_is_refused():
    with pytest.raises(
        UsageError, match=r"^0\.bias: 0 is said to be of kind embedding, which has no bias; correct"
    ):
        ms.make_plan(net(), to="nnx", layers={"0": "embedding"})


def test_a_module_of_modules_is_no_mapping_of_tensors():
    assert ms.make_plan(nn.ModuleDict({"a": nn.Linear(3, 4)}), to="nnx").outputs.keys() == {
        "a.kernel",
        "a.bias",
    }


def test_a_module_is_loaded():
    source, target = nn.Sequential(nn.Linear(3, 4)), nnx.List([nnx.Linear(3, 4, rngs=nnx.Rngs(0))])

    class Port(nnx.Module):
        def __init__(self):
            self.layers = target

        def __call__(self, x):
            return self.layers[0](x)

    port = Port()
    ms.load_into(port, nn.ModuleDict({"layers": source}))
    x = torch.ones(2, 3)
    torch.testing.assert_close(torch.tensor(port(x.numpy()).tolist()), source(x))


@pytest.mark.parametrize(("odd", "said"), [(["a.safetensors", 3], "a list"), (3, "an int"), (None, "None")])
def test_what_is_no_checkpoint_says_what_to_give(odd, said):
    with pytest.raises(UsageError, match=f"{said} is no checkpoint: give its path"):
        ms.make_plan(odd, to="nnx")
