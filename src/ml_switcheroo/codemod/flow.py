"""What an expression is made of: followed through variables, containers and functions of the file."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import proxy

from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.sites import definitions_of, in_scope, walk_scope
from ml_switcheroo.codemod.trees import called, spelled

__all__ = ["Flow", "Spot", "passed"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEPTH = 12

# What these return holds nothing of what they are given.
_COUNTING = frozenset(
    "len sum max min any all print str repr hash id type isinstance bool int float range keys join".split()
)
# What these are given is in the object afterwards.
_FILLING = frozenset({"update", "setdefault", "append", "extend", "insert", "add"})


@dataclass(frozen=True, slots=True)
class Spot:
    """An expression, and the definitions around it, outermost first."""

    node: ast.expr
    scopes: tuple[ast.AST, ...]


class Flow:
    """Follow expressions of a file to what they are made of."""

    def __init__(self, file: File) -> None:
        # The file keeps what was found in it: a cycle would keep both.
        self._file: File = proxy(file)
        self._functions: dict[str, list[ast.AST]] = {}
        for node in file.of(*_FUNCTIONS):
            self._functions.setdefault(node.name, []).append(node)

    def spot(self, node: ast.expr) -> Spot:
        """Return an expression with the definitions around it."""
        return Spot(node, self._file.once(_definitions_of, node))

    def sources(self, spot: Spot) -> Iterator[Spot]:
        """Yield the expression and everything whose value it may hold."""
        yield from self._sources(spot, set(), 0)

    def held(self, spot: Spot) -> list[ast.expr]:
        """Return what a variable is set to, or given, in the scope that it belongs to."""
        name = spelled(spot.node)
        for scope in (*reversed(spot.scopes), self._file.tree):
            bound = self._file.once(_bound, scope)
            if name in bound:
                return bound[name]
            if name in self._file.once(_arguments_of, scope):
                return []
        return []

    def arguments(self, spot: Spot) -> set[str]:
        """Return the arguments of the function around an expression that its value may come from."""
        scope = next((node for node in reversed(spot.scopes) if isinstance(node, _FUNCTIONS)), None)
        known = set(self._file.once(_arguments_of, scope)) - {"self"} if scope else set[str]()
        names = {one.node.id for one in self.sources(spot) if isinstance(one.node, ast.Name)}
        return known & names

    def _sources(self, spot: Spot, seen: set[int], depth: int) -> Iterator[Spot]:
        if depth > _DEPTH or id(spot.node) in seen:
            return
        seen.add(id(spot.node))
        yield spot
        if isinstance(spot.node, ast.Name | ast.Attribute):
            inner = [self.spot(node) for node in self.held(spot)]
        else:
            inner = [Spot(node, spot.scopes) for node in _parts(spot.node)]
        if isinstance(spot.node, ast.Call):
            for function in self._functions.get(called(spot.node), ()):
                inner += [self.spot(node) for node in _returned(function)]
        for one in inner:
            yield from self._sources(one, seen, depth + 1)


def passed(call: ast.Call) -> list[ast.expr]:
    """Return the arguments of a call, named ones too."""
    return [*call.args, *(word.value for word in call.keywords)]


def _definitions_of(file: File, node: ast.expr) -> tuple[ast.AST, ...]:
    return definitions_of(node, file)


def _arguments_of(_file: File, scope: ast.AST) -> Sequence[str]:
    """Return the names of a function's arguments; none of what is no function."""
    arguments = getattr(scope, "args", None)
    if not isinstance(arguments, ast.arguments):
        return ()
    return [node.arg for node in ast.walk(arguments) if isinstance(node, ast.arg)]


def _parts(node: ast.expr) -> list[ast.expr]:
    """Return the expressions whose values a value may hold."""
    match node:
        case ast.Dict(values=values):
            return list(values)
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items) | ast.BoolOp(values=items):
            return list(items)
        case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, op=ast.BitOr(), right=other):
            return [one, other]
        case ast.DictComp(value=value) | ast.ListComp(elt=value) | ast.GeneratorExp(elt=value):
            return [value]
        case ast.Subscript(value=value) | ast.Starred(value=value) | ast.Await(value=value):
            return [value]
        case ast.NamedExpr(value=value):
            return [value]
        case ast.Call() if called(node) not in _COUNTING:
            own = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            return [*own, *passed(node)]
    return []


def _bound(file: File, scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Return everything that each variable of a scope is set to, looped over or filled with."""
    found: dict[str, list[ast.expr]] = {}
    for node in file.once(in_scope, scope):
        for target, value in _bindings(node):
            for name in _names(target):
                found.setdefault(name, []).append(value)
    return found


def _bindings(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _pairs(target, value)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield target, value
        case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
            yield target, value
        case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
            yield target, value
        case ast.comprehension(target=target, iter=value):
            yield target, value
        case ast.Call(func=ast.Attribute(value=target, attr=method)) if method in _FILLING:
            for value in passed(node):
                yield target, value


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value


def _names(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name() | ast.Attribute():
            yield spelled(target)
        case ast.Subscript(value=value) | ast.Starred(value=value):
            yield from _names(value)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            for item in items:
                yield from _names(item)


def _returned(function: ast.AST) -> Iterator[ast.expr]:
    for node in walk_scope(function):
        if isinstance(node, ast.Return | ast.Yield) and node.value is not None:
            yield node.value
