"""The verdict on each kind of site."""

import pytest

from ml_switcheroo.codemod.rewriter import rewrite
from rewriting import check_rewritten, check_unchanged

IMPORTS = "import torch\nfrom torch import nn, optim\n"
NET = "class Net(nn.Module):\n    pass\n"

LEFT = {
    "optimizer by name": ("optimizer.load_state_dict(sd)", "optimizer is an optimizer"),
    "optimizer by class": ("x = optim.Adam(p)\nx.load_state_dict(sd)", "x is an optimizer"),
    "optimizer by annotation": ("def f(x: optim.Optimizer):\n    x.load_state_dict(sd)", "is an optimizer"),
    "own optimizer": ("class My(optim.SGD): pass\nx = My()\nx.load_state_dict(sd)", "is an optimizer"),
    "scheduler": ("s = optim.lr_scheduler.StepLR(o, 1)\ns.load_state_dict(sd)", "is a scheduler"),
    "scheduler by name": ("self.lr_scheduler.load_state_dict(sd)", "is a scheduler"),
    "scaler": ("g = torch.cuda.amp.GradScaler()\ng.load_state_dict(sd)", "is a scaler"),
    "sampler": ("train_sampler.load_state_dict(sd)", "is a sampler"),
    "loader": ("d = torch.utils.data.DataLoader(x)\nd.load_state_dict(sd)", "is a loader"),
    "by key": ("state['optimizer'].load_state_dict(sd)", "is an optimizer"),
    "attribute": (
        "class T:\n    def __init__(self):\n        self.x = optim.SGD(p)\n"
        "    def load(self):\n        self.x.load_state_dict(sd)",
        "self.x is an optimizer",
    ),
    "either": (
        "x = Net() if a else optim.SGD(p)\nx.load_state_dict(sd)",
        "can be a model and can be an optimizer",
    ),
    "mixed loop": ("for x in (model, optimizer):\n    x.load_state_dict(sd)", "runs over objects"),
    "loop over arguments": (
        "def f(**k):\n    for name, value in k.items():\n        value.load_state_dict(sd[name])",
        "value runs over objects",
    ),
    "super": ("class A(nn.Module):\n    def load(self):\n        super().load_state_dict(sd)", "super()"),
    "super of an optimizer": (
        "class A(optim.SGD):\n    def load_state_dict(self, sd):\n        super().load_state_dict(sd)",
        "super() is an optimizer",
    ),
    "class": ("nn.Module.load_state_dict(net, sd)", "called on the class nn.Module"),
    "own class": ("Net.load_state_dict(net, sd)", "called on the class Net"),
    "file": ("import dist_util\ndist_util.load_state_dict('x.pt')", "dist_util is imported"),
    "from file": ("from . import utils\nutils.load_state_dict(net, sd)", "utils is imported"),
    "unknown self": ("class A(B):\n    def load(self):\n        self.load_state_dict(sd)", "class of self"),
    "not a module": (
        "class A:\n    def load_state_dict(self, s): ...\nx = A()\nx.load_state_dict(sd)",
        "no torch.nn.Module",
    ),
    "sharded": ("x = FSDP(Net())\nx.load_state_dict(sd)", "sharded over processes"),
    "awaited": ("async def f():\n    await actor.load_state_dict(sd)", "awaited"),
    "nothing": ("net.load_state_dict()", "does not show what is loaded"),
    "copy of optimizers": ("optimizer.load_state_dict(o.state_dict())", "is an optimizer"),
    "foreign argument": ("net.load_state_dict(sd, strict=True, cfg=c)", "cfg= is no argument of PyTorch's"),
    "four arguments": ("net.load_state_dict(sd, True, False, c)", "no more than three arguments"),
    "gathered": (
        "with FSDP.state_dict_type(net, kind):\n    net.load_state_dict(sd)",
        "net is sharded over processes",
    ),
    "distributed": (
        "def f(net, full):\n    sd = {}\n    for k in full:\n        sd[k] = distribute_tensor(full[k], m)\n"
        "    net.load_state_dict(sd, assign=True)",
        "net is sharded over processes",
    ),
    "sharded by annotation": (
        "def f(x: FSDPModule):\n    x.load_state_dict(sd)",
        "is sharded over processes",
    ),
    "tested optimizer": (
        "if isinstance(x, torch.optim.Optimizer):\n    x.load_state_dict(sd)",
        "x is an optimizer",
    ),
    "tested and more": (
        "if ok and isinstance(x, optim.SGD):\n    x.load_state_dict(sd)",
        "x is an optimizer",
    ),
    "iterator": ("epoch_itr.load_state_dict(sd)", "epoch_itr is a loader"),
    "quantised": ("x = torch.quantization.quantize_dynamic(Net())\nx.load_state_dict(sd)", "x is quantised"),
    "quantised by a method": ("x = q.quantize(Net())\nx.load_state_dict(sd)", "x is quantised"),
    "parameter of a class's name": (
        "def f(Net):\n    x = Net()\n    x.load_state_dict(sd, cfg=c)",
        "cfg= is no argument",
    ),
}


