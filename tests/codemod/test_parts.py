"""Parts of models that never change: what was just put there is put there again; Equinox takes new parts."""

import pytest

from ml_switcheroo.codemod.rewriter import rewrite
from rewriting import check_rewritten, check_unchanged

HEAD = "import torch\nfrom torch import nn\nclass Net(nn.Module): ...\n"

AGAIN = {
    "item": ("nets[k] = Net()\n@", "nets[k]"),
    "item in a loop": ("for k in names:\n    nets[k] = Net().to(d)\n    nets[k].eval()\n    @", "nets[k]"),
    "item of an item": ("nets['a'][0] = Net()\n@", "nets['a'][0]"),
    "of another object": ("pipe.unet = Net()\n@", "pipe.unet"),
    "on a device": ("with torch.device('meta'):\n    pipe.unet = Net()\n@", "pipe.unet"),
    "of a module": (
        "class P(nn.Module):\n    def f(self):\n        self.a = Net()\n        self.n = 3\n        @",
        "self.a",
    ),
    "made of numbers that are called so": (
        "nets[k] = Net(cross_attention_dim, dim=cfg.num_layers)\n@",
        "nets[k]",
    ),
    "with lines between": ("nets[k] = Net()\nprint(3)\nsd = torch.load(p)\n@", "nets[k]"),
}
NOT_AGAIN = {
    "taken": "nets[k] = Net()\nnet = nets[k]\n@",
    "given away": "nets[k] = Net()\nrun(nets[k])\n@",
    "given away with the others": "nets[k] = Net()\nrun(nets)\n@",
    "perhaps taken by a method": "nets[k] = Net()\nnets.freeze()\n@",
    "kept by what it returns": "nets[k] = Net()\nx = nets[k].eval()\n@",
    "another item": "nets[k] = Net()\nk = 2\n@",
    "another item of a loop": "nets[k] = Net()\nfor k in x:\n    pass\n@",
    "an item of another container": "nets[k] = Net()\nnets = more\n@",
    "made on one way": "if a:\n    nets[k] = Net()\n@",
    "by a second name": "nets[k] = other = Net()\n@",
    "somebody's": "nets[k] = other\n@",
    "moved": "nets[k] = nets[k].to(d)\n@",
    "made of itself": "nets[k] = wrap(nets[k])\n@",
    "made of another": "nets[k] = prepared(model, 3)\n@",
    "made of another's part": "nets[k] = Head(wrapper.backbone)\n@",
    "put there in another block": "nets[k] = Net()\nif a:\n    @",
}

PARTS = {
    "attribute": ("net = Net()\n@", "net.head", '"head"'),
    "item": ("net = Net()\n@", "net.blocks[0]", '"blocks.0"'),
    "deep": ("net = Net()\nfor i in x:\n    @", "net.blocks[i].attn.q", 'f"blocks.{i}.attn.q"'),
    "made by the class": (
        "class A(nn.Module):\n    @classmethod\n    def f(cls):\n        net = cls()\n        @",
        "net.a",
        '"a"',
    ),
    "handed back": ("def f(net: Net):\n    @\n    return net\nnet = f(Net())", "net.head", '"head"'),
    "made and put there": (
        "net = Net()\nnet.head = nn.Linear(2, 3)\nprint(net.f())\n@",
        "net.head",
        '"head"',
    ),
    "another part is another's": ("net = Net()\nnet.tail = other.tail\n@", "net.head", '"head"'),
    "item by name": ("net = Net()\n@", "net.blocks['a_1'].q", '"blocks.a_1.q"'),
}
NO_PARTS = {
    "no module": ("from lib import pipeline\npipe = pipeline(p)\n@", "pipe.unet"),
    "the caller's": ("def f(net: Net):\n    @", "net.head"),
    "taken": ("net = Net()\nhead = net.head\n@", "net.head"),
    "another's": ("net = Net()\nnet.head = other.head\n@", "net.head"),
    "within another's": ("net = Net()\nnet.mid = other.mid\n@", "net.mid.attn"),
    "with another's within": ("net = Net()\nnet.mid.attn = other.attn\n@", "net.mid"),
    "taken from inside": ("net = Net()\nhead = net.blocks[0].head\n@", "net.blocks[0]"),
    "given to another": ("net = Net()\nrun = Runner(net.head)\n@", "net.head"),
    "the whole is held": ("net = Net()\nrun = Runner(net)\n@", "net.head"),
    "a way that computes": ("net = Net()\n@", "net.blocks[i + 1]"),
    "a wrapper": ("net = nn.DataParallel(Net())\n@", "net.module"),
    "of a method": ("net = Net()\n@", "net.part(3)"),
    "an item whose name has dots": ("net = Net()\n@", "net.blocks['a.b']"),
    "an item by two": ("net = Net()\n@", "net.blocks[1, 2]"),
}

