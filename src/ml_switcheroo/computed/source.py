"""The source of live classes and functions, as syntax trees.

``inspect`` parses a whole file anew for each class that it looks up: here each is parsed once. A function it
finds by its first line, which takes less than to parse its file.
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


def tree_of(thing: type | FunctionType) -> tuple[ast.Module, int]:
    """Return the source of a class or a function that has a name, and what its line numbers are behind.

    Raises:
        OSError: There is none: it was made at run time, or in a session.
        SyntaxError: The file has changed, or is of another Python.
        TypeError: It is built in.
    """
    if isinstance(thing, type):
        path = inspect.getsourcefile(thing)
        node = _node(thing, path) if path and Path(path).is_file() else None
        if node is not None:
            return ast.Module([node], []), 0
    lines, start = inspect.getsourcelines(thing)
    return ast.parse(textwrap.dedent("".join(lines))), start - 1


def _node(cls: type, path: str) -> ast.ClassDef | None:
    """Find the node of a class; None where not exactly one fits."""
    nodes = _nodes(path, Path(path).stat().st_mtime_ns).get(cls.__qualname__, ())
    return nodes[0] if len(nodes) == 1 else None


@lru_cache(maxsize=256)
def _nodes(path: str, _changed: int) -> dict[str, list[ast.ClassDef]]:
    """Parse a file; return its classes, by their qualified names."""
    found: dict[str, list[ast.ClassDef]] = {}
    for name, node in _classes(ast.parse(Path(path).read_bytes()), ""):
        found.setdefault(name, []).append(node)
    return found


def _classes(tree: ast.AST, prefix: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.ClassDef):
            name = f"{prefix}{child.name}"
            yield name, child
            yield from _classes(child, f"{name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _classes(child, f"{prefix}{child.name}.<locals>.")
        elif not isinstance(child, ast.expr):
            yield from _classes(child, prefix)
