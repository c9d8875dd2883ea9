"""Targets whose models never change: the name is bound anew where that reaches everybody."""

import pytest

from rewriting import check_rewritten, check_unchanged

BOUND = {
    "at the top": ("net = Net()\n@", "net"),
    "in a function": ("def f():\n    net = Net()\n    @\n    return net(x)", "net"),
    "made on a device": ("net = Net().to(d)\n@", "net"),
    "moved": ("net = Net()\nnet = net.to(d)\n@", "net"),
    "parameter that is returned": ("def f(net):\n    @\n    return net", "net"),
    "parameter that is returned on a device": ("def f(net):\n    @\n    return net.eval(), 3", "net"),
    "parameter that is made anew": ("def f(net=None):\n    net = Net()\n    @", "net"),
    "printed": ("net = Net()\nprint(net)\n@", "net"),
    "attribute wrapped": (
        "class T:\n    def __init__(self):\n        self.model = DDP(self.model)\n"
        "        self.opt = Adam(self.model.parameters())\n    def f(self):\n        @",
        "self.model",
    ),
    "attribute": ("class T:\n    def f(self):\n        @", "self.model"),
    "global": ("def f():\n    global net\n    @", "net"),
    "made with another": ("net, diffusion = create(args)\n@", "net"),
    "used before": ("net = Net()\nn = count(net.parameters())\n@", "net"),
}

LEFT = {
    "parameter": ("def f(net):\n    @", "net", "the caller's"),
    "closure": ("def g():\n    net = Net()\n    def f():\n        @\n    return f", "net", "the code around"),
    "another name": ("def f(self):\n    net = self.model\n    @", "net", "keeps the old model"),
    "unwrapped": ("net = wrapped.to(d)\n@", "net", "keeps the old model"),
    "held": ("net = Net()\nrunner = Runner(net)\n@", "net", "line 3 keeps the old model"),
    "two names": ("net = model = Net()\n@", "net", "keeps the old model"),
    "taken from a list": ("def f(models):\n    net = models.pop()\n    @", "net", "keeps the old model"),
    "parameter, moved": ("def f(net):\n    net = net.to(d)\n    @", "net", "the caller's"),
    "parameter of what is returned": ("def f(net):\n    @\n    return score(net)", "net", "the caller's"),
    "appended": ("net = Net()\nnets.append(net)\n@", "net", "line 3 keeps the old model"),
    "set": ("net = Net()\nsetattr(trainer, 'net', net)\n@", "net", "line 3 keeps the old model"),
    "attribute given away": (
        "class T:\n    def __init__(self):\n        self.runner = Runner(self.model)\n"
        "    def f(self):\n        @",
        "self.model",
        "line 4 gives self.model to another object",
    ),
    "looked up": ("net = getattr(trainer, 'net')\n@", "net", "keeps the old model"),
    "one of two": ("net, n = self.net, 3\n@", "net", "keeps the old model"),
    "unpacked": ("net, ema = trainer.nets\n@", "net", "keeps the old model"),
    "loop": ("for net in nets:\n    @", "net", "keeps the old model"),
    "result used": ("r = @", "net", "result of this call is used"),
    "part": ("@", "net.encoder", "a part of one"),
    "expression": ("@", "nets[0]", "cannot be assigned"),
    "unknown": ("thing = make()\n@", "thing", "nothing shows that this is a model"),
    "part of a module": (
        "class T(torch.nn.Module):\n    def f(self):\n        @",
        "self.encoder",
        "self is one",
    ),
}


@pytest.mark.parametrize("to", ["linen", "equinox"])
@pytest.mark.parametrize("name", BOUND)
def test_the_name_is_bound_anew(name, to):
    code, receiver = BOUND[name]
    code = f"import torch\n{code}\n"
    before = code.replace("@", f"{receiver}.load_state_dict(sd)")
    check_rewritten(before, code.replace("@", f"{receiver} = KeyMapper.load_into({receiver}, sd)"), to)


def test_who_gave_the_model_to_the_object_keeps_the_old_one():
    before = (
        "class T:\n    def __init__(self, model):\n        self.model = model\n"
        "    def f(self, sd):\n        self.model.load_state_dict(sd)\n"
    )
    after = before.replace(
        "self.model.load_state_dict(sd)", "self.model = KeyMapper.load_into(self.model, sd)"
    )
    check_rewritten(before, f"#KEYMAPPER{after}", "linen", notes=["5: keeps the old one: line 3"])


@pytest.mark.parametrize("name", LEFT)
def test_it_is_left_where_others_would_keep_the_old_model(name):
    code, receiver, why = LEFT[name]
    code = f"import torch\n{code}\n".replace("@", f"{receiver}.load_state_dict(sd)")
    line = code[: code.index("load_state_dict")].count("\n") + 1
    check_unchanged(code, "linen", notes=[f"{line}: {why}"])


def test_a_copy_in_memory_shares_what_never_changes():
    check_rewritten(
        "target = Net()\ntarget.load_state_dict(net.state_dict())\n",
        "target = Net()\ntarget = net\n",
        "linen",
    )
