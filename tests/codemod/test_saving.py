"""``torch.save(model.state_dict(), p)``: left with a note, and rewritten on request."""

import pytest

from rewriting import check_rewritten, check_unchanged

HEAD = "import torch\n"
SAVED = {
    "direct": ("torch.save(net.state_dict(), p)", "torch.save(KeyMapper.to_torch(net), p)"),
    "keyword": ("torch.save(f=p, obj=net.state_dict())", "torch.save(f=p, obj=KeyMapper.to_torch(net))"),
    "unwrapped": ("torch.save(net.module.state_dict(), p)", "torch.save(KeyMapper.to_torch(net.module), p)"),
    "part of a checkpoint": (
        "torch.save({'net': net.state_dict(), 'epoch': 3}, p)",
        "torch.save({'net': KeyMapper.to_torch(net), 'epoch': 3}, p)",
    ),
    "variable": (
        "ckpt = {'net': net.state_dict()}\ntorch.save(ckpt, p)",
        "ckpt = {'net': KeyMapper.to_torch(net)}\ntorch.save(ckpt, p)",
    ),
    "added later": (
        "ckpt = {}\nckpt['net'] = net.state_dict()\ntorch.save(ckpt, p)",
        "ckpt = {}\nckpt['net'] = KeyMapper.to_torch(net)\ntorch.save(ckpt, p)",
    ),
    "nested": (
        "a = {'net': net.state_dict()}\nb = {'all': a}\ntorch.save(b, p)",
        "a = {'net': KeyMapper.to_torch(net)}\nb = {'all': a}\ntorch.save(b, p)",
    ),
    "cast first": (
        "sd = net.state_dict()\nhalf = {k: v.half() for k, v in sd.items()}\ntorch.save(half, p)",
        "sd = KeyMapper.to_torch(net)\nhalf = {k: v.half() for k, v in sd.items()}\ntorch.save(half, p)",
    ),
    "filled in a loop": (
        "out = {}\nfor k, v in net.state_dict().items():\n    out[k] = v.cpu()\ntorch.save(out, p)",
        "out = {}\nfor k, v in KeyMapper.to_torch(net).items():\n    out[k] = v.cpu()\ntorch.save(out, p)",
    ),
    "updated": (
        "out = {'epoch': 1}\nout.update(net=net.state_dict())\ntorch.save(out, p)",
        "out = {'epoch': 1}\nout.update(net=KeyMapper.to_torch(net))\ntorch.save(out, p)",
    ),
    "nobody knows": ("torch.save(thing.state_dict(), p)", "torch.save(KeyMapper.to_torch(thing), p)"),
}


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize("to", ["nnx", "equinox"])
def test_on_request_the_port_is_saved(name, to):
    before, after = SAVED[name]
    check_rewritten(f"{HEAD}{before}\n", f"{HEAD}#KEYMAPPER{after}\n", to, save=True)


@pytest.mark.parametrize("name", SAVED)
def test_by_default_it_is_left_with_a_note(name):
    before, _ = SAVED[name]
    line = 1 + f"{HEAD}{before}".count("\n")
    check_unchanged(f"{HEAD}{before}\n", notes=[f"{line}: the state dict is saved by PyTorch; --save"])


THROUGH = {
    "safetensors": (
        "from safetensors.torch import save_file\nsave_file(net.state_dict(), p)",
        "safetensors.torch.save_file",
    ),
    "a variable": (
        "import safetensors.torch as st\nsd = net.state_dict()\nst.save_file(sd, p)",
        "safetensors.torch.save_file",
    ),
    "torch by another name": ("import torch as th\nth.save(net.state_dict(), p)", "PyTorch"),
    "numpy": ("np.save(p, net.state_dict())", "np.save"),
    "pickle": ("import pickle\npickle.dump(net.state_dict(), f)", "pickle.dump"),
    "a helper of another file": ("save_checkpoint({'net': net.state_dict()}, p)", "save_checkpoint"),
    "a method": ("self.accelerator.save(net.state_dict(), p)", "self.accelerator.save"),
    "a helper of this file": (
        "def keep(state, path):\n    torch.save({'net': state}, path)\nkeep(net.state_dict(), p)",
        "keep",
    ),
    "a function that collects": (
        "def collect():\n    return {'net': net.state_dict()}\nfabric.save(p, collect())",
        "fabric.save",
    ),
}


@pytest.mark.parametrize("name", THROUGH)
def test_a_save_through_another_function_has_the_same_note(name):
    code, by = THROUGH[name]
    line = 1 + f"{HEAD}{code}".count("\n")
    check_unchanged(f"{HEAD}{code}\n", notes=[f"{line}: the state dict is saved by {by}; --save"])
    after = code.replace("net.state_dict()", "KeyMapper.to_torch(net)")
    result = check_rewritten(f"{HEAD}{code}\n", f"{HEAD}{after}\n", save=True)
    assert result.notes == ()


