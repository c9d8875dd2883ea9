"""What shows that an expression is a module, also where nothing shows its class."""

from __future__ import annotations

import ast
import re

from ml_switcheroo.codemod.known import CHILDREN_METHODS, PASSING_CALLS, kind_of_name
from ml_switcheroo.codemod.naming import named_kind
from ml_switcheroo.codemod.receivers import Origin, Place, Receivers
from ml_switcheroo.codemod.sites import FUNCTIONS, parameters, walk_scope

__all__ = ["is_module"]

_DEPTH = 6
_HOOKS = frozenset({"register_load_state_pre_hook", "register_save_state_pre_hook"})
"""Methods of accelerate that take a function of a list of modules."""
_LISTED = frozenset({"reversed", "list", "tuple"})
_AVERAGES = re.compile(r"(?i:(^|[._])ema)|EMA|[Aa]verag")
"""What is called a model, and keeps one."""


def is_module(node: ast.expr, place: Place, receivers: Receivers, depth: int = 0) -> bool:
    """Tell whether the code shows an expression to be a module, whatever its class.

    By its class, or the name of a class that no file here has; as a part of a module that is not called
    something else; as an item of a list of modules, also of the one that accelerate hands to a hook. Never by
    the name of a variable alone.
    """
    origins = receivers.origins(node, place)
    if any(origin.kind for origin in origins):
        return all(origin.kind == "module" or _is_of_model(origin) for origin in origins)
    if any(map(_is_of_class, origins)):
        return all(map(_is_of_model, origins))
    if depth > _DEPTH:
        return False
    match node:
        case ast.Attribute(value=whole) | ast.Subscript(value=whole):
            named = named_kind(node) in ("", "module") and not _AVERAGES.search(ast.unparse(node))
            return named and _has_modules(whole, place, receivers, depth + 1)
        case ast.Name(id=name):
            return _is_item(name, place, receivers, depth + 1)
        case ast.Call(func=ast.Attribute(value=whole, attr="pop")):
            return _has_modules(whole, place, receivers, depth + 1)
        case ast.Call(func=called, args=[inner, *_]) if PASSING_CALLS.search(ast.unparse(called)):
            return is_module(inner, place, receivers, depth + 1)
    return False


def _is_of_model(origin: Origin) -> bool:
    """Tell what is made by a class of a library that is called a model: ``ControlNetModel``."""
    name = origin.made.rpartition(".")[2]
    return _is_of_class(origin) and kind_of_name(name) == "module" and not _AVERAGES.search(name)


def _is_of_class(origin: Origin) -> bool:
    """Tell what is made by a class that no file here has."""
    return not origin.kind and bool(re.fullmatch(r"(\w+\.)*[A-Z]\w*", origin.made))


def _has_modules(node: ast.expr, place: Place, receivers: Receivers, depth: int) -> bool:
    """Tell what has modules for its parts or items: a module, what it yields, a list handed to a hook."""
    if receivers.kinds(node, place) == {"overriding"} or is_module(node, place, receivers, depth):
        return True
    match node:
        case ast.Call(func=ast.Attribute(value=whole, attr=method)) if method in ("values", "items"):
            return _has_modules(whole, place, receivers, depth + 1)
        case ast.Call(func=ast.Name(id=name), args=[values]) if name in _LISTED:
            return _has_modules(values, place, receivers, depth + 1)
        case ast.Name(id=name):
            return _is_handed_to_a_hook(name, place)
    return False


def _is_item(name: str, place: Place, receivers: Receivers, depth: int) -> bool:
    """Tell a variable that takes one module out of several, every time that it is set."""
    scope = next((node for node in reversed(place.scopes) if isinstance(node, FUNCTIONS)), place.file.tree)
    if name in parameters(scope):
        return False
    nodes = list(walk_scope(scope))
    stores = sum(isinstance(one, ast.Name) and one.id == name and _is_store(one) for one in nodes)
    taken = [value for node in nodes for value in _taken_from(node, name)]
    return 0 < stores == len(taken) and all(_has_modules(one, place, receivers, depth) for one in taken)


def _is_store(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)


def _taken_from(node: ast.AST, name: str) -> list[ast.expr]:
    """Return what a variable takes an item of: by ``pop``, by a loop."""
    match node:
        case ast.Assign(
            targets=[ast.Name(id=found)], value=ast.Call(func=ast.Attribute(value=whole, attr="pop"))
        ) if found == name:
            return [whole]
        case ast.For(target=target, iter=values) | ast.comprehension(target=target, iter=values):
            return _looped(target, values, name)
    return []


def _looped(target: ast.expr, values: ast.expr, name: str) -> list[ast.expr]:
    """Return what a loop takes a variable from, through ``enumerate``, ``zip`` and ``items``."""
    if isinstance(target, ast.Name):
        return [values] if target.id == name else []
    if not isinstance(target, ast.Tuple) or not isinstance(values, ast.Call):
        return []
    called = getattr(values.func, "id", getattr(values.func, "attr", ""))
    if called == "zip" and len(target.elts) == len(values.args):
        pairs = zip(target.elts, values.args, strict=True)
        return [found for one, value in pairs for found in _looped(one, value, name)]
    if len(target.elts) == 2 and called == "enumerate" and values.args:
        return _looped(target.elts[1], values.args[0], name)
    if len(target.elts) == 2 and called in ("items", *CHILDREN_METHODS):
        return _looped(target.elts[1], values, name)
    return []


def _is_handed_to_a_hook(name: str, place: Place) -> bool:
    """Tell the models that accelerate hands to a function: ``def load(models, folder)``."""
    scope = next((node for node in reversed(place.scopes) if isinstance(node, FUNCTIONS)), None)
    if not isinstance(scope, ast.FunctionDef) or [arg.arg for arg in scope.args.args[:1]] != [name]:
        return False
    return not any(
        isinstance(one, ast.Name) and one.id == name and _is_store(one) for one in walk_scope(scope)
    ) and any(
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") in _HOOKS
        and [getattr(one, "id", "") for one in node.args] == [scope.name]
        for node in place.file.nodes
    )
