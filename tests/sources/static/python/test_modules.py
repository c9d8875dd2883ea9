"""Modules that are looked into at run time: their names as a dictionary, names and modules given as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from sources.reading import read_files_and_compare

LAYERS = """
class A(nn.Linear):
    pass
class B(nn.Embedding):
    pass
width = 3
"""


def net(*lines: str, head: str = "") -> str:
    """Return the source of a model whose constructor has these lines."""
    body = "".join(f"        {line}\n" for line in lines)
    return f"{head}\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n{body}"


OWN = {
    "globals()[name]": net('self.a = globals()["T"](3, 3)', head="T = nn.Embedding"),
    "the last of two bindings": net('self.a = globals()["T"](3, 3)', head="T = nn.Linear\nT = nn.Embedding"),
    "globals().get": net('self.a = globals().get("T", nn.Linear)(3, 3)', head="T = nn.Embedding"),
    "what globals() lacks": net('self.a = globals().get("T", nn.Embedding)(3, 3)'),
    "in globals()": net('self.a = (nn.Embedding if "T" in globals() else nn.Linear)(3, 3)', head="T = 0"),
    "a name in parts": net(
        'self.a = make("x")(3, 3)', head="Tx = nn.Embedding\ndef make(n):\n    return globals()[f'T{n}']"
    ),
    "vars(self)": net("self.n = 3", 'self.a = nn.Embedding(vars(self)["n"], 2)'),
    "self.__dict__": net("self.n = 3", 'self.a = nn.Embedding(self.__dict__["n"], 2)'),
    "vars(self).update": net("vars(self).update(n=3)", "self.a = nn.Embedding(self.n, 2)"),
    "vars of a class": net('self.a = nn.Embedding(vars(C)["n"], 2)', head="class C:\n    n = 3"),
    "locals()": net("T = nn.Embedding", 'self.a = locals()["T"](3, 3)'),
    "sys.modules": net(
        'self.a = vars(sys.modules[__name__])["T"](3, 3)', head="import sys\nT = nn.Embedding"
    ),
    "eval of a name": net('self.a = eval("T")(3, 3)', head="T = nn.Embedding"),
    "eval of an attribute": net('self.a = eval("nn.Embedding")(3, 3)'),
    "a name that is put there": net("self.a = T(3, 3)", head='globals()["T"] = nn.Embedding'),
    "names from a loop": net(
        "self.a, self.b = L1(3, 3), L0(3, 3)",
        head="for i, c in enumerate([nn.Linear, nn.Embedding]):\n    globals()[f'L{i}'] = c",
    ),
    "globals().update": net("self.a = T(3, 3)", head='globals().update({"T": nn.Embedding})'),
    "setattr of the module": net(
        "self.a = T(3, 3)", head='import sys\nsetattr(sys.modules[__name__], "T", nn.Embedding)'
    ),
    "a star import of torch": net('self.a = globals()["Embedding"](3, 3)', head="from torch.nn import *"),
}


@pytest.mark.parametrize("name", OWN)
def test_what_is_looked_up_by_name_is_found(tmp_path: Path, name: str) -> None:
    read_files_and_compare(tmp_path, {"model.py": OWN[name]})


ANOTHER = {
    "vars(module).values()": (
        "own = [v for v in vars(layers).values() if isinstance(v, type) and v.__module__ == layers.__name__]",
        'for i, c in enumerate(own): setattr(self, f"l{i}", c(3, 3))',
    ),
    "vars(module).items()": (
        "for n, v in vars(layers).items():",
        "    if isinstance(v, type): setattr(self, n, v(3, 3))",
    ),
    "by the names of classes": (
        "found = [v for v in vars(layers).values() if isinstance(v, type) and issubclass(v, nn.Module)]",
        'self.a = {v.__name__: v for v in found}["B"](3, 3)',
    ),
    "module.__dict__": (
        "table = {k: v for k, v in layers.__dict__.items() if k[0].isupper() and callable(v)}",
        'self.a = table["B"](layers.__dict__["width"], 3)',
    ),
    "getattr": ('self.a = getattr(layers, "B")(3, 3)', 'self.b = getattr(layers, "C", nn.Linear)(3, 3)'),
    "dir": ('self.a = {n: getattr(layers, n) for n in dir(layers) if n[0].isupper()}["B"](3, 3)',),
    "inspect.getmembers": (
        "import inspect",
        'self.a = dict(inspect.getmembers(layers, inspect.isclass))["B"](3, 3)',
    ),
    "importlib": ("import importlib", 'self.a = getattr(importlib.import_module("layers"), "B")(3, 3)'),
    "__import__": ('self.a = __import__("layers").B(3, 3)',),
}


@pytest.mark.parametrize("name", ANOTHER)
def test_a_module_is_a_dictionary_of_its_names(tmp_path: Path, name: str) -> None:
    read_files_and_compare(
        tmp_path, {"layers.py": LAYERS, "model.py": net(*ANOTHER[name], head="import layers")}
    )


def test_a_relative_name_of_a_module_starts_from_the_package_that_is_given(tmp_path: Path) -> None:
    lines = (
        'self.a = importlib.import_module(".layers", "pkg").B(3, 3)',
        "self.b = pkg.find('layers').A(3, 3)",
    )
    finds = "import importlib\ndef find(name):\n    return importlib.import_module('.' + name, __package__)\n"
    files = {"pkg/__init__.py": finds, "pkg/layers.py": LAYERS}
    read_files_and_compare(tmp_path, {**files, "model.py": net(*lines, head="import importlib, pkg")})


@pytest.mark.parametrize("way", ["def get(n):\n    return globals()[n]", "get = lambda n: globals()[n]"])
def test_globals_are_those_of_the_file_of_the_function(tmp_path: Path, way: str) -> None:
    head = "from layers import get\nT = nn.Linear"
    files = {"layers.py": f"T = nn.Embedding\n{way}\n"}
    read_files_and_compare(tmp_path, {**files, "model.py": net('self.a = get("T")(3, 3)', head=head)})


def test_names_behind_a_star_are_those_that_it_takes_along(tmp_path: Path) -> None:
    base = "__all__ = ['A']\nclass A(nn.Linear):\n    pass\nclass B(nn.Linear):\n    pass\n"
    lines = (
        "self.a, self.b = A(3, 3), B(3, 3)",
        "for n in ('A', 'B'): setattr(self, n, vars(layers)[n](3, 3))",
    )
    layers = "class B(nn.Embedding):\n    pass\nfrom base import *\n"
    head = "import layers\nfrom layers import *"
    read_files_and_compare(
        tmp_path, {"base.py": base, "layers.py": layers, "model.py": net(*lines, head=head)}
    )


EINOPS = {
    "einops/__init__.py": "from .einops import rearrange\n",
    "einops/einops.py": "def rearrange(tensor, pattern, **sizes):\n    from ._backends import apply\n"
    "    return apply(tensor, pattern, sizes)\n",
    "einops/_backends.py": "def apply(tensor, pattern, sizes):\n    raise NotImplementedError\n",
    "einops/layers/__init__.py": "",
    "einops/layers/torch.py": "class Rearrange(nn.Module):\n    def __init__(self, pattern, **sizes):\n"
    "        super().__init__()\n        self.pattern = pattern\n"
    "    def forward(self, x):\n        from .. import rearrange\n"
    "        return rearrange(x, self.pattern)\n",
}


@pytest.mark.parametrize("pattern", ["b c h w -> b (c h w)", "b c h w -> b (h w c)"])
def test_a_copy_of_einops_beside_the_model_is_known_as_the_original(tmp_path: Path, pattern: str) -> None:
    lines = (
        f"self.a = nn.Sequential(nn.Conv2d(3, 4, 1), Rearrange('{pattern}'), nn.Linear(36, 5))",
        "self.b = nn.Linear(36, 5)",
    )
    forward = f"    def forward(self, x):\n        x = self.a[0](x)\n        y = rearrange(x, '{pattern}')\n"
    code = net(*lines, head="from einops import rearrange\nfrom einops.layers.torch import Rearrange")
    code += forward + "        return self.a[2](self.a[1](x)) + self.b(y)\n"
    findings = read_files_and_compare(tmp_path, {**EINOPS, "model.py": code}).findings
    channels = 4 if pattern.endswith("(c h w)") else 1
    assert [findings[name].flatten.channels for name in ("a.2", "b")] == [channels, channels]


def test_another_module_of_that_name_is_read(tmp_path: Path) -> None:
    files = {"einops.py": "class Rearrange(nn.Linear):\n    pass\n"}
    head = "from einops import Rearrange"
    read_files_and_compare(tmp_path, {**files, "model.py": net("self.a = Rearrange(2, 3)", head=head)})
