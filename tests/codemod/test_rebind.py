"""Targets whose models never change: the name is bound anew where that reaches everybody."""

import pytest

from ml_switcheroo.codemod.repository import rewrite_paths
from rewriting import check_rewritten, check_unchanged

BOUND = {
    "at the top": ("net = Net()\n@", "net"),
    "in a function": ("def f():\n    net = Net()\n    @\n    return net(x)", "net"),
    "made on a device": ("net = Net().to(d)\n@", "net"),
    "moved": ("net = Net()\nnet = net.to(d)\n@", "net"),
    "parameter that is made anew": ("def f(net=None):\n    net = Net()\n    @", "net"),
    "printed": ("net = Net()\nprint(net)\n@", "net"),
    "attribute wrapped": (
        "class T:\n    def __init__(self):\n        self.model = DDP(self.model)\n"
        "        self.opt = Adam(self.model.parameters())\n    def f(self):\n        @",
        "self.model",
    ),
    "attribute": ("class T:\n    def f(self):\n        @", "self.model"),
    "global": ("def f():\n    global net\n    @", "net"),
    "a loop before the model is made": ("for net in nets:\n    print(net)\nnet = Net()\n@", "net"),
    "a loop behind": ("net = Net()\n@\nfor net in nets:\n    print(net)", "net"),
    "held before it was made": ("net = Net()\nrunner = Runner(net)\nnet = Net()\n@", "net"),
    "looked at": ("net = Net()\nok = hasattr(net, 'head')\n@", "net"),
    "handed to a function that reads": (
        "def cut(net, sd):\n    return {k: sd[k] for k in net.names}\nnet = Net()\nsd = cut(net, sd)\n@",
        "net",
    ),
    "handed to a function that returns another argument": (
        "def cut(sd, net):\n    sd = only(sd, net.names)\n    return sd\nnet = Net()\nsd = cut(sd, net)\n@",
        "net",
    ),
    "looked up to be looked at": ("net = Net()\nok = hasattr(getattr(net, 'config', None), 'a')\n@", "net"),
    "part of what is made here": ("net = Wrapper().net\n@", "net"),
    "made of a configuration": (
        "net = Net(vae_config, args.model, layers, attn=use_attn, **model_args)\n@",
        "net",
    ),
    "made by the name of a model": ("net = create(model, pretrained=False)\n@", "net"),
    "made of layers": ("net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())\n@", "net"),
    "made with another": ("net, diffusion = create(args)\n@", "net"),
    "used before": ("net = Net()\nn = count(net.parameters())\n@", "net"),
}

