"""Copies between live models: only between two that the code shows to be modules."""

import pytest

from ml_switcheroo.codemod.layouts import source_folders
from ml_switcheroo.codemod.rewriter import rewrite
from rewriting import check_rewritten, check_unchanged

IMPORTS = "import copy\nimport torch\nfrom torch import nn\n"
CLASSES = "class Net(nn.Module): ...\nclass Other(nn.Module): ...\n"

ALIKE = {
    "two of one class": "t = Net(3)\no = Net(3)\n@",
    "on a device": "t = Net().to(d).eval()\no = Net().to(d)\n@",
    "deep copy": "o = Net()\nt = copy.deepcopy(o)\n@",
    "of a layer": "t, o = nn.Linear(2, 3), nn.Linear(2, 3)\n@",
    "by another name": "Old = Net\nt = Old()\no = Net()\n@",
    "attributes": "class T:\n    def __init__(self):\n        self.t = Net()\n        self.o = Net()\n"
    "    def f(self):\n        self.t.load_state_dict(self.o.state_dict())",
    "attributes of a base": (
        "class B:\n    def __init__(self):\n        self.o = Net()\n        self.t = copy.deepcopy(self.o)\n"
        "class T(B):\n    def f(self):\n        self.t.load_state_dict(self.o.state_dict())"
    ),
    "annotated": "def f(t: Net, o: 'Net'):\n    @",
    "made by a function": "def make(n):\n    net = Net(n)\n    return net\nt = make(3)\no = make(3)\n@",
    "made by one of two": (
        "def make(n):\n    if n:\n        return Net()\n    return Other()\nt = make(a)\no = make(a)\n@"
    ),
    "self": (
        "class A(nn.Module):\n    def f(self):\n        t = A()\n        t.load_state_dict(self.state_dict())"
    ),
    "parts": (
        "class P(nn.Module):\n    def __init__(self):\n        self.c = nn.Conv2d(1, 2, 3)\n"
        "t, o = P(), P()\nt.c.load_state_dict(o.c.state_dict())"
    ),
    "class method": (
        "class A(nn.Module):\n    CLASSmethod\n    def f(cls, o: 'A'):\n        t = cls()\n        @"
    ),
    "unwrapped": "t = nn.DataParallel(Net())\no = nn.DataParallel(Net())\n"
    "t.module.load_state_dict(o.module.state_dict())",
    "of a library": "from lib import Unet\nnet = Unet.from_pretrained(p)\nema_net = Unet(c)\n"
    "ema_net.load_state_dict(net.state_dict())",
    "a copy of what was handed in": (
        "class T:\n    def __init__(self, net: nn.Module):\n        self.o = net\n"
        "        self.t = copy.deepcopy(self.o)\n        self.t.load_state_dict(self.o.state_dict())"
    ),
}

TWO = {
    "two classes": "t = Net()\no = Other()\n@",
    "one of two": "t = Net()\no = Net() if a else Other()\n@",
    "other arguments": (
        "def make(n):\n    if n:\n        return Net()\n    return Other()\nt = make(a)\no = make(b)\n@"
    ),
    "any module": "def f(t: nn.Module, o: nn.Module):\n    @",
    "containers": "t, o = nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Conv2d(2, 3, 1))\n@",
    "subclass": "class Sub(Net): ...\nt = Net()\no = Sub()\n@",
    "two layers": "t, o = nn.Linear(2, 3), nn.Bilinear(2, 3, 4)\n@",
    "of a library": "from lib import UNetModel\nt = Net()\no = UNetModel.from_pretrained(p)\n@",
    "a part whose class nothing shows": (
        "def f(t: Net, o: Net):\n    t.mid.embed.load_state_dict(o.mid.embed.state_dict())"
    ),
    "items, counted": (
        "def f(t: Net, net: Net):\n    for i, o in enumerate(net.blocks):\n"
        "        t.blocks[i].load_state_dict(o.state_dict())"
    ),
    "items, side by side": (
        "a, b = Net(), Net()\nfor i, o in zip(x, reversed(b.blocks)):\n"
        "    a.blocks[i].load_state_dict(o.state_dict())"
    ),
    "items by name": "t, net = Net(), Net()\nfor name, o in net.blocks.items():\n    @",
    "handed over by accelerate": (
        "def load(models, path):\n    while models:\n        t = models.pop()\n        o = Net()\n        @\n"
        "accelerator.register_load_state_pre_hook(load)"
    ),
    "all of accelerate's": (
        "def load(models, path):\n    t = Net()\n    for o in models:\n        @\n"
        "accelerator.register_load_state_pre_hook(load)"
    ),
    "out of accelerate's wrapper": (
        "t = Net()\ndef load(models, path):\n"
        "    t.load_state_dict(accelerator.unwrap_model(models[0]).state_dict())\n"
        "accelerator.register_load_state_pre_hook(load)"
    ),
    "set to another thing before": (
        "from lib import EMAModel\no = Net()\ndef f():\n    n = EMAModel()\n    use(n)\n    for i in x:\n"
        "        n = Other(i)\n        o.load_state_dict(n.state_dict())\n        del n"
    ),
    "the same part of what is called a model": (
        "def f(o: Net, transformer):\n    o.embed.load_state_dict(transformer.embed.state_dict())"
    ),
    "of its own, beside a global one": (
        "def g():\n    global n\n    n = 3\n"
        "def f(o: Net):\n    n = Other()\n    o.load_state_dict(n.state_dict())"
    ),
    "tested": "o = Net()\ndef f(t):\n    if isinstance(t, Other):\n        @",
}