BUILT = {
    "made": ("self.a = Net()\n        n = 3\n        if p:\n            @", True),
    "with parameters read": ("self.a = Net()\n        n = count(self.a.parameters())\n        @", True),
    "handed in": ("self.a = p\n        @", False),
    "made of what was handed in": ("self.a = Head(model)\n        n = f(3)\n        @", False),
    "taken": ("self.a = Net()\n        self.b = self.a\n        @", False),
    "taken from inside": ("self.a = Net()\n        self.b = self.a.head\n        @", False),
    "given to another": ("self.a = Net()\n        self.b = Head(self.a)\n        @", False),
    "made by nobody here": ("n = 3\n        @", False),
    "made behind": ("if p:\n            @\n        self.a = Net()", False),
}


def placed(code, receiver):
    return f"{HEAD}{code}\n".replace("@", f"{receiver}.load_state_dict(sd)", 1)


@pytest.mark.parametrize("to", ["equinox", "linen", "haiku"])
@pytest.mark.parametrize("name", AGAIN)
def test_what_was_just_put_there_is_put_there_again(name, to):
    code, receiver = AGAIN[name]
    before = placed(code, receiver)
    after = before.replace(
        f"{receiver}.load_state_dict(sd)", f"{receiver} = KeyMapper.load_into({receiver}, sd)"
    )
    check_rewritten(before, after, to)


@pytest.mark.parametrize("name", NOT_AGAIN)
def test_what_may_be_had_by_another_is_left(name):
    result = rewrite(placed(NOT_AGAIN[name], "nets[k]"), "linen")
    assert (result.edits, [note.row.left for note in result.notes]) == ((), [True])


def test_the_report_of_what_was_just_put_there():
    before = placed("nets[k] = Net()\nm = @", "nets[k]")
    after = before.replace(
        "m = nets[k].load_state_dict(sd)",
        "nets[k], m = KeyMapper.load_into(nets[k], sd, with_report=True)",
    )
    check_rewritten(before, after, "haiku")


@pytest.mark.parametrize("to", ["equinox", "linen", "haiku"])
@pytest.mark.parametrize("name", PARTS)
def test_the_model_is_bound_anew_with_a_new_part(name, to):
    code, receiver, path = PARTS[name]
    before = (
        f"{HEAD}{code}\n".replace("@c", "%c")
        .replace("@", f"{receiver}.load_state_dict(sd)")
        .replace("%c", "@c")
    )
    call = f"net = KeyMapper.load_part(net, {path}, sd)"
    check_rewritten(before, before.replace(f"{receiver}.load_state_dict(sd)", call), to)


@pytest.mark.parametrize("name", NO_PARTS)
def test_a_part_that_others_have_is_left(name):
    result = rewrite(placed(*NO_PARTS[name]), "equinox")
    assert (result.edits, [note.row.left for note in result.notes]) == ((), [True])


COPIES = {
    "both": ("net.a", "o.a", 'net = KeyMapper.copy_part(net, "a", o, "a")'),
    "of the whole": ("net.a", "o", 'net = KeyMapper.copy_part(net, "a", o, "")'),
    "items": ("net.a[i]", "o.b[0].c", 'net = KeyMapper.copy_part(net, f"a.{i}", o, "b.0.c")'),
    "of what is called a model": (
        "net.embed",
        "transformer.embed",
        'net = KeyMapper.copy_part(net, "embed", transformer, "embed")',
    ),
    "out of a wrapper": ("net.a", "w.module", 'net = KeyMapper.copy_part(net, "a", w.module, "")'),
}


