"""The functions that a piece of source code calls, read and not run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ml_switcheroo.computed.words import MARKS, Computed, named, parameters

__all__ = ["called"]

# What makes a model, or its weights, is not what it computes.
_MAKING = ("__init__", "__post_init__", "setup", "build", "extra_repr", "get_config")

_METHODS = {"relu", "sigmoid", "tanh"}


def called(tree: ast.AST, resolve: Callable[[str], str]) -> Iterator[Computed]:
    """Yield what the calls in a class, function or lambda compute.

    Args:
        tree: What holds the class, function or lambda.
        resolve: Gives the qualified name for a dotted one that stands in the code; empty where it is none of
            a framework's.
    """
    nodes = list(_computing(tree))
    marks = [MARKS[node.value] for node in nodes if isinstance(node, ast.Constant) and _is_mark(node.value)]
    calls = [
        (node, dotted) for node in nodes if isinstance(node, ast.Call) and (dotted := _dotted(node.func))
    ]
    names = {dotted: resolve(dotted) for _, dotted in calls}
    marks += [MARKS["erf"] for name in names.values() if name.rpartition(".")[2] == "erf"]
    yield from marks
    for node, dotted in calls:
        name = names[dotted]
        found = named(name, _arguments(node, name)) if name else _method(node, dotted)
        # The sigmoid, or tanh, of a GELU that is written out is no activation by itself.
        if found is not None and not (marks and found.what in ("sigmoid", "tanh")):
            yield found


def _is_mark(value: object) -> bool:
    return isinstance(value, float) and value in MARKS


def _computing(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, without the functions that only make something."""
    for child in ast.iter_child_nodes(tree):
        making = isinstance(child, ast.FunctionDef) and (
            child.name in _MAKING or child.name.startswith(("init", "reset", "_init", "_reset"))
        )
        if not making:
            yield child
            yield from _computing(child)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = _dotted(node.value) if isinstance(node.value, ast.Name | ast.Attribute) else "?"
        return f"{head}.{node.attr}" if head else ""
    return ""


def _method(node: ast.Call, dotted: str) -> Computed | None:
    """Return what ``x.relu()`` computes: a method of a tensor."""
    head, _, last = dotted.rpartition(".")
    plain = bool(head) and not head.startswith("self") and last in _METHODS and not node.args
    return Computed(last) if plain else None


def _arguments(node: ast.Call, name: str) -> Mapping[str, Any]:
    """Return the arguments of a call by name; one that is no constant is the node itself."""
    given = dict(zip(parameters(name), node.args, strict=False))
    given.update({keyword.arg: keyword.value for keyword in node.keywords if keyword.arg})
    found: dict[str, Any] = {}
    for key, value in given.items():
        try:
            found[key] = ast.literal_eval(value)
        except ValueError:
            found[key] = value
    return found
