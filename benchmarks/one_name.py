"""Whether a model that a call loads into has one visible name, which can be bound anew where the call stands.

This is counted with ``ast`` alone, apart from what the rewriter knows. Where models never change, loading
makes a new one: where a caller, a container or another object has the old one as well, no edit of
the call helps.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

__all__ = ["around", "has_one_name"]

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
KEEPING = frozenset("append add insert extend register add_module register_module setattr".split())
TAKING = frozenset("pop popitem popleft get getattr next unwrap_model unwrap get_model".split())
MODULES = ("Module", "ModuleList", "ModuleDict", "Sequential")


def around(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    """Return what stands around each node of a tree."""
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


def has_one_name(call: ast.Call, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Tell whether a call of a method is on a variable of its scope, or an attribute of ``self``, alone.

    A variable is made by a call in the same function and given to nothing before. An attribute of ``self`` is
    made by calls alone, of a class that is no module. A part of either counts like the whole.
    """
    assert isinstance(call.func, ast.Attribute)
    root = call.func.value
    while isinstance(root, ast.Attribute | ast.Subscript) and not _is_own(root):
        root = root.value
    owner = _above(call, parents, (ast.ClassDef,))
    scope = _above(call, parents, FUNCTIONS) or _above(call, parents, (ast.Module,))
    if isinstance(root, ast.Attribute):
        return isinstance(owner, ast.ClassDef) and not _is_module(owner) and _is_made(root, owner, None)
    return isinstance(root, ast.Name) and scope is not None and _is_made(root, scope, call)


def _is_own(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _above(node: ast.AST, parents: Mapping[ast.AST, ast.AST], kinds: tuple[type, ...]) -> ast.AST | None:
    while node in parents:
        node = parents[node]
        if isinstance(node, kinds):
            return node
    return None


def _is_module(owner: ast.ClassDef) -> bool:
    return any(ast.unparse(base).rpartition(".")[2].endswith(MODULES) for base in owner.bases)


def _is_made(root: ast.expr, scope: ast.AST, call: ast.Call | None) -> bool:
    """Tell whether calls make what has a name, and nothing else gets it (before ``call``)."""
    written, values = ast.unparse(root), list[ast.expr]()
    arguments = getattr(scope, "args", None)
    if arguments is not None and any(getattr(one, "arg", "") == written for one in ast.walk(arguments)):
        return False
    for node in ast.walk(scope) if call is None else _own_nodes(scope):
        if call is not None and getattr(node, "lineno", 0) >= call.lineno:
            continue
        loops = isinstance(node, ast.For | ast.comprehension)
        if loops and written in map(ast.unparse, ast.walk(node.target)):
            return False
        if isinstance(node, ast.Expr) and _keeps(node.value, written):
            return False
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [ast.unparse(part) for one in targets for part in (getattr(one, "elts", None) or [one])]
        if written in names:
            values.append(node.value)
            if len(targets) > 1:
                return False
        elif _gets(node.value, written):
            return False
    return bool(values) and all(_is_new(value, written) for value in values)


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function, without those of functions and classes inside."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            yield from _own_nodes(child)


def _keeps(value: ast.expr, written: str) -> bool:
    """Tell ``nets.append(net)``."""
    if not isinstance(value, ast.Call):
        return False
    called = getattr(value.func, "attr", getattr(value.func, "id", ""))
    return called in KEEPING and any(_gets(one, written) for one in value.args)


def _gets(value: ast.expr, written: str) -> bool:
    """Tell whether a value is the object, has it as an item, or is a call of a class that is given it."""
    match value:
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Dict(values=items):
            return any(_gets(item, written) for item in items)
        case ast.Call(func=func, args=given, keywords=words):
            name = ast.unparse(func).rpartition(".")[2]
            moved = isinstance(func, ast.Attribute) and func.attr in ("to", "cuda", "eval", "train", "half")
            handed = [*given, *(word.value for word in words)] if name[:1].isupper() else []
            return (moved and _gets(func.value, written)) or any(_gets(one, written) for one in handed)
    return ast.unparse(value) == written


def _is_new(value: ast.expr, written: str) -> bool:
    """Tell whether a value is made by a call that takes it from nowhere; ``net.to(device)`` is itself."""
    if not isinstance(value, ast.Call):
        return ast.unparse(value) in (written, "None")
    func = value.func
    if isinstance(func, ast.Attribute) and func.attr in ("to", "cuda", "eval", "train", "half"):
        return _is_new(func.value, written)
    return getattr(func, "attr", getattr(func, "id", "")) not in TAKING
