"""Where injected code goes: behind the docstring, ``__future__`` and the imports; once a file."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import cache

from ml_switcheroo.codemod.text import Edit, Text

__all__ = ["defined_names", "find_place", "place_preamble", "without_repeated"]


def place_preamble(text: Text, imports: Sequence[str], blocks: Sequence[str], before: int) -> Edit | None:
    """Return the insertion of import statements and blocks of code; None where all are there already.

    They go behind the last import statement of the top level that stands before the first definition,
    and before the offset ``before``, where the first edit is.

    Args:
        text: The file.
        imports: Import statements; one that stands in the file is not asked for again.
        blocks: Top-level code; one whose names the file already defines is left out.
        before: Offset of the first edit.
    """
    there = defined_names(text.tree)
    new = [line for line in imports if not _names(line) <= there]
    new += [f"\n\n{block.strip()}\n" for block in blocks if not _is_there(block, there, text)]
    if not new:
        return None
    at = find_place(text, before)
    code = "\n".join(new) + "\n"
    head = "" if at == text.line_starts[0] or text.code[at - 1] in "\r\n" else "\n"
    tail = "\n" if blocks and text.code[at : at + 1] not in ("", "\r", "\n") else ""
    return text.edit(at, at, (head + code + tail).replace("\n", text.newline))


def without_repeated(block: str, text: Text, place: int) -> str:
    """Return a block without the imports that stand in the file already, before the place of the block."""
    there = {
        ast.unparse(ast.Import([alias]))
        for node in text.tree.body
        if isinstance(node, ast.Import) and text.span(node)[1] <= place
        for alias in node.names
    }
    lines = block.strip().split("\n")
    heads = [line for line in lines if line.startswith("import ")]
    kept = [line for line in lines if line not in there or line not in heads]
    return "\n".join(kept) + "\n" if len(kept) < len(lines) else block


def defined_names(tree: ast.Module) -> set[str]:
    """Return the names that the top level imports or defines as functions and classes."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return names


def _is_there(block: str, there: set[str], text: Text) -> bool:
    names = _names(block)
    if not names:
        return block.strip().replace("\n", text.newline) in text.code
    return names <= there or bool(names & _imported_from_here(text.tree))


def _imported_from_here(tree: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ml_switcheroo")
        for alias in node.names
    }


@cache
def _names(code: str) -> frozenset[str]:
    tree = ast.parse(code)
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    return frozenset(classes or defined_names(tree))


def find_place(text: Text, before: int) -> int:
    """Return the offset of the line behind the imports."""
    at = text.line_starts[0]
    body = text.tree.body
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        if isinstance(body[0].value.value, str):
            at = text.line_end(text.span(body[0])[1])
    elif body:
        at = _behind_comments(text)
    for node in body:
        start, end = text.span(node)
        if start >= before or isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            break
        if _is_import(node) and text.line_end(end) <= before:
            at = text.line_end(end)
    return at


def _behind_comments(text: Text) -> int:
    """Return the offset behind ``#!`` and coding lines, which must stay the first two."""
    at = text.line_starts[0]
    for start in text.line_starts[:2]:
        if text.code.startswith("#", start):
            at = text.line_end(start)
    return at


def _is_import(node: ast.stmt) -> bool:
    """Tell whether a statement imports, and does nothing else (``try: import a`` does, too)."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if not isinstance(node, ast.Try | ast.If):
        return False
    inner = [*node.body, *node.orelse, *getattr(node, "finalbody", [])]
    inner += [statement for clause in getattr(node, "handlers", []) for statement in clause.body]
    plain = (ast.Import, ast.ImportFrom, ast.Assign, ast.Pass)
    return any(isinstance(item, plain[:2]) for item in inner) and all(
        isinstance(item, plain) for item in inner
    )