@pytest.mark.parametrize("to", ["nnx", "mlx", "equinox"])
@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_says_why(name, to):
    code, why = LEFT[name]
    code = IMPORTS + NET + code + "\n"
    line = code[: code.rindex(".load_state_dict(")].count("\n") + 1
    check_unchanged(code, to, notes=[f"{line}: {why}"])


def test_an_override_is_left_and_so_is_what_it_does_inside():
    check_unchanged(
        IMPORTS + "class Net(nn.Module):\n"
        "    def load_state_dict(self, sd, strict=True):\n"
        "        return self.model.load_state_dict(sd, strict)\n"
        "    def load(self, sd):\n"
        "        self.load_state_dict(sd)\n",
        notes=["4: Net overrides", "5: the inside of a load_state_dict", "7: the class of self has"],
    )


@pytest.mark.parametrize(
    "head",
    [
        "class EMA:\n    def load_state_dict(self, sd):\n        ",
        "class EMA(ABC):\n    def load_state_dict(self, sd):\n        ",
        "def load_state_dict(model, sd):\n    ",
    ],
)
def test_the_inside_of_what_no_model_has_is_rewritten(head):
    model = "model" if head.startswith("def") else "self.model"
    before = f"import torch\n{head}{model}.load_state_dict(sd)\n"
    check_rewritten(before, f"import torch\n#KEYMAPPER{head}KeyMapper.load_into({model}, sd)\n")


@pytest.mark.parametrize(
    ("code", "note"),
    [
        ("load = net.load_state_dict\nload(sd)", "1: net.load_state_dict is passed on as a method"),
        ("net._register_load_state_dict_pre_hook(f)", "1: a hook on the state dict"),
        ("torch.save(net.state_dict(), p)", "1: the state dict is saved by PyTorch"),
        ("torch.save({'model': net.state_dict(), 'epoch': 3}, p)", "1: the state dict is saved by PyTorch"),
        ("own = net.state_dict()\nown_state[name].copy_(load_state_dict)", "2: tensor by tensor"),
        ("net = torch.load(p)\nnet.eval()", "1: net is a whole pickled model"),
        ("torch.save(net, p)", "1: net is saved whole"),
    ],
)
def test_what_no_rewrite_touches_has_a_note(code, note):
    check_unchanged(code + "\n", notes=[note])


