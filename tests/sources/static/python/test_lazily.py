"""Packages that import their parts when asked for them; configurations whose fields a parent makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from ml_switcheroo.sources.static import read_layers
from ml_switcheroo.tensors import TensorSpec
from sources.reading import read_files_and_compare
from sources.static.python.test_modules import net

LAYERS = "__all__ = ['B']\nclass B(nn.Embedding):\n    pass\nclass C(nn.Linear):\n    pass\n"
STAND_IN = """
import importlib, os, types
class Lazy(types.ModuleType):
    def __init__(self, name, file, table):
        super().__init__(name)
        self.__path__ = [os.path.dirname(file)]
        self._where = {one: place for place, names in table.items() for one in names}
    def __getattr__(self, name):
        if name in self.__dict__.get("_where", {}):
            return getattr(importlib.import_module("." + self._where[name], self.__name__), name)
        raise AttributeError(name)
"""
TABLE = "import sys\nfrom .lazy import Lazy\n_names = {'layers': []}\n_names['layers'] += ['B']\n"
REPLACED = "sys.modules[__name__] = Lazy(__name__, __file__, _names)\n"
PACKAGES = {
    "__getattr__ with a table": "import importlib\n_T = {'B': '.layers'}\ndef __getattr__(name):\n"
    "    if name in _T:\n        return getattr(importlib.import_module(_T[name], __name__), name)\n"
    "    raise AttributeError(name)\n",
    "__getattr__ that imports": "def __getattr__(name):\n    if name == 'B':\n        from .layers import B\n"
    "        return B\n    raise AttributeError(name)\n",
    "a table given to what replaces the module": TABLE + REPLACED,
    "what type checkers see": "from typing import TYPE_CHECKING\n" + TABLE + "if TYPE_CHECKING:\n"
    "    from .layers import B as B\nelse:\n    " + REPLACED,
    "a star that type checkers see": "from typing import TYPE_CHECKING\n" + TABLE + "if TYPE_CHECKING:\n"
    "    from .other import *\n    from .layers import *\nelse:\n    " + REPLACED,
    "a package behind a star": "from typing import TYPE_CHECKING\nimport sys\nfrom .lazy import Lazy\n"
    "if TYPE_CHECKING:\n    from .inner import *\nelse:\n"
    "    sys.modules[__name__] = Lazy(__name__, __file__, {'inner.parts': ['B']})\n",
}


@pytest.mark.parametrize("way", ["from pkg import B\nmake = B", "import pkg\nmake = lambda *a: pkg.B(*a)"])
@pytest.mark.parametrize("name", PACKAGES)
def test_a_lazy_name_is_found(tmp_path: Path, name: str, way: str) -> None:
    files = {
        "pkg/__init__.py": PACKAGES[name],
        "pkg/lazy.py": STAND_IN,
        "pkg/layers.py": LAYERS,
        "pkg/other.py": "from .layers import C as B\n__all__ = []\n",
        "pkg/inner/__init__.py": INNER,
        "pkg/inner/parts.py": LAYERS,
    }
    read_files_and_compare(tmp_path, {**files, "model.py": net("self.a = make(3, 3)", head=way)})


INNER = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .parts import *\n"
CONFIG = """
from dataclasses import dataclass, fields
class Config:
    names = {"wide": "width"}
    def __init_subclass__(cls, **words):
        super().__init_subclass__()
        cls.tag = words.get("tag", "")
        dataclass(cls)
        inner = cls.__init__
        def __init__(self, **given):
            own = {one.name for one in fields(cls)}
            for one in fields(cls):
                setattr(self, one.name, given.get(one.name, one.default))
            self.rest = {k: v for k, v in given.items() if k not in own}
        cls.__init__ = __init__
    def __setattr__(self, key, value):
        super().__setattr__(Config.names.get(key, key), value)
    def __getattribute__(self, key):
        return super().__getattribute__(Config.names.get(key, key))
    @property
    def doubled(self):
        return self.width * 2
    @doubled.setter
    def doubled(self, value):
        self.width = value // 2
class Small(Config, tag="embedding"):
    width: int = 3
    depth: int = 1
"""


@pytest.mark.parametrize(
    "line",
    [
        "self.a = nn.Embedding(Small().width, 2)",
        "self.a = nn.Embedding(Small(width=4).width, Small().depth)",
        "self.a = nn.Embedding(Small(other=5).rest['other'], 2)",
        "self.a = nn.Embedding(Small(width=4).wide, 2)",
        "c = Small(); c.wide = 5; self.a = nn.Embedding(c.width, 2)",
        "c = Small(); c.doubled = 8; self.a = nn.Embedding(c.width, c.doubled)",
        "self.a = {'embedding': nn.Embedding, '': nn.Linear}[Small().tag](3, 2)",
    ],
)
def test_a_parent_makes_the_fields_of_a_configuration(tmp_path: Path, line: str) -> None:
    read_files_and_compare(tmp_path, {"model.py": net(line, head=CONFIG)})


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
@pytest.mark.parametrize(
    "way", ["from transformers import BertConfig, BertModel", "from transformers.models.bert import *"]
)
def test_a_class_of_transformers_is_read_where_it_lies(tmp_path: Path, way: str) -> None:
    sizes = "hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6"
    head = f"{way}\nimport torch.nn as nn"
    (tmp_path / "model.py").write_text(net(f"self.m = BertModel(BertConfig({sizes}))", head=head))
    shapes = {
        "m.embeddings.word_embeddings.weight": (30522, 8),
        "m.encoder.layer.0.intermediate.dense.weight": (6, 8),
        "m.encoder.layer.0.intermediate.dense.bias": (6,),
        "m.encoder.layer.0.output.LayerNorm.weight": (8,),
        "m.encoder.layer.0.output.LayerNorm.bias": (8,),
    }
    specs = {name: TensorSpec(shape, "float32") for name, shape in shapes.items()}
    found = read_layers("model.py:Net", specs, root=tmp_path).findings
    kinds = [found[name.rpartition(".")[0]].kind for name in shapes]
    assert kinds == ["embedding", "linear", "linear", "layer_norm", "layer_norm"]
