"""What no rewrite touches but a person who moves a model should see: a line and a sentence each."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ml_switcheroo.core.index import File

__all__ = ["find_leftovers"]

_NOTED = frozenset({"save", "copy_", "eval", "train"})
_OVERRIDES = ("load_state_dict", "_load_from_state_dict")


def find_leftovers(file: File) -> list[tuple[int, str]]:
    """Return line and note of what stays as it is, beside the calls that were judged."""
    called = {id(node.func) for node in file.nodes if isinstance(node, ast.Call)}
    pickled = _pickled(file)
    found: list[tuple[int, str]] = []
    for node in file.nodes:
        match node:
            case ast.ClassDef(body=body):
                found += [
                    (
                        item.lineno,
                        f"{node.name} overrides {item.name}: what it does with names and values stays yours",
                    )
                    for item in body
                    if isinstance(item, ast.FunctionDef) and item.name in _OVERRIDES
                ]
            case ast.Attribute(attr="load_state_dict") if id(node) not in called:
                found.append(
                    (node.lineno, f"{ast.unparse(node)} is passed on as a method: its calls stay as they are")
                )
            case ast.Call():
                found += [(node.lineno, why) for why in _of_call(node, pickled)]
    return sorted(set(found))


def _of_call(node: ast.Call, pickled: set[str]) -> Iterator[str]:
    name = getattr(node.func, "attr", "")
    if not (name in _NOTED or name.endswith("hook")):
        return
    written = ast.unparse(node.func)
    if "register_" in name and "state_dict" in name and name.endswith("hook"):
        yield "a hook on the state dict: what it does with names and values stays yours"
    if written == "torch.save" and any(_is_state(part) for part in node.args[:1]):
        yield "the state dict is saved by PyTorch: once the model is ported, save it from its target"
    if name == "copy_" and isinstance(node.func, ast.Attribute) and _is_loader(node.func.value):
        yield "weights are written tensor by tensor: this stays as it is"
    owner = written.rpartition(".")[0]
    if name in ("eval", "train") and owner in pickled:
        yield f"{owner} is a whole pickled model: save its state_dict() with PyTorch first"


def _is_state(node: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "state_dict"
        for part in ast.walk(node)
    )


def _is_loader(node: ast.expr) -> bool:
    """Tell ``own_state[name].copy_`` and ``layer.weight.data.copy_``."""
    if isinstance(node, ast.Subscript):
        return "state" in ast.unparse(node.value)
    return isinstance(node, ast.Attribute) and node.attr == "data" and "weight" in ast.unparse(node.value)


def _pickled(file: File) -> set[str]:
    """Return the names that hold what ``torch.load`` returns, as it is."""
    return {
        ast.unparse(target)
        for node in file.nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "torch.load"
        for target in node.targets
    }