MODULES = {
    "by class": "x = Net()\nx.load_state_dict(sd)",
    "by method": "x = Net().to(d).eval()\nx.load_state_dict(sd)",
    "wrapped": "x = nn.DataParallel(Net())\nx.module.load_state_dict(sd)",
    "copied": "import copy\nx = copy.deepcopy(Net())\nx.load_state_dict(sd)",
    "made by a function": "def make():\n    n = Net()\n    return n\nx = make()\nx.load_state_dict(sd)",
    "annotated": "def f(x: 'Net'):\n    x.load_state_dict(sd)",
    "self": "class A(Net):\n    def load(self):\n        self.load_state_dict(sd)",
    "attribute": (
        "class T:\n    def __init__(self):\n        self.x = Net()\n"
        "    def load(self):\n        self.x.load_state_dict(sd)"
    ),
    "made by a property": (
        "class T:\n    @property\n    def kind(self):\n        return Net\n    def f(self):\n"
        "        model = self.kind(3)\n        model.load_state_dict(sd)"
    ),
    "made by a method": (
        "class T:\n    def make(self):\n        return Net()\n    def f(self):\n"
        "        x = self.make()\n        x.load_state_dict(sd)"
    ),
    "by another name": "Old = Net\nx = Old()\nx.load_state_dict(sd)",
    "wrapped again and again": "x = Net()\n" + "x = nn.DataParallel(x)\n" * 12 + "x.load_state_dict(sd)",
    "children": "for child in net.children():\n    child.load_state_dict(sd)",
    "named children": "for name, child in net.named_children():\n    child.load_state_dict(sd[name])",
    "item": "x = {}\nx['a'] = Net()\nx['a'].load_state_dict(sd)",
    "items": "x = [Net(), Net()]\nfor i in range(2):\n    x[i].load_state_dict(sd)",
    "part in a loop": "for i in range(2):\n    model.blocks[i].ff.load_state_dict(sd)",
    "tested": "for x in things:\n    if isinstance(x, nn.Module):\n        x.load_state_dict(sd)",
    "otherwise": "if isinstance(x, optim.SGD):\n    pass\nelse:\n    x.load_state_dict(sd)",
    "class of a library": "class A(lib.Base):\n    def forward(self, x): ...\n    def f(self):\n"
    "        self.load_state_dict(sd)",
    "loop": "for model in models:\n    model.load_state_dict(sd)",
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_rewritten(name):
    code = IMPORTS + NET + MODULES[name] + "\n"
    receiver = code.split("\n")[-2].split(".load_state_dict")[0].strip()
    after = code.replace(f"{receiver}.load_state_dict(", f"KeyMapper.load_into({receiver}, ")
    check_rewritten(code, after)


def test_a_module_that_overrides_is_rewritten_with_a_note():
    own = "class A(nn.Module):\n    def _load_from_state_dict(self, *a): ...\n"
    before = f"{IMPORTS}{own}x = A()\nx.load_state_dict(sd)\n"
    after = before.replace("x.load_state_dict(", "KeyMapper.load_into(x, ")
    check_rewritten(before, after, notes=["4: overrides", "6: changes names or values when it loads"])


def test_what_is_assigned_to_the_model_is_mended():
    check_rewritten(
        "import torch\nm = m.load_state_dict(sd, strict=False)\n",
        "import torch\n#KEYMAPPERKeyMapper.load_into(m, sd, strict=False)\n",
        notes=["2: assigned to the model itself"],
    )
    check_rewritten(
        "import torch\nmodel = Net()\nmodel = model.load_state_dict(sd)\n",
        "import torch\n#KEYMAPPERmodel = Net()\nmodel = KeyMapper.load_into(model, sd)\n",
        to="linen",
        notes=["3: assigned to the model itself"],
    )
    check_rewritten(
        "import torch\nmodel = model.load_state_dict(sd)\n",
        "import torch\n#KEYMAPPERmodel_params = KeyMapper.from_torch(sd)\n",
        to="jax",
        notes=["2: the arrays are in model_params"],
    )


# ---- targets of dictionaries -----------------------------------------------------------------------

FLAT = {
    "variable": ("net.load_state_dict(sd)", "net_params = KeyMapper.from_torch(sd)"),
    "attribute": ("self.net.load_state_dict(sd)", "self.net_params = KeyMapper.from_torch(sd)"),
    "wrapped": ("net.module.load_state_dict(sd)", "net_params = KeyMapper.from_torch(sd)"),
    "in parentheses": ("(net.load_state_dict(sd))", "net_params = KeyMapper.from_torch(sd)"),
    "loose, made here": (
        "net = Net()\nnet.load_state_dict(sd, strict=False)",
        "net = Net()\nnet_params = KeyMapper.from_torch(sd)",
    ),
    "in a block": ("if ok: net.load_state_dict(sd)", "if ok: net_params = KeyMapper.from_torch(sd)"),
}
NOT_FLAT = {
    "unpacked": ("missing, unexpected = net.load_state_dict(sd)", "the report of this call is used"),
    "printed": ("print(net.load_state_dict(sd))", "the report of this call is used"),
    "returned": ("def f():\n    return net.load_state_dict(sd)", "the report of this call is used"),
    "lambda": ("f = lambda: net.load_state_dict(sd)", "the report of this call is used"),
    "item": ("nets[0].load_state_dict(sd)", "it is an expression"),
    "loop": ("for net in nets:\n    net.load_state_dict(sd)", "it is another model each time"),
    "loose, of somebody else": (
        "def f(net):\n    net.load_state_dict(sd, strict=False)",
        "may add to what the model had before",
    ),
    "loose, of the object": (
        "self.net.load_state_dict(sd, strict=s)",
        "may add to what the model had before",
    ),
    "set in a loop": (
        "while more:\n    net = make()\n    net.load_state_dict(sd)",
        "it is another model each time",
    ),
    "name taken": ("net_params = 3\nnet.load_state_dict(sd)", "net_params is another thing in this file"),
    "unknown": ("x.load_state_dict(sd)", "nothing shows that this is a model"),
    "overriding": (
        "class A(nn.Module):\n    def load_state_dict(self, s): ...\nx = A()\nx.load_state_dict(sd)",
        "has a load_state_dict of its own",
    ),
    "copy": ("net.load_state_dict(model.state_dict())", "jax needs no state dict"),
}


@pytest.mark.parametrize("to", ["jax", "numpy"])
@pytest.mark.parametrize("name", FLAT)
def test_a_dictionary_of_arrays_gets_a_name(name, to):
    before, after = FLAT[name]
    result = check_rewritten(
        f"{IMPORTS}{before}\n",
        f"{IMPORTS}#KEYMAPPER{after}\n",
        to,
        notes=[f"{before.count(chr(10)) + 3}: hand them to the function that runs the model"],
    )
    assert result.notes[0].code == "SW306"


@pytest.mark.parametrize("name", NOT_FLAT)
def test_a_dictionary_of_arrays_that_nobody_would_keep_is_not_made(name):
    code, why = NOT_FLAT[name]
    code = f"{IMPORTS}{code}\n"
    line = (
        code[: code.rindex("load_state_dict(sd)" if "(sd)" in code else "load_state_dict(")].count("\n") + 1
    )
    others = ["4: A overrides"] if "class A" in code else []
    check_unchanged(code, "jax", notes=[f"{line}: {why}", *others])


@pytest.mark.parametrize(
    ("second", "adds"),
    [("strict=False", True), ("False", True), ("**more", True), ("strict=True", False), ("", False)],
)
def test_a_second_load_that_adds_to_the_first_is_left(second, adds):
    before = f"{IMPORTS}net = Net()\nnet.load_state_dict(sd)\nnet.load_state_dict(more, {second})\n".replace(
        ", )", ")"
    )
    result = rewrite(before, "jax")
    assert result.code.count("net_params = ") == 2 - adds
    assert ["adds to what line 4 loads" in note.text for note in result.notes] == [False, adds]


# ---- names of inner scopes -------------------------------------------------------------------------

SHADOWED = {
    "parameter": "def f(net, KeyMapper):\n    @",
    "keyword": "def f(net, *, KeyMapper=None):\n    @",
    "lambda": "f = lambda KeyMapper: @",
    "variable": "def f(net):\n    KeyMapper = make()\n    @",
    "import": "def f(net):\n    from other import KeyMapper\n    @",
    "class": "def f(net):\n    class KeyMapper: ...\n    @",
    "closure": "def f(KeyMapper):\n    def g():\n        @\n    return g",
    "comprehension": "x = [@ for KeyMapper in mappers]",
    "exception": "def f(net):\n    try: ...\n    except E as KeyMapper:\n        @",
    "body of a class": "class A:\n    KeyMapper = 3\n    @",
}
NOT_SHADOWED = {
    "another function": "def g(KeyMapper): ...\ndef f(net):\n    @",
    "the class around a method": "class A:\n    KeyMapper = 3\n    def f(self, net):\n        @",
    "an argument of a call": "def f(net):\n    g(KeyMapper=3)\n    @",
}


@pytest.mark.parametrize("name", SHADOWED)
def test_where_the_name_is_another_thing_the_call_stays(name):
    code = f"{IMPORTS}{SHADOWED[name]}\n".replace("@", "net.load_state_dict(sd)")
    line = code[: code.index("net.load")].count("\n") + 1
    check_unchanged(code, notes=[f"{line}: KeyMapper is another thing here"])


@pytest.mark.parametrize("name", NOT_SHADOWED)
def test_where_another_scope_has_the_name_the_call_is_rewritten(name):
    code = f"{IMPORTS}{NOT_SHADOWED[name]}\n"
    check_rewritten(
        code.replace("@", "net.load_state_dict(sd)"), code.replace("@", "KeyMapper.load_into(net, sd)")
    )


@pytest.mark.parametrize(
    "code",
    [
        "def f(Net):\n    x = Net()\n    x.load_state_dict(sd)",
        "def f():\n    Net = other()\n    x = Net()\n    x.load_state_dict(sd)",
        "net = Net()\ndef f():\n    net = other()\n    x = net\n    x.load_state_dict(sd)",
        "def f(optim):\n    x = optim.SGD()\n    x.load_state_dict(sd)",
    ],
)
def test_what_an_inner_scope_calls_by_a_name_is_not_what_the_file_does(code):
    check_unchanged(
        f"{IMPORTS}{NET}{code}\n", "equinox", notes=[f"{4 + code.count(chr(10)) + 1}: nothing shows"]
    )
