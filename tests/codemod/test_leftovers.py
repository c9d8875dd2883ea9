"""What no rewrite touches: loads and saves by other functions, the method as a value, single weights."""

import pytest

from rewriting import check_unchanged

HEAD = "import torch\nfrom torch import nn\n"
NOTED = {
    "safetensors load": (
        "from safetensors.torch import load_model\nload_model(net, p)",
        "safetensors.torch.load_model loads into the model by itself",
    ),
    "safetensors load by module": ("import safetensors.torch as st\nst.load_model(net, p)", "loads into the"),
    "safetensors save": (
        "from safetensors.torch import save_model\nsave_model(net, p)",
        "safetensors.torch.save_model takes the weights of the model by itself",
    ),
    "distributed set": (
        "from torch.distributed.checkpoint.state_dict import set_model_state_dict\n"
        "set_model_state_dict(net, sd, options=o)",
        "set_model_state_dict loads into the model by itself",
    ),
    "distributed get": (
        "from torch.distributed.checkpoint.state_dict import get_model_state_dict\n"
        "sd = get_model_state_dict(net)",
        "get_model_state_dict takes the weights",
    ),
    "distributed load": (
        "import torch.distributed.checkpoint as dcp\ndcp.load(sd, checkpoint_id=p)",
        "torch.distributed.checkpoint.load reads a checkpoint in shards",
    ),
    "distributed save": (
        "import torch.distributed.checkpoint as dcp\ndcp.save({'net': net.state_dict()}, checkpoint_id=p)",
        "torch.distributed.checkpoint.save writes a checkpoint in shards",
    ),
    "deepspeed": (
        "import deepspeed\nengine = deepspeed.initialize(net)\nengine.load_checkpoint(p)",
        "engine.load_checkpoint reads a checkpoint in shards",
    ),
    "accelerate": (
        "from accelerate import load_checkpoint_in_model\nload_checkpoint_in_model(net, p)",
        "load_checkpoint_in_model loads into the model by itself",
    ),
    "accelerator": ("self.accelerator.load_state(p)", "accelerator.load_state loads into"),
    "transformers": (
        "from transformers.modeling_utils import load_sharded_checkpoint\nload_sharded_checkpoint(net, p)",
        "load_sharded_checkpoint loads into",
    ),
    "getattr": ("load = getattr(net, 'load_state_dict')", "takes the method by its name"),
    "getattr called": ("getattr(net, 'load_state_dict')(sd)", "takes the method by its name"),
    "methodcaller": ("f = operator.methodcaller('load_state_dict', sd)", "takes the method by its name"),
    "assigned": ("load = net.load_state_dict", "net.load_state_dict is passed on as a method"),
    "argument": ("retry(net.load_state_dict, sd)", "is passed on as a method"),
    "keyword": ("retry(call=net.load_state_dict)", "is passed on as a method"),
    "returned": ("def loader(net):\n    return net.load_state_dict", "is passed on as a method"),
    "in a dictionary": ("loaders = {'net': net.load_state_dict}", "is passed on as a method"),
    "replaced": ("net.load_state_dict = other", "net.load_state_dict is replaced"),
    "pickled": ("net = torch.load(p)\nnet.eval()", "net is a whole pickled model"),
    "pickled in a dictionary": ("ckpt = torch.load(p)\nnet = ckpt['model'].float().eval()", "pickled model"),
    "pickled at once": ("net = torch.load(p).eval()", "pickled model"),
    "hook": ("net._register_load_state_dict_pre_hook(f)", "a hook on the state dict"),
    "hook on saving": ("net._register_state_dict_hook(f)", "a hook on the state dict"),
    "copied weight": ("net.fc.weight.data.copy_(a)", "weights are written tensor by tensor"),
    "copied bias": ("with torch.no_grad():\n    net.fc.bias.copy_(a)", "tensor by tensor"),
    "set data": ("net.fc.weight.data = a", "tensor by tensor"),
    "new parameter": ("net.fc.weight = nn.Parameter(a)  # torch.load", "tensor by tensor"),
    "own state": ("own = net.state_dict()\nown[name].copy_(a)", "tensor by tensor"),
    "state by name": ("def f(own_state, n, a):\n    own_state[n].copy_(a)", "tensor by tensor"),
    "parameters": ("for p, q in zip(net.parameters(), new):\n    p.data.copy_(q)", "tensor by tensor"),
    "named": ("for n, p in net.named_parameters():\n    p.copy_(arrays[n])", "tensor by tensor"),
    "soft update": (
        "for t, s in zip(target.parameters(), net.parameters()):\n    t.data.copy_(0.1 * s + 0.9 * t)",
        "tensor by tensor",
    ),
}


