"""The source of live classes and functions, as syntax trees; each file is parsed once.

``inspect`` parses a whole file anew for each class that it looks up.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import FunctionType

__all__ = ["tree_of"]

_Named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def tree_of(thing: type | FunctionType) -> tuple[ast.Module, int]:
    """Return the source of a class or a function that has a name, and what its line numbers are behind.

    Raises:
        OSError: There is none: it was made at run time, or in a session.
        SyntaxError: The file has changed, or is of another Python.
        TypeError: It is built in.
    """
    path = inspect.getsourcefile(thing)
    node = _node(thing, path) if path and Path(path).is_file() else None
    if node is not None:
        return ast.Module([node], []), 0
    lines, start = inspect.getsourcelines(thing)
    return ast.parse(textwrap.dedent("".join(lines))), start - 1


def _node(thing: type | FunctionType, path: str) -> _Named | None:
    """Find the node of a class or function; None where not exactly one can be meant."""
    nodes = _nodes(path, Path(path).stat().st_mtime_ns).get(thing.__qualname__, ())
    if isinstance(thing, FunctionType):
        nodes = [node for node in nodes if _first_line(node) == thing.__code__.co_firstlineno]
    else:
        nodes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    return nodes[0] if len(nodes) == 1 else None


def _first_line(node: _Named) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


@lru_cache(maxsize=256)
def _nodes(path: str, _changed: int) -> dict[str, list[_Named]]:
    """Parse a file; return what has a name in it, by that."""
    found: dict[str, list[_Named]] = {}
    for name, node in _named(ast.parse(Path(path).read_bytes()), ""):
        found.setdefault(name, []).append(node)
    return found


def _named(tree: ast.AST, prefix: str) -> Iterator[tuple[str, _Named]]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, _Named):
            name = f"{prefix}{child.name}"
            yield name, child
            inside = f"{name}." if isinstance(child, ast.ClassDef) else f"{name}.<locals>."
            yield from _named(child, inside)
        elif not isinstance(child, ast.expr):
            yield from _named(child, prefix)
