"""Where ``net = KeyMapper.load_into(net, ...)`` reaches everybody who uses ``net``."""

from __future__ import annotations

import ast

from ml_switcheroo.core.known import PASSING_CALLS, PASSING_METHODS
from ml_switcheroo.core.sites import Site, scope_of, walk_scope

__all__ = ["why_no_rebind"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def why_no_rebind(site: Site) -> str:
    """Return why the model cannot be bound anew at a call; empty where it can.

    It can where the call is a statement, and what it is called on is a variable of the same scope that
    nobody else holds yet, or an attribute of ``self``.
    """
    if not site.is_statement:
        return "the models of this target never change, and the result of this call is used"
    receiver = site.receiver
    scope = scope_of(site)
    if isinstance(receiver, ast.Attribute):
        plain = (
            isinstance(receiver.value, ast.Name) and receiver.value.id == "self" and receiver.attr != "module"
        )
        return "" if plain else "the models of this target never change, and this is a part of one"
    if not isinstance(receiver, ast.Name):
        return "the models of this target never change, and this expression cannot be assigned to"
    return _why_not_local(receiver.id, scope, site)


def _why_not_local(name: str, scope: ast.AST, site: Site) -> str:
    nodes = list(walk_scope(scope))
    if isinstance(scope, _FUNCTIONS) and name not in _bound(nodes) and not _declared(name, nodes):
        arguments = {argument.arg for argument in ast.walk(scope.args) if isinstance(argument, ast.arg)}
        if name not in arguments:
            return f"{name} belongs to the code around this function; binding it here would make another"
        returned = any(
            isinstance(node, ast.Return) and node.value is not None and _mentions(node.value, name)
            for node in nodes
        )
        if name == "self":
            return "the models of this target never change, and self is one"
        if not returned:
            return f"{name} is the caller's, who would keep the old model: return it and bind it there"
    holder = _held(name, nodes, site.call.lineno)
    return f"line {holder} keeps the old model, or gives it another name" if holder else ""


def _held(name: str, nodes: list[ast.AST], before: int) -> int:
    """Return the line before the call where something else takes hold of the object; 0 where none does."""
    for node in nodes:
        if isinstance(node, ast.For | ast.AsyncFor) and _mentions(node.target, name):
            return node.lineno
        value = getattr(node, "value", None)
        if not isinstance(node, ast.Assign | ast.AnnAssign) or value is None or node.lineno >= before:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        bound = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if bound and (len(targets) > 1 or _is_alias(value, name)):
            return node.lineno
        if not bound and _escapes(value, name):
            return node.lineno
    return 0


def _is_alias(value: ast.expr, name: str) -> bool:
    """Tell whether a value is another object by a second name: ``self.net``, ``wrapper.to(device)``."""
    if isinstance(value, ast.Call):
        called = value.func
        if isinstance(called, ast.Attribute) and called.attr in PASSING_METHODS:
            return _is_alias(called.value, name)
        passes = PASSING_CALLS.search(ast.unparse(called)) and value.args
        return bool(passes) and "copy" not in ast.unparse(called) and _is_alias(value.args[0], name)
    if isinstance(value, ast.Attribute | ast.Subscript):
        return True
    return isinstance(value, ast.Name) and value.id != name


def _escapes(value: ast.expr, name: str) -> bool:
    """Tell whether the value may keep the object: itself, in a container, as an argument of a call."""
    if isinstance(value, ast.Name):
        return value.id == name
    if isinstance(value, ast.Tuple | ast.List | ast.Set):
        return any(_escapes(item, name) for item in value.elts)
    if isinstance(value, ast.Dict):
        return any(_escapes(item, name) for item in value.values)
    if isinstance(value, ast.Call):
        passed = [*value.args, *(word.value for word in value.keywords)]
        if isinstance(value.func, ast.Attribute) and value.func.attr in PASSING_METHODS:
            passed.append(value.func.value)
        return any(_escapes(item, name) for item in passed)
    return False


def _bound(nodes: list[ast.AST]) -> set[str]:
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _declared(name: str, nodes: list[ast.AST]) -> bool:
    return any(isinstance(node, ast.Global | ast.Nonlocal) and name in node.names for node in nodes)


def _mentions(node: ast.expr, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))