def test_each_save_of_one_state_dict_has_a_note_and_it_is_rewritten_once():
    code = f"{HEAD}ckpt = {{'net': net.state_dict()}}\ntorch.save(ckpt, a)\ntorch.save(ckpt, b)\n"
    check_unchanged(code, notes=["3: saved by PyTorch", "4: saved by PyTorch"])
    check_rewritten(code, code.replace("net.state_dict()", "KeyMapper.to_torch(net)"), save=True)


WHOLE = {
    "by name": "torch.save(net, p)",
    "by class": "class A(torch.nn.Module): pass\nx = A()\ntorch.save(x, p)",
    "in a dictionary": "torch.save({'model': net, 'epoch': 3}, p)",
    "in a variable": "ckpt = {'ema': ema_model, 'epoch': 3}\ntorch.save(ckpt, p)",
    "in dict()": "torch.save(dict(model=net), p)",
    "copied": "from copy import deepcopy\ntorch.save({'model': deepcopy(net.module).half()}, p)",
    "pickled": "import pickle\npickle.dump(net, f)",
    "under another name": "import torch as th\nth.save(net, p)",
    "argument": "def keep(model, path):\n    model.eval()\n    torch.save(model, path)",
}


@pytest.mark.parametrize("save", [False, True])
@pytest.mark.parametrize("name", WHOLE)
def test_a_model_that_is_saved_whole_has_a_note(name, save):
    code = f"{HEAD}{WHOLE[name]}"
    check_unchanged(code + "\n", save=save, notes=[f"{1 + code.count(chr(10))}: saved whole, by pickle"])


@pytest.mark.parametrize(
    "code",
    [
        "torch.save(model_a + model_b, p)",
        "model_data = {'args': 1}\ntorch.save(model_data, p)",
        "torch.save(model_state_dict, p)",
        "model = {}\nmodel['a'] = 1\ntorch.save(model, p)",
        "def merge(model, p):\n    for k in model.keys(): ...\n    torch.save(model, p)",
        "net = torch.load(q)\nnet = {k: v for k, v in net.items()}\ntorch.save(net, p)",
        "torch.save({'attention_mask': attention_mask, 'model_class': model_class}, p)",
        "torch.save({'pad': model.padding_token}, p)",
        "def f(model, p):\n    save_file(model, p)\n    torch.save(model, p)",
        "torch.save(uncond_embeddings, p)",
        "image.save(net)",
        "optim = torch.optim.SGD(q)\ntorch.save({'model': optim}, p)",
    ],
)
def test_what_is_no_model_is_not_saved_whole(code):
    check_unchanged(f"{HEAD}{code}\n")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("torch.save(optimizer.state_dict(), p)", "optimizer is an optimizer, which holds no weights"),
        ("torch.save(net.state_dict(keep_vars=True), p)", "the arguments of this state_dict()"),
        ("torch.save(net, p)", "net is saved whole, by pickle"),
        ("torch.save(FSDP(net).state_dict(), p)", "its state dict is not PyTorch's own"),
    ],
)
def test_what_is_no_plain_state_dict_of_a_model_is_left(code, why):
    check_unchanged(f"{HEAD}{code}\n", save=True, notes=[f"2: {why}"])


@pytest.mark.parametrize("to", ["linen", "haiku", "jax", "numpy"])
def test_targets_whose_trees_do_not_show_the_names(to):
    check_unchanged(f"{HEAD}torch.save(net.state_dict(), p)\n", to, save=True, notes=["2: does not show"])


@pytest.mark.parametrize(
    "code",
    [
        "state = net.state_dict()",
        "torch.save(x, p)",
        "show(net.state_dict())",
        "torch.save({k: torch.randn(v.shape) for k, v in net.state_dict().items()}, p)",
        "torch.save([o.state_dict() for o in self.optimizers], p)",
        "state = []\nfor o in self.optimizers:\n    state.append(o.state_dict())\ntorch.save(state, p)",
        "np.save(p, len(net.state_dict()))",
        "torch.save(optimizer.state_dict(), p)",
        "def f():\n    state = net.state_dict()\ntorch.save(state, p)",
    ],
)
@pytest.mark.parametrize("save", [False, True])
def test_what_saves_no_model_stays_without_a_note(code, save):
    line = 2 + code.partition(".state_dict")[0].count("\n")
    notes = [f"{line}: holds no weights"] if "optimizer" in code and save else []
    check_unchanged(f"{HEAD}{code}\n", save=save, notes=notes)