LEFT = {
    "parameter": ("def f(net):\n    @", "net", "the caller's"),
    "made of another's parts": (
        "net = nn.ModuleList(unet.blocks.values())\n@",
        "net",
        "from something that may have it",
    ),
    "made of another": ("net = Classifier(backbone)\n@", "net", "from something that may have it"),
    "made of several": (
        "net = nn.Sequential(body, nn.Linear(2, 3))\n@",
        "net",
        "from something that may have it",
    ),
    "attribute of a variable": (
        "class T:\n    def f(self):\n        net = Net()\n        self.model = net.to(d)\n        use(net)\n"
        "    def g(self):\n        @",
        "self.model",
        "another name, or puts it",
    ),
    "closure": ("def g():\n    net = Net()\n    def f():\n        @\n    return f", "net", "the code around"),
    "another name": ("def f(self):\n    net = self.model\n    @", "net", "from something that may have it"),
    "unwrapped": ("net = wrapped.to(d)\n@", "net", "from something that may have it"),
    "held": ("net = Net()\nrunner = Runner(net)\n@", "net", "line 3 hands net to something that may keep it"),
    "two names": ("net = model = Net()\n@", "net", "another name, or puts it"),
    "taken from a list": (
        "def f(models):\n    net = models.pop()\n    @",
        "net",
        "from something that may have it",
    ),
    "parameter, moved": ("def f(net):\n    net = net.to(d)\n    @", "net", "the caller's"),
    "parameter of what is returned": ("def f(net):\n    @\n    return score(net)", "net", "the caller's"),
    "appended": (
        "net = Net()\nnets.append(net)\n@",
        "net",
        "line 3 gives the old model another name, or puts it",
    ),
    "set": (
        "net = Net()\nsetattr(trainer, 'net', net)\n@",
        "net",
        "line 3 gives the old model another name, or puts it",
    ),
    "attribute given away": (
        "class T:\n    def __init__(self):\n        self.runner = Runner(self.model)\n"
        "    def f(self):\n        @",
        "self.model",
        "line 4 gives self.model to another object",
    ),
    "looked up": ("net = getattr(trainer, 'net')\n@", "net", "from something that may have it"),
    "one of two": ("net, n = self.net, 3\n@", "net", "from something that may have it"),
    "unpacked": ("net, ema = trainer.nets\n@", "net", "from something that may have it"),
    "loop": ("for net in nets:\n    @", "net", "from something that may have it"),
    "handed to a function that keeps": (
        "def wrap(net):\n    w = W(net)\n    return w\nnet = Net()\nw = wrap(net)\n@",
        "net",
        "line 6 hands net to something that may keep it",
    ),
    "handed to a function that keeps it by another name": (
        "def cut(sd, net):\n    n = net\n    return sd\nnet = Net()\nsd = cut(sd, net)\n@",
        "net",
        "line 6 hands net to something that may keep it",
    ),
    "handed by name to a function that returns it": (
        "def cut(sd, net=None):\n    return net\nnet = Net()\nsd = cut(sd, net=net)\n@",
        "net",
        "line 5 hands net to something that may keep it",
    ),
    "starred into a function": (
        "def cut(sd, *more):\n    return more\nnet = Net()\nsd = cut(sd, net)\n@",
        "net",
        "line 5 hands net to something that may keep it",
    ),
    "looked up and kept": (
        "net = Net()\nx = str(wrap(net))\n@",
        "net",
        "line 3 hands net to something that may keep it",
    ),
    "made anew on one way": (
        "def f(net=None):\n    if net is None:\n        net = Net()\n    @",
        "net",
        "the caller's",
    ),
    "held again": (
        "net = Net()\nif ok:\n    net = Net()\nrunner = Runner(net)\n@",
        "net",
        "line 5 hands net to something that may keep it",
    ),
    "returned on one way": (
        "def f(net):\n    @\n    if ok:\n        return net\n    return 3\nnet = f(Net())",
        "net",
        "the caller's",
    ),
    "handed out, and never returned": (
        "def f(net, fix):\n    sd = fix(net)\n    @\n    return sd",
        "net",
        "the caller's",
    ),
    "handed out, and returned": (
        "def f(net, fix):\n    sd = fix(net)\n    @\n    return net\nnet = f(Net())",
        "net",
        "line 3 hands net to something that may keep it",
    ),
    "yielded": ("def f(net):\n    @\n    yield net", "net", "the caller's"),
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


# ---- who handed it in ----------------------------------------------------------------------------

RETURNS = {
    "whole": ("def f(net, p):\n    @\n    return net\n", "net = f(net, p)"),
    "with more": ("def f(p, net):\n    @\n    return net, 3\n", "net, step = f(p, net)"),
    "on a device": ("def f(net):\n    @\n    return net.eval()\n", "net = f(net).to(d)"),
    "by name": ("def f(p, *, net=None):\n    @\n    return net\n", "net = f(p, net=net)"),
    "of nobody": ("def f(net):\n    @\n    return net\n", "other = f(Net())"),
    "the last use": ("def f(net):\n    @\n    return net\n", "other = f(net)\nother(x)"),
    "method": ("class A:\n    def f(self, net):\n        @\n        return net\n", "net = A().f(net)"),
    "static": (
        "class A:\n    @staticmethod\n    def f(net):\n        @\n        return net\n".replace("@s", "%s"),
        "net = A.f(net)",
    ),
    "called twice": ("def f(net):\n    @\n    return net\n", "net = f(net)\nnet = f(net)"),
    "handed on": (
        "def f(net):\n    @\n    return net\ndef g(net):\n    net = f(net)\n    return net\n",
        "net = g(net)",
    ),
    "made in the caller": (
        "def f(net):\n    @\n    return net\n",
        "def main():\n    net = Net()\n    return f(net)",
    ),
}
DROPS = {
    "dropped": ("def f(net):\n    @\n    return net, 3\n", "f(net)\nnet(x)", "goes on with the model"),
    "another place": (
        "def f(net):\n    @\n    return net, 3\n",
        "step, net = f(net)\nnet(x)",
        "goes on with",
    ),
    "another name": (
        "def f(net):\n    @\n    return net\n",
        "other = f(net)\nnet(x)",
        "goes on with the model",
    ),
    "held": (
        "def f(net):\n    @\n    return net\n",
        "r = Runner(net)\nnet = f(net)",
        "goes on with the model",
    ),
    "in a loop": (
        "def f(net):\n    @\n    return net\n",
        "for i in x:\n    y = f(net)",
        "goes on with the model",
    ),
    "of an object": (
        "def f(net):\n    @\n    return net\n",
        "net = f(trainer.net)",
        "goes on with the model",
    ),
    "starred": ("def f(net):\n    @\n    return net\n", "net = f(*nets)", "goes on with the model"),
    "nobody": ("def f(net):\n    @\n    return net\n", "", "no call of f shows"),
    "passed on": ("def f(net):\n    @\n    return net\n", "net = f(net)\nrun(f)", "no call of f shows"),
    "the caller's caller": (
        "def f(net):\n    @\n    return net\ndef g(net):\n    net = f(net)\n    net(x)\n",
        "g(net)",
        "goes on with the model",
    ),
    "one of two": (
        "def f(net):\n    @\n    return net\n",
        "net = f(net)\nf(net)\nnet(x)",
        "goes on with the model",
    ),
}


def placed(function, caller):
    code = f"import torch\nnet = Net()\n{function}{caller}\n".replace("@", "net.load_state_dict(sd)")
    return code.replace("%static", "@static")


@pytest.mark.parametrize("name", RETURNS)
def test_the_callers_take_the_model_that_is_returned(name):
    before = placed(*RETURNS[name])
    after = before.replace("net.load_state_dict(sd)", "net = KeyMapper.load_into(net, sd)")
    check_rewritten(before, after, "equinox")


@pytest.mark.parametrize("name", DROPS)
def test_a_caller_that_goes_on_with_the_old_model(name):
    function, caller, why = DROPS[name]
    code = placed(function, caller)
    line = code[: code.index("load_state_dict")].count("\n") + 1
    check_unchanged(code, "equinox", notes=[f"{line}: {why}"])


@pytest.mark.parametrize(
    ("caller", "taken"),
    [
        ("from tools import f\nnet = Net()\nnet = f(net)\n", True),
        ("from tools import f\nnet = Net()\nf(net)\nnet(x)\n", False),
        ("import tools\nnet = Net()\nnet = tools.f(net)\n", True),
        ("from tools import f as load\nnet = Net()\nnet = load(net)\n", False),
    ],
)
def test_callers_in_other_files_count(caller, taken, tmp_path):
    code = "import torch\ndef f(net):\n    net.load_state_dict(sd)\n    return net\n"
    (tmp_path / "tools.py").write_text(code)
    (tmp_path / "train.py").write_text(caller)
    (done,) = (one for one in rewrite_paths([tmp_path], "equinox") if one.path.name == "tools.py")
    assert done.changed == taken


def test_a_call_in_a_notebook_is_one_that_nobody_reads(tmp_path):
    (tmp_path / "tools.py").write_text(
        "def f(net):\n    net.load_state_dict(sd)\n    return net\nnet = f(Net())\n"
    )
    (done,) = rewrite_paths([tmp_path], "equinox")
    assert done.changed
    (tmp_path / "a.ipynb").write_text('{"cells": [{"cell_type": "code", "source": "y = f(net)"}]}')
    (done,) = rewrite_paths([tmp_path], "equinox")
    assert not done.changed


TRAINER = (
    "class T:\n    def __init__(self, model):\n        self.model = model\n"
    "    def load(self, sd):\n        self.model.load_state_dict(sd)\n"
)


@pytest.mark.parametrize(
    ("makes", "place"),
    [
        ("t = T(Net())\n", ""),
        ("net = Net()\nt = T(net)\nt.load(sd)\ny = t.model(x)\n", ""),
        ("t = T(model=Net().to(d))\n", ""),
        ("", "whoever calls T"),
        ("net = Net()\nt = T(net)\nt.load(sd)\ny = net(x)\n", "<source>:7"),
        ("def f(net):\n    t = T(net)\n    t.load(sd)\n", "<source>:7"),
        ("t = T(other.net)\n", "<source>:6"),
        (
            "net = Net()\nt = T(net)\ny = net(x)\n".replace("model = model", "model = DDP(model)"),
            "<source>:7",
        ),
        ("class S(T): ...\nt = T(Net())\n", "a class that T is a base of"),
    ],
)
def test_who_gave_the_model_to_the_object_must_not_keep_the_old_one(makes, place):
    before = TRAINER + makes
    if place:
        check_unchanged(before, "linen", notes=[f"5: {place} gave self.model to this object"])
        return
    after = before.replace(
        "self.model.load_state_dict(sd)", "self.model = KeyMapper.load_into(self.model, sd)"
    )
    check_rewritten(before, f"#KEYMAPPER{after}", "linen")


@pytest.mark.parametrize(
    "wrapped", ["model.to(d)", "DDP(model)", "DDP(model.to(d), ids)", "torch.compile(model)"]
)
def test_what_is_wrapped_was_given_all_the_same(wrapped):
    code = TRAINER.replace("self.model = model", f"self.model = {wrapped}")
    check_unchanged(
        f"{code}net = Net()\nt = T(net)\ny = net(x)\n", "linen", notes=["5: <source>:7 gave self.model"]
    )


def test_who_took_the_model_out_of_the_object_keeps_the_old_one():
    code = f"{TRAINER}t = T(Net())\nnet = t.model\nt.load(sd)\ny = net(x)\n"
    check_unchanged(code, "linen", notes=["5: line 7 of <source> gives the old model another name"])


# ---- the report ------------------------------------------------------------------------------------

REPORTS = {
    "unpacked": ("missing, unexpected = @", "net, (missing, unexpected) = #"),
    "in parentheses": ("(missing, unexpected) = @", "net, (missing, unexpected) = #"),
    "bound": ("msg = @\nprint(msg)", "net, msg = #\nprint(msg)"),
    "bound to an attribute": ("a.msg = @", "net, a.msg = #"),
    "over two lines": ("msg = \\\n    @", "net, msg = \\\n    #"),
    "printed": ("print(@)", "net, report = #\nprint(report)"),
    "printed with more": (
        "print('loaded', name, @, sep=' ')",
        "net, report = #\nprint('loaded', name, report, sep=' ')",
    ),
    "asserted": ("assert not @.missing_keys", "net, report = #\nassert not report.missing_keys"),
    "asserted, empty": ("assert @ == ([], [])", "net, report = #\nassert report == ([], [])"),
    "tested": ("if @.missing_keys:\n    fail()", "net, report = #\nif report.missing_keys:\n    fail()"),
    "run over": (
        "for k in @.missing_keys:\n    log(k)",
        "net, report = #\nfor k in report.missing_keys:\n    log(k)",
    ),
    "returned": (
        "def f():\n    net = Net()\n    return net, @",
        "def f():\n    net = Net()\n    net, report = #\n    return net, report",
    ),
    "returned alone": (
        "def f():\n    net = Net()\n    return @",
        "def f():\n    net = Net()\n    net, report = #\n    return report",
    ),
    "a part": ("keys = @.missing_keys", "net, report = #\nkeys = report.missing_keys"),
    "name taken": ("report = 3\nprint(@)", "report = 3\nnet, report_2 = #\nprint(report_2)"),
    "behind a call": ("print(f(), @)", None),
    "perhaps": ("ok and @", None),
    "one of two": ("x = 3 if ok else @", None),
    "first of two": ("x = @ or 3", "net, report = #\nx = report or 3"),
    "in a comprehension": ("x = [@ for i in y]", None),
    "lambda": ("f = lambda: @", None),
    "behind a colon": ("if ok: print(@)", None),
    "behind a semicolon": ("a = 3; print(@)", None),
    "elif": ("if ok:\n    pass\nelif @.missing_keys:\n    fail()", None),
    "while": ("while @.missing_keys:\n    fail()", None),
    "in a message": ("assert ok, @", None),
    "in a string": ("log(f'{@}')", "net, report = #\nlog(f'{report}')"),
}


@pytest.mark.parametrize("to", ["linen", "equinox"])
@pytest.mark.parametrize("name", REPORTS)
def test_the_report_comes_beside_the_model(name, to):
    before, after = REPORTS[name]
    head = "import torch\nnet = Net()\n"
    before = f"{head}{before}\n".replace("@", "net.load_state_dict(sd, strict=False)")
    if after is None:
        line = before[: before.index("load_state_dict")].count("\n") + 1
        check_unchanged(before, to, notes=[f"{line}: the result of this call is used"])
        return
    call = "KeyMapper.load_into(net, sd, strict=False, with_report=True)"
    check_rewritten(before, f"{head}{after}\n".replace("#", call), to)


@pytest.mark.parametrize("name", LEFT)
def test_it_is_left_where_others_would_keep_the_old_model(name):
    code, receiver, why = LEFT[name]
    code = f"import torch\n{code}\n".replace("@", f"{receiver}.load_state_dict(sd)")
    line = code[: code.index("load_state_dict")].count("\n") + 1
    check_unchanged(code, "linen", notes=[f"{line}: {why}"])
