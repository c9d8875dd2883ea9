"""Where ``net = KeyMapper.load_into(net, ...)`` reaches everybody who uses ``net``."""

from __future__ import annotations

import ast

from ml_switcheroo.core.known import PASSING_CALLS, PASSING_METHODS
from ml_switcheroo.core.notes import Said, said
from ml_switcheroo.core.sites import Site, scope_of, walk_scope

__all__ = ["who_keeps_the_old", "why_no_rebind"]

# What these return was somebody's before.
_TAKING = frozenset("pop popitem popleft get setdefault getattr next get_model unwrap_model".split())
_STORING = frozenset("append add insert extend register add_module register_module setattr".split())
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def why_no_rebind(site: Site) -> Said | None:
    """Return why the model cannot be bound anew at a call, if it cannot.

    It can where the call is a statement, and what it is called on is a variable of the same scope that
    nobody else holds yet, or an attribute of ``self``.
    """
    if not site.is_statement:
        return said("result-used")
    receiver = site.receiver
    scope = scope_of(site)
    if isinstance(receiver, ast.Attribute):
        plain = (
            isinstance(receiver.value, ast.Name) and receiver.value.id == "self" and receiver.attr != "module"
        )
        if not plain:
            return said("part")
        holder = _held_in_class(receiver, site)
        return said("held-by-object", line=holder, receiver=ast.unparse(receiver)) if holder else None
    if not isinstance(receiver, ast.Name):
        return said("unassignable")
    return _why_not_local(receiver.id, scope, site)


def _why_not_local(name: str, scope: ast.AST, site: Site) -> Said | None:
    nodes = list(walk_scope(scope))
    if isinstance(scope, _FUNCTIONS) and not _declared(name, nodes):
        arguments = {argument.arg for argument in ast.walk(scope.args) if isinstance(argument, ast.arg)}
        if name == "self":
            return said("self-fixed")
        if name not in arguments and name not in _bound(nodes):
            return said("outer-variable", receiver=name)
        made = [one for one in _values(name, nodes, site.call.lineno) if not _mentions(one, name)]
        if name in arguments and not made and not any(_is_returned(name, node) for node in nodes):
            return said("callers", receiver=name)
    holder = _held(name, nodes, site.call.lineno)
    return said("held", line=holder) if holder else None


def who_keeps_the_old(site: Site) -> Said | None:
    """Return a note where the attribute that is bound anew came from outside."""
    owner = next((node for node in reversed(site.definitions) if isinstance(node, ast.ClassDef)), None)
    written = ast.unparse(site.receiver)
    for method in owner.body if owner and isinstance(site.receiver, ast.Attribute) else ():
        if isinstance(method, _FUNCTIONS):
            arguments = {part.arg for part in ast.walk(method.args) if isinstance(part, ast.arg)}
            for node in walk_scope(method):
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
                    given = node.value.id in arguments
                    if given and written in {ast.unparse(target) for target in node.targets}:
                        return said("old-kept", receiver=written, line=node.lineno)
    return None


def _values(name: str, nodes: list[ast.AST], before: int) -> list[ast.expr]:
    """Return what a variable is set to before a line."""
    return [
        one
        for node in nodes
        if isinstance(node, ast.Assign) and node.lineno < before
        for target in node.targets
        for one in _given(target, node.value, name)
    ]


def _is_returned(name: str, node: ast.AST) -> bool:
    """Tell ``return net``, by itself, in a tuple or on a device; what ``f(net)`` returns may be anything."""
    if not isinstance(node, ast.Return | ast.Yield) or node.value is None:
        return False
    parts = list(node.value.elts) if isinstance(node.value, ast.Tuple | ast.List) else [node.value]
    for part in parts:
        while isinstance(part, ast.Call) and getattr(part.func, "attr", "") in PASSING_METHODS:
            part = getattr(part.func, "value", part)
        if isinstance(part, ast.Name) and part.id == name:
            return True
    return False


def _held_in_class(receiver: ast.Attribute, site: Site) -> int:
    """Return a line of the class that hands the attribute to another of its attributes; 0 for none."""
    owner = next((node for node in reversed(site.definitions) if isinstance(node, ast.ClassDef)), None)
    written = ast.unparse(receiver)
    for node in ast.walk(owner) if owner else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            passed = [*node.value.args, *(word.value for word in node.value.keywords)]
            given = any(isinstance(one, ast.Attribute) and ast.unparse(one) == written for one in passed)
            if given and written not in {ast.unparse(target) for target in node.targets}:
                return node.lineno
    return 0


def _held(name: str, nodes: list[ast.AST], before: int) -> int:
    """Return the line before the call where something else takes hold of the object; 0 where none does."""
    for node in nodes:
        if isinstance(node, ast.For | ast.AsyncFor) and _mentions(node.target, name):
            return node.lineno
        value = getattr(node, "value", None)
        if isinstance(node, ast.Expr) and node.lineno < before and _stores(node.value, name):
            return node.lineno
        if not isinstance(node, ast.Assign | ast.AnnAssign) or value is None or node.lineno >= before:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        given = [one for target in targets for one in _given(target, value, name)]
        if given and (len(targets) > 1 or any(_is_alias(one, name) for one in given)):
            return node.lineno
        if not given and _escapes(value, name):
            return node.lineno
    return 0


def _stores(call: ast.expr, name: str) -> bool:
    """Tell ``nets.append(net)``, ``setattr(trainer, "net", net)``."""
    if not isinstance(call, ast.Call):
        return False
    called = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return called in _STORING and any(_escapes(one, name) for one in call.args)


def _given(target: ast.expr, value: ast.expr, name: str) -> list[ast.expr]:
    """Return what an assignment gives to a variable, of a tuple the part that it gets."""
    if isinstance(target, ast.Name):
        return [value] if target.id == name else []
    if not isinstance(target, ast.Tuple | ast.List):
        return []
    parts = getattr(value, "elts", None)
    if parts is None or len(parts) != len(target.elts):
        return [value] if _mentions(target, name) else []
    return [one for at, part in zip(target.elts, parts, strict=True) for one in _given(at, part, name)]


def _is_alias(value: ast.expr, name: str) -> bool:
    """Tell whether a value is another object by a second name: ``self.net``, ``wrapper.to(device)``."""
    if isinstance(value, ast.Call):
        called = value.func
        if isinstance(called, ast.Attribute) and called.attr in PASSING_METHODS:
            return _is_alias(called.value, name)
        if getattr(called, "attr", getattr(called, "id", "")) in _TAKING:
            return True
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