UNLIKE = {
    "called models": "target_net.load_state_dict(net.state_dict())",
    "no modules": "from lib import EMA\nt, o = EMA(), EMA()\n@",
    "only one is known": "t = Net()\n@",
    "shadowed": "def f(Net):\n    t = Net()\n    @",
    "an average called a model": "from lib import EMAModel\nt = Net()\no = EMAModel.from_pretrained(p)\n@",
    "an average in a model": "def f(t: Net, o: Net):\n    t.ema.load_state_dict(o.ema.state_dict())",
    "of a library, by no name of a model": "from lib import Tracker\nt = Net()\no = Tracker.from_file(p)\n@",
    "a part of what nothing shows": "t = Net()\nt.load_state_dict(wrapper.net.state_dict())",
    "items of what nothing shows": "t = Net()\nfor o in nets:\n    @",
    "items, and another thing": "t, net = Net(), Net()\nfor o in net.blocks:\n    @\no = f(o)",
    "popped of no modules": "t = Net()\ndef load(models, path):\n    o = models.pop()\n    @",
    "of a list that is not accelerate's any more": (
        "t = Net()\ndef load(models, path):\n    models = more(models)\n    o = models.pop()\n    @\n"
        "accelerator.register_load_state_pre_hook(load)"
    ),
    "another argument of the hook": (
        "t = Net()\ndef load(models, path):\n    o = path.pop()\n    @\n"
        "accelerator.register_load_state_pre_hook(load)"
    ),
    "another part of what is called a model": (
        "def f(o: Net, transformer):\n    o.embed.load_state_dict(transformer.embedding.state_dict())"
    ),
    "the same part of what is called nothing": (
        "def f(o: Net, other):\n    o.embed.load_state_dict(other.embed.state_dict())"
    ),
    "set to another thing behind, in a loop": (
        "from lib import EMAModel\no = Net()\nn = Net()\nfor i in x:\n"
        "    o.load_state_dict(n.state_dict())\n    n = EMAModel()"
    ),
    "set to another thing on one way": (
        "from lib import EMAModel\no = Net()\nn = Net()\nif a:\n    n = EMAModel()\n"
        "o.load_state_dict(n.state_dict())"
    ),
    "set to another thing by what is called": (
        "from lib import EMAModel\no = Net()\nn = Net()\ndef f():\n    global n\n    n = EMAModel()\nf()\n"
        "o.load_state_dict(n.state_dict())"
    ),
    "set by an inner function": (
        "def f(o: Net):\n    n = Net()\n    def g():\n        nonlocal n\n        n = make()\n    g()\n"
        "    o.load_state_dict(n.state_dict())"
    ),
    "a module or not": "t = Net()\no = Net() if a else make()\n@",
}

LOOSE = {
    "two known classes": ("t = Net()\no = Other()\n@", True),
    "a class and one of a library": ("from lib import UNetModel\nt = UNetModel(p)\no = Net()\n@", True),
    "any module": ("def f(t: nn.Module, o: nn.Module):\n    @", False),
    "a part whose class nothing shows": (
        "def f(n: Net, o: Net):\n    t = n\n    n.mid.load_state_dict(o.mid.state_dict())",
        False,
    ),
}

