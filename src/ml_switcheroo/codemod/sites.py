"""Find the calls that the API table speaks of, and tell what they are called on."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.operations import methods as rewritten_methods
from ml_switcheroo.codemod.trees import FIELDS, spelled

__all__ = [
    "FUNCTIONS",
    "CallSite",
    "definitions_of",
    "find_sites",
    "has_plain_bases",
    "in_scope",
    "is_declared",
    "parameters",
    "parents_of",
    "scope_of",
    "site_of",
    "walk_scope",
]

_NAMED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_NAMED, ast.Lambda)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_PLAIN = frozenset({"object", "ABC", "Generic", "Protocol", "Stateful"})


@dataclass(frozen=True, slots=True)
class CallSite:
    """One call of a method of the API table.

    Attributes:
        call: The call.
        receiver: What the method is called on.
        scope: The names of the definitions around the call, outermost first.
        parents: The nodes around the call, outermost first.
    """

    call: ast.Call
    receiver: ast.expr
    scope: tuple[str, ...]
    parents: tuple[ast.AST, ...]

    @property
    def definitions(self) -> tuple[ast.AST, ...]:
        """The classes and functions around the call, outermost first."""
        return tuple(node for node in self.parents if isinstance(node, _DEFINITIONS))

    @property
    def statement(self) -> ast.stmt:
        """The statement that the call stands in."""
        return next(node for node in reversed(self.parents) if isinstance(node, ast.stmt))

    @property
    def is_statement(self) -> bool:
        """Whether the call is a statement by itself, its result unused."""
        return isinstance(self.parents[-1], ast.Expr)

    @property
    def method(self) -> str:
        """The name of the method."""
        assert isinstance(self.call.func, ast.Attribute)
        return self.call.func.attr


def find_sites(file: File, *methods: str) -> list[CallSite]:
    """Return every call of some methods, inner ones before those around them.

    Without a name they are those of the API table that are rewritten unasked.
    """
    return sorted(_found(file, methods or rewritten_methods()), key=lambda site: -len(site.parents))


def definitions_of(node: ast.AST, file: File) -> tuple[ast.AST, ...]:
    """Return the classes and functions around a node, outermost first."""
    around = [parent for parent in parents_of(node, file) if isinstance(parent, _DEFINITIONS)]
    return tuple(reversed(around))


def has_plain_bases(node: ast.ClassDef) -> bool:
    """Tell whether a class has no bases, or such alone as every class may have."""
    return {spelled(base).partition("[")[0].rpartition(".")[2] for base in node.bases} <= _PLAIN


def scope_of(site: CallSite) -> ast.AST:
    """Return the function or class that a call stands in, or the file."""
    return next((node for node in reversed(site.definitions) if isinstance(node, _SCOPES)), site.parents[0])


def _found(file: File, methods: Sequence[str]) -> Iterator[CallSite]:
    for node in file.calls(methods.__contains__):
        if isinstance(node.func, ast.Attribute):
            yield site_of(node, file)


def site_of(call: ast.Call, file: File) -> CallSite:
    """Return a call with what stands around it; one of a plain function is its own receiver."""
    parents = tuple(parents_of(call, file))[::-1]
    scope = tuple(parent.name for parent in parents if isinstance(parent, _NAMED))
    receiver = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    return CallSite(call, receiver, scope, parents)


def parents_of(node: ast.AST, file: File) -> Iterator[ast.AST]:
    """Yield the nodes around one, inner ones first."""
    around = file.around
    while node in around:
        node = around[node]
        yield node


def walk_scope(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope without those inside the definitions in it."""
    todo = [scope]
    while todo:
        node = todo.pop()
        for name in FIELDS[node.__class__]:
            value = getattr(node, name, None)
            for child in value if value.__class__ is list else (value,):
                if child is not None:
                    yield child
                    if child.__class__ not in _DEFINITIONS and FIELDS[child.__class__]:
                        todo.append(child)


def in_scope(_file: File, scope: ast.AST) -> list[ast.AST]:
    """Return the nodes of a scope of a file; ask for it with ``file.once``."""
    return list(walk_scope(scope))


def parameters(scope: ast.AST) -> set[str]:
    """Return the names of the parameters of a function; of anything else none."""
    if not isinstance(scope, FUNCTIONS):
        return set()
    arguments = scope.args
    every = [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]
    return {argument.arg for argument in every if argument is not None}


def is_declared(name: str, scope: ast.AST) -> bool:
    """Tell whether a function says ``global name`` or ``nonlocal name``."""
    return name in _declared(scope)


@lru_cache(maxsize=512)
def _declared(scope: ast.AST) -> frozenset[str]:
    nodes = (node for node in walk_scope(scope) if isinstance(node, ast.Global | ast.Nonlocal))
    return frozenset(name for node in nodes for name in node.names)
