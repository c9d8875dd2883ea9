"""What no rewrite touches but a person who moves a model should see: a line and a sentence each."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ml_switcheroo.core.index import File
from ml_switcheroo.core.naming import named_kind
from ml_switcheroo.core.notes import Said, said
from ml_switcheroo.core.saving import find_saves, whole_model

__all__ = ["find_leftovers"]

_NOTED = frozenset({"save", "copy_"})
_OF_MODELS = frozenset({"eval", "train", "parameters", "named_parameters"})
_OVERRIDES = ("load_state_dict", "_load_from_state_dict")


def find_leftovers(file: File) -> list[tuple[int, Said]]:
    """Return line and note of what stays as it is, beside the calls that were judged."""
    called = {id(node.func) for node in file.nodes if isinstance(node, ast.Call)}
    found: list[tuple[int, Said]] = []
    for node in file.nodes:
        match node:
            case ast.ClassDef(body=body):
                found += [
                    (item.lineno, said("override", receiver=node.name, name=item.name))
                    for item in body
                    if isinstance(item, ast.FunctionDef) and item.name in _OVERRIDES
                ]
            case ast.Attribute(attr="load_state_dict") if id(node) not in called:
                found.append((node.lineno, said("passed-on", receiver=ast.unparse(node))))
            case ast.Call():
                found += [(node.lineno, why) for why in _of_call(node)]
    return sorted({*found, *_pickled(file)})


def _of_call(node: ast.Call) -> Iterator[Said]:
    name = getattr(node.func, "attr", "")
    if not (name in _NOTED or name.endswith("hook")):
        return
    if "register_" in name and "state_dict" in name and name.endswith("hook"):
        yield said("hook")
    if name == "copy_" and isinstance(node.func, ast.Attribute) and _is_loader(node.func.value):
        yield said("by-tensor")
    if name == "save" and find_saves([node]):
        model = whole_model(node)
        if model is not None and named_kind(model) == "module":
            yield said("saved-whole", receiver=ast.unparse(model))


def _is_loader(node: ast.expr) -> bool:
    """Tell ``own_state[name].copy_`` and ``layer.weight.data.copy_``."""
    if isinstance(node, ast.Subscript):
        return "state" in ast.unparse(node.value)
    return isinstance(node, ast.Attribute) and node.attr == "data" and "weight" in ast.unparse(node.value)


def _pickled(file: File) -> Iterator[tuple[int, Said]]:
    """Yield each ``model = torch.load(...)`` of a variable that is used as a model."""
    loads = {
        ast.unparse(target): node.lineno
        for node in file.nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "torch.load"
        for target in node.targets
    }
    for node in file.nodes if loads else ():
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in _OF_MODELS:
            name = ast.unparse(node.func).rpartition(".")[0]
            if name in loads:
                yield loads[name], said("pickled", receiver=name)
