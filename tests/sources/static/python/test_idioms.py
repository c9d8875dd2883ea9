"""Idioms of published code: wrapped constructors, classes that are dictionaries, names looked up."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_switcheroo.code.library import Library
from sources.reading import HEAD, read_and_compare

CASES = {
    "the modules of a backbone that keeps plain objects, too": """
class Info:
    def __init__(self):
        self.width = 4
class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.info = Info()
        self.conv = nn.Conv2d(3, 4, 1)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Backbone()
        for _, child in self.backbone.named_children():
            child.requires_grad_(False)
        modes = [(module, module.training) for module in self.backbone.modules()]
        for module, mode in modes:
            module.training = mode
        self.fc = nn.Linear(self.backbone.info.width, 2)
""",
    "a wrapper that changes the arguments": """
from functools import partial, wraps
def configured(init):
    @wraps(init)
    def inner(self, **kwargs):
        kwargs.setdefault("layer", nn.Embedding)
        init(self, **kwargs)
    return inner
class Net(nn.Module):
    @configured
    def __init__(self, layer=partial(nn.Linear, bias=False)):
        super().__init__()
        self.a = layer(3, 3)
""",
    "a wrapper that renames an argument": """
import functools
def legacy(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        if kwargs.pop("pretrained", False):
            kwargs["weights"] = "DEFAULT"
        return function(*args, **kwargs)
    return inner
@legacy
def net(*, weights=None, **kwargs):
    return Base(**kwargs)
class Base(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.a = nn.Linear(width, width)
def Net():
    return net(pretrained=True, width=3)
""",
    "a wrapper within a wrapper, by the signature": """
import inspect, functools
def kwonly(fn):
    params = inspect.signature(fn).parameters
    try:
        start = next(idx for idx, param in enumerate(params.values()) if param.kind == param.KEYWORD_ONLY)
    except StopIteration:
        raise TypeError(f"Found no keyword-only parameter on function '{fn.__name__}'") from None
    names = tuple(inspect.signature(fn).parameters)[start:]
    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        args, more = args[:start], args[start:]
        if more:
            kwargs.update(dict(zip(names, more)))
        return fn(*args, **kwargs)
    return wrapper
def legacy(**weights):
    def outer(builder):
        @kwonly
        @functools.wraps(builder)
        def inner(*args, **kwargs):
            for w, (p, default) in weights.items():
                sentinel = object()
                arg = kwargs.get(w, sentinel)
                if (w not in kwargs and p not in kwargs) or arg is None:
                    continue
                if kwargs[p]:
                    d = default(kwargs) if callable(default) else default
                else:
                    d = None
                del kwargs[p]
                kwargs[w] = d
            return builder(*args, **kwargs)
        return inner
    return outer
@legacy(weights=("pretrained", "X"))
def build(*, weights=None, progress=True, **kwargs):
    return Base(**kwargs)
class Base(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.a = nn.Linear(width, width)
def Net(): return build(pretrained=False, width=3)
""",
    "a wrapper that changes the result": """
def headless(function):
    def inner(*args):
        model = function(*args)
        return nn.Sequential(model, nn.LayerNorm(3))
    return inner
@headless
def Net():
    return nn.Linear(3, 3)
""",
    "a wrapper that keeps the arguments": """
from functools import wraps
def config_kept(init):
    @wraps(init)
    def inner(self, *args, **kwargs):
        if len(args) > 4:
            raise TypeError(f"too many for {type(self)}")
        init(self, *args, **kwargs)
    return inner
class Net(nn.Module):
    @config_kept
    def __init__(self, width=3, depth=2):
        super().__init__()
        self.a = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
""",
    "a wrapper that keeps a configuration": """
import functools, inspect
from collections import OrderedDict
class Frozen(OrderedDict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for key, value in self.items():
            setattr(self, key, value)
def register(init):
    @functools.wraps(init)
    def inner(self, *args, **kwargs):
        parameters = inspect.signature(init).parameters
        kept = {n: p.default for i, (n, p) in enumerate(parameters.items()) if i > 0}
        kept.update(zip(list(kept), args))
        self.keep(**{**kept, **kwargs})
        init(self, *args, **kwargs)
    return inner
class Configured:
    def keep(self, **kwargs):
        self._kept = Frozen(kwargs)
    @property
    def config(self):
        return self._kept
class Base(nn.Module, Configured):
    @register
    def __init__(self, width=4, depth=2, norm="layer"):
        super().__init__()
        self.a = nn.ModuleList(nn.Linear(self.config.width, width) for _ in range(self.config["depth"]))
        self.n = nn.LayerNorm(width) if self.config.norm == "layer" else nn.BatchNorm1d(width)
class Net(Base):
    pass
""",
    "a constructor handed on by __new__": """
class Saved:
    _kept = None
    def __new__(cls, *args, **kwargs):
        made = super().__new__(cls)
        if made._kept is None:
            made._kept = kwargs
        return made
class Base(nn.Module, Saved):
    def __new__(cls, *args, **kwargs):
        instance = super().__new__(cls, *args, **kwargs)
        return instance
class Net(Base):
    def __init__(self, width=3):
        super().__init__()
        self.a = nn.Linear(width, width)
""",
    "__new__ that returns something else": """
class Projection(nn.Module):
    def __new__(cls, inner, outer, rank=None):
        if rank is None:
            return nn.Linear(inner, outer, bias=False)
        return super().__new__(cls)
    def __init__(self, inner, outer, rank=None):
        super().__init__()
        self.down = nn.Linear(inner, rank, bias=False)
        self.up = nn.Embedding(rank, outer)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Projection(3, 3)
        self.b = Projection(3, 3, rank=2)
""",
    "a class that is a dictionary": """
class Config(dict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__ = self
class Upper(dict):
    def __getitem__(self, key):
        return super().__getitem__(key.lower())
class Net(nn.Module):
    def __init__(self, config=Config({"width": 4, "norm": "layer", "more": {"depth": 2}})):
        super().__init__()
        config["kernel"] = 3
        self.a = nn.ModuleList(nn.Linear(config.width, config["width"]) for _ in range(config.more["depth"]))
        if "norm" in config and config.get("norm") == "layer":
            self.n = nn.LayerNorm(config.width)
        self.c = nn.Conv1d(1, 3, **{"kernel_size": config.kernel})
        self.d = make(**config)
        self.e = nn.ModuleDict({key: nn.Linear(2, 2) for key in Upper(x=1, y=2)})
        self.f = nn.Linear(2, Upper(size=5)["SIZE"])
        self.g = nn.Linear(3, 3) if Upper() else nn.Conv1d(3, 3, 1)
def make(width, kernel, **rest):
    return nn.Conv1d(width, width, kernel)
""",
    "arguments in a namespace": """
from argparse import Namespace
from types import SimpleNamespace
DEFAULTS = dict(width=3, kind="conv")
def Net(**more):
    args = Namespace(**{**DEFAULTS, "kind": "linear"}, **more)
    args.depth = 2
    return nn.Sequential(*[Block(args, SimpleNamespace(n=4)) for _ in range(args.depth)])
class Block(nn.Module):
    def __init__(self, args, sizes):
        super().__init__()
        linear = args.kind == "linear" and not getattr(args, "other", False) and not hasattr(args, "more")
        self.a = nn.Linear(args.width, args.width, bias=False) if linear else nn.Embedding(3, 3)
        self.n = nn.LayerNorm(sizes.n)
""",
    "is_dataclass": """
from dataclasses import dataclass, is_dataclass
@dataclass
class Config:
    width: int = 3
class Net(nn.Module):
    def __init__(self, config={"width": 3}):
        super().__init__()
        self.a = nn.Embedding(3, 3) if is_dataclass(config) else nn.Linear(3, 3, bias=False)
        self.b = nn.Linear(3, 3, bias=False) if is_dataclass(Config()) else nn.Embedding(3, 3)
""",
}


@pytest.mark.parametrize("name", CASES)
def test_every_tensor_is_known_as_the_live_model_has_it(tmp_path: Path, name: str) -> None:
    knowledge = read_and_compare(tmp_path, CASES[name])
    assert knowledge.candidates == {}


def test_the_checkpoint_decides_behind_a_wrapper_too(tmp_path: Path) -> None:
    code = CASES["a wrapper that keeps a configuration"]
    knowledge = read_and_compare(tmp_path, code, "Net(6, depth=3)")
    assert knowledge.findings["a.2"].args["out_features"] == 6


def test_names_of_a_module_are_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "arches_of_a_test.py").write_text(HEAD + "def small(n):\n    return nn.Linear(n, 2)\n")
    code = """
import arches_of_a_test as arches
class Net(nn.Module):
    def __init__(self, arch="small"):
        super().__init__()
        self.a = arches.__dict__[arch](3)
        self.b = vars(arches)[arch](4)
"""
    assert set(read_and_compare(tmp_path, code).findings) == {"a", "b"}


def test_packages_that_are_known_by_their_reference_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("regex", "helpers"):
        (tmp_path / f"{name}.py").write_text("def compile(text):\n    return text\n")
    monkeypatch.syspath_prepend(tmp_path)
    library = Library([])
    assert library.module("helpers") is not None
    assert library.module("regex") is None  # as large as a program, for one pattern of a tokenizer
    assert library.exists("regex")
