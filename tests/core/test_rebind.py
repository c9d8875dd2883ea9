"""Targets whose models never change: the name is bound anew where that reaches everybody."""

import pytest

from rewriting import check_rewritten, check_unchanged

BOUND = {
    "at the top": ("net = Net()\n@", "net"),
    "in a function": ("def f():\n    net = Net()\n    @\n    return net(x)", "net"),
    "made on a device": ("net = Net().to(d)\n@", "net"),
    "moved": ("net = Net()\nnet = net.to(d)\n@", "net"),
    "parameter that is returned": ("def f(net):\n    @\n    return net", "net"),
    "attribute": ("class T:\n    def f(self):\n        @", "self.model"),
    "global": ("def f():\n    global net\n    @", "net"),
    "used before": ("net = Net()\nn = count(net.parameters())\n@", "net"),
}

LEFT = {
    "parameter": ("def f(net):\n    @", "net", "the caller's"),
    "closure": ("def g():\n    net = Net()\n    def f():\n        @\n    return f", "net", "the code around"),
    "another name": ("def f(self):\n    net = self.model\n    @", "net", "keeps the old model"),
    "unwrapped": ("net = wrapped.to(d)\n@", "net", "keeps the old model"),
    "held": ("net = Net()\nrunner = Runner(net)\n@", "net", "line 3 keeps the old model"),
    "two names": ("net = model = Net()\n@", "net", "keeps the old model"),
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