@pytest.mark.parametrize("to", ["equinox", "linen", "haiku"])
@pytest.mark.parametrize("name", COPIES)
def test_a_part_is_copied_like_a_model(name, to):
    target, online, after = COPIES[name]
    head = f"{HEAD}def f(o: Net):\n    net, w = Net(), nn.DataParallel(Net())\n    "
    before = f"{head}{target}.load_state_dict({online}.state_dict())\n"
    check_rewritten(before, f"{head}{after}\n", to, notes=["6: need not be of one class"])


@pytest.mark.parametrize("to", ["equinox", "linen", "haiku"])
def test_a_part_of_a_model_that_another_object_has(to):
    before = (
        f"{HEAD}class T:\n    def __init__(self):\n        self.net = Net()\n"
        "    def f(self):\n        n = Net()\n"
        "        n.a.load_state_dict(self.net.c.state_dict())\n"
    )
    after = before.replace(
        "n.a.load_state_dict(self.net.c.state_dict())", 'n = KeyMapper.copy_part(n, "a", self.net, "c")'
    )
    check_rewritten(before, after, to, notes=["9: need not be of one class"])


@pytest.mark.parametrize("to", ["equinox", "linen", "haiku"])
@pytest.mark.parametrize(
    ("online", "after"),
    [("self", 'self, ""'), ("self.a", 'self.a, ""'), ("self.net.b", 'self.net, "b"')],
)
def test_what_self_has_is_a_model_of_its_own(online, after, to):
    before = (
        f"{HEAD}class A(nn.Module):\n    def f(self):\n        n = Net()\n"
        f"        n.a.load_state_dict({online}.state_dict())\n"
    )
    old = f"n.a.load_state_dict({online}.state_dict())"
    after = before.replace(old, f'n = KeyMapper.copy_part(n, "a", {after})')
    check_rewritten(before, after, to, notes=["7: need not be of one class"])


@pytest.mark.parametrize("online", ["w.module.a", "o.a[i + 1]"])
def test_a_copy_of_a_part_that_a_tree_has_under_no_path_is_left(online):
    code = (
        f"{HEAD}class A(Net):\n    def f(self, o: Net):\n        net, w = Net(), nn.DataParallel(Net())\n"
        f"        net.a.load_state_dict({online}.state_dict())\n"
    )
    check_unchanged(code, "linen", notes=["7: a part of one"])
    assert "net = KeyMapper.copy_part(net, " in rewrite(code, "equinox").code


@pytest.mark.parametrize(
    ("to", "after"), [("linen", 'copy_part(net, "", o, "a")'), ("equinox", "copy_into(net, o.a)")]
)
def test_a_model_that_is_copied_from_a_part(to, after):
    before = f"{HEAD}def f(o: Net):\n    net = Net()\n    net.load_state_dict(o.a.state_dict())\n"
    after = before.replace("net.load_state_dict(o.a.state_dict())", f"net = KeyMapper.{after}")
    check_rewritten(before, after, to, notes=["6: need not be of one class"])


@pytest.mark.parametrize("to", ["equinox", "linen", "haiku"])
def test_the_report_of_a_part(to):
    before = f"{HEAD}net = Net()\nprint(net.head.load_state_dict(sd, False))\n"
    after = f"""{HEAD}net = Net()
net, report = KeyMapper.load_part(net, "head", sd, False, with_report=True)
print(report)
"""
    check_rewritten(before, after, to)


def test_the_result_of_a_part_is_not_the_part():
    check_unchanged(
        f"{HEAD}net = Net()\nnet.head = net.head.load_state_dict(sd)\n", "linen", notes=["5: a part of"]
    )


@pytest.mark.parametrize("name", BUILT)
def test_a_module_of_equinox_sets_its_parts_while_it_is_made(name):
    code, taken = BUILT[name]
    code = f"class P(nn.Module):\n    def __init__(self, p, model):\n        {code}"
    before = placed(code, "self.a")
    assert ("self.a = KeyMapper.load_into(self.a, sd)" in rewrite(before, "equinox").code) == taken
    assert not rewrite(before, "linen").edits
    later = before.replace("__init__", "build")
    assert not rewrite(later, "equinox").edits
