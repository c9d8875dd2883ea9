"""Registries: what a file puts into an object of another file when it is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_switcheroo.sources.static import read_layers
from ml_switcheroo.tensors import TensorSpec
from sources.reading import HEAD, read_files_and_compare
from sources.static.python.test_modules import net

REGISTRY = """
class Registry:
    def __init__(self):
        self.table = {}
    def register(self, name=None):
        def keep(cls):
            self.table[name or cls.__name__] = cls
            return cls
        return keep
    def add(self, cls):
        self.table[cls.__name__] = cls
        return cls
    def get(self, name):
        return self.table[name]
R = Registry()
def build(name, *sizes):
    return R.get(name)(*sizes)
"""
PLAIN = """
R = {}
def register(cls):
    R[cls.__name__] = cls
    return cls
def named(name):
    def keep(cls):
        R[name] = cls
        return cls
    return keep
"""
BY_CLASS = """
class R(nn.Module):
    table = {}
    def __init_subclass__(cls, key=None, **words):
        super().__init_subclass__(**words)
        R.table[key or cls.__name__] = cls
    @classmethod
    def register(cls, other):
        cls.table[other.__name__] = other
        return other
    @staticmethod
    def also(other):
        R.table[other.__name__] = other
        return other
"""
CLASS = "class B(nn.Embedding):\n    pass\n"
WAYS = {
    "a method that is called": (REGISTRY, f"from registry import R\n@R.register('B')\n{CLASS}", "R.get('B')"),
    "a method as it is": (REGISTRY, f"from registry import R\n@R.add\n{CLASS}", "R.get('B')"),
    "under another decorator": (
        REGISTRY,
        f"from registry import R\ndef same(c):\n    return c\n@same\n@R.add\n{CLASS}",
        "R.get('B')",
    ),
    "an attribute of a module": (REGISTRY, f"import registry\n@registry.R.add\n{CLASS}", "R.get('B')"),
    "a call": (REGISTRY, f"from registry import R\n{CLASS}R.add(B)\n", "R.get('B')"),
    "in a loop": (
        REGISTRY,
        "from registry import R\nfor one in (nn.Linear, nn.Embedding):\n    R.add(one)\n",
        "R.get('Embedding')",
    ),
    "an item": (PLAIN, f"from registry import R\n{CLASS}R['B'] = B\n", "R['B']"),
    "an update": (PLAIN, f"from registry import R\n{CLASS}R.update(B=B)\n", "R['B']"),
    "a function": (PLAIN, f"from registry import register\n@register\n{CLASS}", "R['B']"),
    "a function that is called": (PLAIN, f"from registry import named\n@named('B')\n{CLASS}", "R['B']"),
    "a class method": (BY_CLASS, f"from registry import R\n@R.register\n{CLASS}", "R.table['B']"),
    "a static method": (BY_CLASS, f"from registry import R\n@R.also\n{CLASS}", "R.table['B']"),
    "a subclass": (
        BY_CLASS,
        "from registry import R\nclass B(R, nn.Embedding):\n    pass\n",
        "R.table['B']",
    ),
    "a subclass with a word": (
        BY_CLASS,
        "from registry import R\nclass B(R, nn.Embedding, key='b'):\n    pass\n",
        "R.table['b']",
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_registry_holds_what_another_file_puts_into_it(tmp_path: Path, name: str) -> None:
    registry, layers, found = WAYS[name]
    model = net(f"self.a = {found}(3, 3)", head="from registry import R\nimport layers")
    read_files_and_compare(tmp_path, {"registry.py": registry, "layers.py": layers, "model.py": model})


IMPORTS = {
    "the package": "from pkg import R",
    "the module": "from pkg.registry import R",
    "the object of a star": "from pkg import *",
}
INITS = {
    "modules": "from .registry import R\nfrom . import layers\n",
    "a star": "from .registry import *\nfrom .layers import *\n",
    "names": "from .layers import B\nfrom .registry import R\n",
}


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("way", IMPORTS)
def test_a_package_imports_what_registers(tmp_path: Path, way: str, init: str) -> None:
    files = {
        "pkg/__init__.py": INITS[init],
        "pkg/registry.py": REGISTRY,
        "pkg/layers.py": f"from .registry import R\n@R.add\n{CLASS}",
    }
    read_files_and_compare(
        tmp_path, {**files, "model.py": net("self.a = R.get('B')(3, 3)", head=IMPORTS[way])}
    )


OTHER = "from registry import R\n@R.register('B')\nclass C(nn.Linear):\n    pass\n"


@pytest.mark.parametrize(
    ("head", "lines"),
    [
        ("from registry import R\nimport layers, other", ()),
        ("from registry import R\nimport other, layers", ()),
        ("from registry import R\nimport layers", ()),  # nobody imports the other one
        ("from registry import R\nimport layers\nif False:\n    import nothing_of_this_name", ()),
        ("from registry import R\nimport other", ("import layers",)),
        ("from registry import R\nimport layers\ndef later():\n    import other", ()),
        ("from registry import build as R_build, R\nimport layers", ()),
        (f"from registry import R\n@R.add\n{CLASS}", ()),
    ],
)
def test_the_last_one_that_is_imported_counts(tmp_path: Path, head: str, lines: tuple[str, ...]) -> None:
    files = {
        "registry.py": REGISTRY,
        "layers.py": f"from registry import R\n@R.add\n{CLASS}",
        "other.py": OTHER,
    }
    read_files_and_compare(
        tmp_path, {**files, "model.py": net(*lines, "self.a = R.get('B')(3, 3)", head=head)}
    )


def test_what_nobody_imports_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "registry.py").write_text(REGISTRY)
    (tmp_path / "layers.py").write_text(f"{HEAD}from registry import R\n@R.add\n{CLASS}")
    (tmp_path / "model.py").write_text(HEAD + net("self.a = R.get('B')(3, 3)", head="from registry import R"))
    knowledge = read_layers("model.py:Net", {"a.weight": TensorSpec((3, 3), "float32")}, root=tmp_path)
    assert not knowledge.findings
    assert "KeyError" in knowledge.notes[0]
