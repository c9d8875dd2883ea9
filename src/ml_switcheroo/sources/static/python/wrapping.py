"""What a function is for: a wrapper that hands on what it is given, one that stores something elsewhere."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

from ml_switcheroo.sources.static.python.frames import Class, Function
from ml_switcheroo.sources.static.python.values import Builtin, Value

__all__ = ["hands_on", "stores", "unwrapped"]

_LOOKS = frozenset("isinstance len hasattr getattr type str repr print callable id issubclass".split())
"""Functions that leave alone what they are given."""

_MOST = 20  # wrappers around one another


def hands_on(wrapper: Function, made: Function | Class, names: set[str]) -> bool:
    """Tell whether a wrapper calls a function with just what it was given, and returns what that returns.

    Args:
        wrapper: What the decorator returns.
        made: The function or class that was decorated.
        names: The names that the wrapper knows it by.
    """
    node = wrapper.node
    spec = node.args
    positional = [arg.arg for arg in (*spec.posonlyargs, *spec.args)]
    given = {*positional, *(arg.arg for arg in spec.kwonlyargs)}
    given |= {arg.arg for arg in (spec.vararg, spec.kwarg) if arg is not None}
    calls = [one for one in _inside(node) if isinstance(one, ast.Call) and _named(one.func, names)]
    if not calls or not all(_just(one, spec, positional) for one in calls):
        return False
    passed = {id(part) for one in calls for part in ast.walk(one)}
    rest = [one for one in _inside(node) if id(one) not in passed]
    return not any(_meddles(one, given) for one in rest) and _returns(node, calls, made)


def unwrapped(function: Value) -> Value:
    """Return a function without the wrappers that decorators have put around it."""
    for _ in range(_MOST):
        if not (isinstance(function, Function) and "__wrapped__" in function.attrs):
            break
        function = function.attrs["__wrapped__"]
    return function


def _inside(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Iterator[ast.AST]:
    for statement in node.body if isinstance(node.body, list) else [node.body]:
        yield from ast.walk(statement)


def _named(node: ast.AST | None, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _just(call: ast.Call, spec: ast.arguments, positional: list[str]) -> bool:
    """Tell whether a call passes the parameters in their order, each as it came."""
    shown = [ast.unparse(arg) for arg in call.args]
    words = {word.arg: ast.unparse(word.value) for word in call.keywords}
    left = positional[len(shown) - (spec.vararg is not None) :]
    wanted = [*positional[: len(positional) - len(left)], *([f"*{spec.vararg.arg}"] if spec.vararg else [])]
    more: dict[str | None, str] = {name: name for name in (*left, *(arg.arg for arg in spec.kwonlyargs))}
    if spec.kwarg is not None:
        more[None] = spec.kwarg.arg
    return shown == wanted and words == more


def _meddles(node: ast.AST, given: set[str]) -> bool:
    """Tell whether something may change what was given."""
    if isinstance(node, ast.Name):
        return node.id in given and not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.Attribute):
        return not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.Subscript):
        return not isinstance(node.ctx, ast.Load) and _named(node.value, given)
    if not isinstance(node, ast.Call) or _named(node.func, set(_LOOKS)):
        return False
    parts = [node.func, *node.args, *(word.value for word in node.keywords)]
    return any(_named(inner, given) for part in parts for inner in ast.walk(part))


def _returns(node: ast.AST, calls: list[ast.Call], made: Function | Class) -> bool:
    """Tell whether the result of the calls is what comes back."""
    if isinstance(node, ast.Lambda):
        return node.body in calls
    kept: set[str] = set()
    direct = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Return | ast.Expr | ast.Assign) and one.value in calls:
            direct.add(id(one.value))
            if isinstance(one, ast.Expr) and _gives(made):
                return False
            if isinstance(one, ast.Assign):
                kept |= {target.id for target in one.targets if isinstance(target, ast.Name)}
    if any(id(call) not in direct for call in calls):
        return False
    results = [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
    shown = {id(result) for result in results}
    uses = [one for one in ast.walk(node) if _named(one, kept) and id(one) not in shown]
    return all(result in calls or _named(result, kept) for result in results) and all(
        isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store) for one in uses
    )


def _gives(made: Function | Class) -> bool:
    """Tell whether a function returns anything."""
    if not isinstance(made, Function) or isinstance(made.node, ast.Lambda):
        return True
    return any(isinstance(one, ast.Return) and one.value is not None for one in ast.walk(made.node))


_SHORT = 12


def stores(value: Value) -> bool:
    """Tell whether calling something is done for what it stores elsewhere: a registration, a patch."""
    if isinstance(value, Builtin):
        return value.name in ("setattr", "exec", "globals")
    node = value.node if isinstance(value, Function) else None
    return isinstance(node, ast.FunctionDef) and len(node.body) <= _SHORT and _assigns_elsewhere(node)


@functools.lru_cache(maxsize=4096)
def _assigns_elsewhere(node: ast.FunctionDef) -> bool:
    inside = [inner for statement in node.body for inner in ast.walk(statement)]
    targets = [t for inner in inside if isinstance(inner, ast.Assign) for t in inner.targets]
    return any(isinstance(inner, ast.Global) for inner in inside) or any(
        isinstance(target, ast.Subscript | ast.Attribute) for target in targets
    )
