"""Names that a file has already, and that injected code would take away from it (or the other way round)."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache

from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.sites import FUNCTIONS, CallSite, in_scope, is_declared, parameters, walk_scope

__all__ = ["find_clash", "find_shadow"]

_OURS = "ml_switcheroo."
_DEFINED = ""  # what a name comes from that the file makes itself


def find_clash(file: File, codes: Iterable[str]) -> str:
    """Return why top-level code cannot join a file: a name of both that stands for two things.

    Code that is there already clashes with nothing; neither does a name set to None, as after a failed
    import.

    Args:
        file: The file.
        codes: Import statements and blocks of code.
    """
    there: dict[str, dict[str, int]] = {}
    for name, origin, line in _bindings(file):
        there.setdefault(name, {}).setdefault(origin, line)
    own = {node.name for node in file.tree.body if isinstance(node, ast.ClassDef)}
    for code in codes:
        needed = _bound(code)
        classes = {name for name, origin in needed if origin == _DEFINED}
        if classes and classes <= own:
            continue
        for name, origin in sorted(needed):
            for other, line in there.get(name, {}).items():
                ours = origin.startswith(_OURS) and {name, "KeyKinds"} <= own
                if not ours and (other != origin or origin == _DEFINED) and not other.startswith(_OURS):
                    return f"{name} is another thing in this file (line {line})"
    return ""


def find_shadow(site: CallSite, name: str) -> int:
    """Return the line where a name is bound between the top of the file and a call; 0 where it is not."""
    scopes: list[ast.AST] = [node for node in site.parents if isinstance(node, FUNCTIONS)]
    if isinstance(site.definitions[-1] if site.definitions else None, ast.ClassDef):
        scopes.append(site.definitions[-1])
    for scope in scopes:
        if name in parameters(scope):
            return int(getattr(scope, "lineno", 0))
        if not is_declared(name, scope):
            for node in walk_scope(scope):
                if _binds(node, name):
                    return int(getattr(node, "lineno", 0))
    for node in site.parents:
        for loop in getattr(node, "generators", ()):
            if any(_binds(part, name) for part in ast.walk(loop.target)):
                return int(getattr(node, "lineno", 0))
    return 0


def _binds(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id == name
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return node.name == name
    return any(made == name and not origin.startswith(_OURS) for made, origin, _ in _made(node))


@cache
def _bound(code: str) -> frozenset[tuple[str, str]]:
    """Return the names that a piece of top-level code binds, each with what it comes from."""
    return frozenset((name, origin) for node in ast.parse(code).body for name, origin, _ in _made(node))


def _bindings(file: File) -> Iterator[tuple[str, str, int]]:
    """Yield the names of the top level, with what each comes from, and the line."""
    absent: set[ast.AST] = set()
    for node in file.once(in_scope, file.tree):
        yield from _made(node)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is None:
            absent.update(node.targets)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in absent:
            yield node.id, _DEFINED, node.lineno
    for node in file.of(ast.Global):
        yield from ((name, _DEFINED, node.lineno) for name in node.names)


def _made(node: ast.AST) -> Iterator[tuple[str, str, int]]:
    match node:
        case ast.Import(names=names):
            for alias in names:
                first = alias.name.partition(".")[0]
                yield alias.asname or first, alias.name if alias.asname else first, node.lineno
        case ast.ImportFrom(module=module, names=names):
            for alias in names:
                dotted = ".".join(["." * node.level + (module or ""), alias.name])
                yield alias.asname or alias.name, dotted, node.lineno
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name, _DEFINED, node.lineno
