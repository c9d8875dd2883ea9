"""Build a model from a source text, live and by reading, and hold the two against each other."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS
from ml_switcheroo.sources.findings import Knowledge
from ml_switcheroo.sources.static import read_layers
from ml_switcheroo.tensors import TensorSpec, dtype_of

HEAD = """
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
"""


def specs_of(model: Any) -> dict[str, TensorSpec]:
    """Return the specs of a live model's state dict."""
    return {name: TensorSpec(tuple(t.shape), dtype_of(t)) for name, t in model.state_dict().items()}


def run(folder: Path, code: str, name: str = "model") -> types.ModuleType:
    """Write a model's source and run it, as its author would."""
    path = folder / f"{name}.py"
    path.write_text(HEAD + code)
    module = types.ModuleType(f"live_{name}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    return module


def truth(model: Any) -> dict[str, str]:
    """Return the kind of each tensor by the class of the live module that owns it."""
    kinds = {}
    saved = set(model.state_dict())
    for path, module in model.named_modules(remove_duplicate=False):
        cls = next((c.__name__ for c in type(module).__mro__ if c.__module__.startswith("torch.")), "")
        kind = KIND_OF_CLASS.get(cls, "")
        for role, tensors in (("parameter", module._parameters), ("buffer", module._buffers)):
            for slot in tensors:
                name = f"{path}.{slot}" if path else slot
                if name in saved:
                    kinds[name] = kind if kind and LAYERS[kind].slot(slot) else role
    return kinds


def said(knowledge: Knowledge, name: str) -> str:
    """Return the kind that knowledge gives a tensor; empty where it gives none."""
    for key in (name, name.rpartition(".")[0]):
        if key in knowledge.findings:
            return knowledge.findings[key].kind
    return ""


def read_and_compare(
    folder: Path,
    code: str,
    make: str = "Net()",
    *,
    entry: str = "Net",
    unknown: Mapping[str, Any] | tuple = (),
) -> Knowledge:
    """Read a model's source; every tensor must be known, and as the live model has it.

    Args:
        folder: Where to put the source.
        code: The source.
        make: The expression that makes the live model.
        entry: The class or function that is read.
        unknown: Tensors that nobody can tell.
    """
    module = run(folder, code)
    model = eval(make, module.__dict__)
    knowledge = read_layers(f"model.py:{entry}", specs_of(model), root=folder)
    expected = {name: kind for name, kind in truth(model).items() if name not in unknown}
    found = {name: said(knowledge, name) for name in specs_of(model) if name not in unknown}
    assert found == expected, knowledge.notes
    return knowledge


def read_files_and_compare(
    folder: Path, files: Mapping[str, str], *, entry: str = "model.py:Net"
) -> Knowledge:
    """Read a model of several files; ``model.py`` has the class Net, and every tensor must be known.

    The files are imported as their author would, and forgotten.
    """
    for name, code in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code if name.endswith("__init__.py") else HEAD + code)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        model = importlib.import_module("model").Net()
        expected, specs = truth(model), specs_of(model)
    finally:
        sys.path.remove(str(folder))
        tops = {Path(name).parts[0].removesuffix(".py") for name in files}
        for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
            del sys.modules[name]
    knowledge = read_layers(entry, specs, root=folder)
    assert {name: said(knowledge, name) for name in expected} == expected, knowledge.notes
    return knowledge