OWN = {
    "load": "def load_state_dict(self, sd, strict=True): ...",
    "save": "def state_dict(self): ...",
    "extra state": "def get_extra_state(self): ...",
    "hook on loading": "def __init__(self):\n        self._register_load_state_dict_pre_hook(f)",
    "hook on saving": "def __init__(self):\n        self.register_state_dict_post_hook(f)",
}


def placed(code):
    return (
        IMPORTS
        + CLASSES
        + code.replace("@", "t.load_state_dict(o.state_dict())").replace("CLASS", "@class")
        + "\n"
    )


@pytest.mark.parametrize("to", ["nnx", "keras", "mlx"])
@pytest.mark.parametrize("name", ALIKE)
def test_a_copy_between_two_of_one_class(name, to):
    before = placed(ALIKE[name])
    target, _, rest = before.rstrip("\n").rpartition("\n")[2].strip().partition(".load_state_dict(")
    online = rest.removesuffix(".state_dict())")
    after = before.replace(
        f"{target}.load_state_dict({online}.state_dict())", f"KeyMapper.copy_into({target}, {online})"
    )
    check_rewritten(before, after, to)


@pytest.mark.parametrize("to", ["nnx", "equinox"])
@pytest.mark.parametrize("name", UNLIKE)
def test_a_copy_between_what_nothing_shows_to_be_alike_is_left(name, to):
    code = placed(UNLIKE[name])
    line = code[: code.index("state_dict(")].count("\n") + 1
    check_unchanged(code, to, notes=[f"{line}: are both models"])


@pytest.mark.parametrize("to", ["nnx", "mlx"])
@pytest.mark.parametrize("name", TWO)
def test_a_copy_between_two_modules_is_checked_when_it_runs(name, to):
    before = placed(TWO[name])
    start = before.index(".load_state_dict(")
    first, end = before.rindex("\n", 0, start) + 1, before.index("\n", start)
    target = before[first:start].strip()
    online = before[start:end].removeprefix(".load_state_dict(").removesuffix(".state_dict())")
    after = (
        before[:first] + before[first:start].replace(target, "") + f"KeyMapper.copy_into({target}, {online})"
    )
    line = before[:start].count("\n") + 1
    check_rewritten(before, after + before[end:], to, notes=[f"{line}: need not be of one class"])


@pytest.mark.parametrize("strict", ["strict=False", "strict=flag", "False", "**more"])
@pytest.mark.parametrize("name", LOOSE)
def test_a_copy_that_leaves_names_out_needs_both_classes(name, strict):
    code, known = LOOSE[name]
    code = placed(code).replace(".state_dict())", f".state_dict(), {strict})")
    line = code[: code.index("load_state_dict(")].count("\n") + 1
    result = rewrite(code)
    codes = [note.code for note in result.notes if note.line == line]
    assert (result.code != code, codes) == (known, ["SW303" if known else "SW116"])


@pytest.mark.parametrize("base", [True, False])
@pytest.mark.parametrize("name", OWN)
def test_hooks_count_like_overrides(name, base):
    code = f"class A(nn.Module):\n    {OWN[name]}\n"
    code += "class B(A): ...\nt, o = B(), B()\n@" if base else "t, o = A(), A()\n@"
    code = placed(code)
    line = code[: code.index("t.load_state_dict(o")].count("\n") + 1
    result = rewrite(code)
    assert (result.code, [note.code for note in result.notes if note.line == line]) == (code, ["SW112"])


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("torch.quantization.prepare(o, inplace=True)", 8),
        ("t.fuse_model()", 8),
        ("o.qconfig = q", 8),
        ("prune.l1_unstructured(o, 'weight', 0.5)", 8),
    ],
)
def test_a_model_with_other_tensors_than_its_class_makes_is_left(change, line):
    code = placed(f"t = Net()\no = Net()\n{change}\n@")
    check_unchanged(code, notes=[f"{line + 1}: line {line} changes which tensors"])


def test_a_quantised_model_is_no_model_of_its_class():
    code = placed("t = Net()\no = torch.ao.quantization.quantize_dynamic(Net())\n@")
    check_unchanged(code, notes=["8: are both models"])