@pytest.mark.parametrize("name", NOTED)
def test_it_has_a_note_and_only_one(name):
    code, why = NOTED[name]
    (note,) = check_unchanged(f"{HEAD}{code}\n", notes=[f"{_line(code, name)}: {why}"]).notes
    assert note.row.left


def _line(code, name):
    """Return the line of the note: of a pickled model where it is read, else the last one."""
    last = 3 + code.count("\n")
    return 3 if name in ("pickled", "pickled in a dictionary") else last


SILENT = {
    "mock": "net.load_state_dict = Mock()",
    "mock asked": "net.load_state_dict.assert_called_once_with(sd)",
    "mock returns": "net.load_state_dict.return_value = report",
    "mock itself": "mock_model = MagicMock()\nuse(mock_model.load_state_dict)",
    "patched": "with patch.object(net, 'load_state_dict') as f: ...",
    "signature": "inspect.signature(net.load_state_dict)",
    "asked for": "hasattr(net, 'load_state_dict')",
    "compared": "same = type(net).load_state_dict is nn.Module.load_state_dict",
    "named": "print(net.load_state_dict.__name__)",
    "optimizer passed on": "retry(optimizer.load_state_dict)",
    "optimizer looked up": "getattr(optimizer, 'load_state_dict')(sd)",
    "optimizer hook": "optimizer.register_load_state_dict_pre_hook(f)",
    "another load_model": "from whisper import load_model\nnet = load_model('base')",
    "own load_model": "def load_model(net, p): ...\nload_model(net, p)",
    "started": "m.weight.data.copy_(0.01 * m.weight.data)",
    "started anew": "net.fc.weight.data.copy_(torch.zeros(3))",
    "noise": "for p in net.parameters():\n    p.data.copy_(torch.randn(p.shape))",
    "cast": "for p in net.parameters():\n    p.data = p.to(torch.float32)",
    "moved to": "net.fc.weight.data = net.fc.weight.data.to(device)",
    "made over": "net.fc.weight.data = quantize(net.fc.weight.data, num_bits=bits)",
    "made over in a variable": (
        "def f(m, s):\n    b = m.fc.bias.view(3, -1)\n    m.fc.bias = nn.Parameter(b.view(-1) * s)"
    ),
    "moved": "net.fc.weight.data = net.fc.weight.data.contiguous()",
    "made": "class A(nn.Module):\n    def __init__(self, w):\n        self.weight = nn.Parameter(w)",
    "of itself": "class A(Net):\n    def f(self):\n        w = f(self.weight)\n        self.weight.copy_(w)",
    "no weight": "row_maxes.copy_(new)\nimage[:, 1:].copy_(patch)\nself.cache.pos.copy_(p)",
    "tensors of an optimizer": "param_state['slow'].copy_(fast)",
    "a slice": "expanded_state_dict_weight[:, :3].copy_(a)",
    "a dictionary that is read": "ckpt = torch.load(p)\nnames = ckpt['model'].keys()",
}


@pytest.mark.parametrize("name", SILENT)
def test_it_has_no_note(name):
    check_unchanged(f"{HEAD}# state_dict\n{SILENT[name]}\n")


def test_weights_that_one_function_writes_have_one_note():
    check_unchanged(
        f"{HEAD}def f(net, w):\n    net.a.weight.copy_(w[0])\n    net.a.bias.copy_(w[1])\n"
        "def g(net, w):\n    net.b.weight.copy_(w[2])\n",
        notes=["4: tensor by tensor (to line 5)", "7: tensor by tensor"],
    )


OVERRIDES = {
    "a module": ("class A(nn.Module):", True),
    "of a module": ("class B(nn.Module): pass\nclass A(B):", True),
    "unknown": ("class A(Base):", True),
    "an optimizer": ("class A(torch.optim.SGD):", False),
    "an optimizer and more": ("class A(torch.optim.Optimizer, Mixin):", False),
    "a dataset": ("class A(torch.utils.data.Dataset):", False),
    "plain": ("class A:", False),
    "of a plain one": ("class B: pass\nclass A(B):", False),
    "a protocol": ("from abc import ABC\nclass A(ABC):", False),
}


@pytest.mark.parametrize("method", ["load_state_dict", "_load_from_state_dict"])
@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_counts_where_the_class_may_be_a_model(name, method):
    head, counts = OVERRIDES[name]
    line = 4 + head.count("\n")
    notes = [f"{line}: A overrides {method}"] if counts else []
    check_unchanged(f"{HEAD}{head}\n    def {method}(self, sd): ...\n", notes=notes)
