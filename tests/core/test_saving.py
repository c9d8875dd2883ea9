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
        "np.save(p, net.state_dict())",
        "torch.save(optimizer.state_dict(), p)",
        "def f():\n    state = net.state_dict()\ntorch.save(state, p)",
    ],
)
@pytest.mark.parametrize("save", [False, True])
def test_what_saves_no_model_stays_without_a_note(code, save):
    notes = ["2: holds no weights"] if "optimizer" in code and save else []
    check_unchanged(f"{HEAD}{code}\n", save=save, notes=notes)