@pytest.mark.parametrize(
    "arguments", ["strict=False", "False", "strict=flag", "**more", "strict=True, assign=True"]
)
def test_a_copy_keeps_what_the_caller_asked_for(arguments):
    before = placed("t, o = Net(), Net()\n@").replace("state_dict())", f"state_dict(), {arguments})")
    check_rewritten(
        before,
        before.replace("t.load_state_dict(o.state_dict(), ", "KeyMapper.copy_into(t, o, "),
    )


def test_the_report_of_a_copy():
    before = placed("t, o = Net(), Net()\nm = @")
    call = "t.load_state_dict(o.state_dict())"
    check_rewritten(before, before.replace(call, "KeyMapper.copy_into(t, o)"), "mlx")
    check_rewritten(
        before,
        before.replace(f"m = {call}", "t, m = KeyMapper.copy_into(t, o, with_report=True)"),
        "equinox",
    )


@pytest.mark.parametrize("to", ["equinox", "linen", "haiku"])
def test_a_model_that_never_changes_is_bound_anew(to):
    before = placed("t, o = Net(), Net()\n@")
    after = before.replace("t.load_state_dict(o.state_dict())", "t = KeyMapper.copy_into(t, o)")
    check_rewritten(before, after, to)
    before = placed("def f(t: Net, o: Net):\n    @")
    check_unchanged(before, to, notes=["7: who would keep the old model"])


def test_a_comment_inside_stays_with_the_call():
    code = placed("t, o = Net(), Net()\n@").replace("(o.state_dict())", "(\n    o.state_dict(),  # all\n)")
    check_unchanged(code, notes=["7: a comment stands inside"])


def test_a_package_under_src_is_found(tmp_path):
    for path, text in {
        "pyproject.toml": "[project]\nname = 'pkg'\n",
        "src/pkg/__init__.py": "",
        "src/pkg/nets.py": "from torch import nn\nclass Net(nn.Module): ...\n",
        "src/pkg/ema.py": "class Ema:\n    def load_state_dict(self, sd): ...\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    head = "from pkg.nets import Net\nfrom pkg.ema import Ema\n"
    before = f"{head}t, o = Net(), Net()\nt.load_state_dict(o.state_dict())\n"
    after = before.replace("t.load_state_dict(o.state_dict())", "KeyMapper.copy_into(t, o)")
    check_rewritten(before, after, file=tmp_path / "scripts" / "train.py")
    code = f"{head}ema_net, net = Ema(), Ema()\nema_net.load_state_dict(net.state_dict())\n"
    check_unchanged(code, file=tmp_path / "train.py", notes=["4: no torch.nn.Module"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", '[tool.setuptools]\npackage-dir = {"" = "lib"}\n'),
        ("pyproject.toml", '[tool.setuptools.packages.find]\nwhere = ["lib"]\n'),
        ("pyproject.toml", '[tool.poetry]\npackages = [{include = "pkg", from = "lib"}]\n'),
        ("pyproject.toml", '[tool.hatch.build.targets.wheel]\npackages = ["lib/pkg"]\n'),
        ("pyproject.toml", '[tool.pdm.build]\npackage-dir = "lib"\n'),
        ("setup.cfg", "[options]\npackage_dir =\n    = lib\n"),
        ("setup.cfg", "[options.packages.find]\nwhere = lib\n"),
        ("setup.py", "from setuptools import setup\nsetup(package_dir={'': 'lib'})\n"),
    ],
)
def test_a_project_says_where_its_packages_are(name, text, tmp_path):
    (tmp_path / "lib" / "pkg").mkdir(parents=True)
    (tmp_path / "lib" / "pkg" / "__init__.py").write_text(
        "from torch.optim import SGD\nclass Own(SGD): ...\n"
    )
    code = "from pkg import Own\nx = Own()\nx.load_state_dict(sd)\n"
    file = tmp_path / "tools" / "train.py"
    assert [note.code for note in rewrite(code, file=file).notes] == []
    (tmp_path / name).write_text(text)
    assert [note.code for note in rewrite(code, file=file).notes] == ["SW401"]


@pytest.mark.parametrize("text", ["[tool", "tool = 3", "[tool]\nsetuptools = 3\npoetry = {packages = [3]}"])
def test_a_build_file_that_says_nothing_is_none(text, tmp_path):
    (tmp_path / "pyproject.toml").write_text(text)
    (tmp_path / "setup.cfg").write_text(text)
    (tmp_path / "setup.py").write_text(text)
    assert source_folders(tmp_path) == [tmp_path / "src"]
