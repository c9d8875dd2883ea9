"""Who uses a function or a class: its calls in the files that are known, and what each hands in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from ml_switcheroo.codemod.index import File, Index
from ml_switcheroo.codemod.sites import CallSite, site_of
from ml_switcheroo.codemod.trees import spelled

__all__ = ["Use", "find_uses", "handed_in", "subclasses"]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Use:
    """One call of a function or class, as a site on nothing, and the file that it stands in."""

    site: CallSite
    file: File


def find_uses(name: str, file: File, index: Index) -> list[Use] | None:
    """Return the calls of what has a name, in a file and in those of its project; by the name alone.

    None where it goes about in another way, too: handed on uncalled, imported under another name, or called
    in a notebook.
    """
    uses: list[Use] = []
    if index.is_in_notebook(name, file):
        return None
    for one in (file, *index.mentioning(name, file)):
        for node in one.nodes:
            if isinstance(node, ast.alias) and _is_renamed(node, name):
                return None
            if not _is_read(node, name):
                continue
            call = one.around[node]
            if isinstance(call, ast.Call) and call.func is node:
                uses.append(Use(site_of(call, one), one))
            elif not _is_harmless(node, call, one):
                return None
    return uses


def handed_in(call: ast.Call, function: Function, name: str, *, bound: bool) -> ast.expr | str:
    """Return what a call hands in as a parameter: the expression, ``nothing`` or ``unknown``.

    Args:
        call: The call.
        function: What is called; of a class its ``__init__``.
        name: The parameter.
        bound: Whether the first parameter is the object's own, and stands in no call.
    """
    if any(isinstance(one, ast.Starred) for one in call.args) or any(
        word.arg is None for word in call.keywords
    ):
        return "unknown"
    for word in call.keywords:
        if word.arg == name:
            return word.value
    ordered = [*function.args.posonlyargs, *function.args.args][int(bound) :]
    names = [argument.arg for argument in ordered]
    if name not in names or names.index(name) >= len(call.args):
        return "nothing"
    return call.args[names.index(name)]


def subclasses(name: str, file: File, index: Index) -> Iterator[ast.ClassDef]:
    """Yield the classes that have one of that name among their bases."""
    for one in (file, *index.mentioning(name, file)):
        for node in one.nodes:
            if isinstance(node, ast.ClassDef) and any(
                spelled(base).rpartition(".")[2] == name for base in node.bases
            ):
                yield node


def _is_read(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Name(id=found, ctx=ast.Load()) | ast.Attribute(attr=found, ctx=ast.Load()):
            return found == name
    return False


def _is_renamed(node: ast.alias, name: str) -> bool:
    return node.name.rpartition(".")[2] == name and node.asname not in (None, name)


def _is_harmless(node: ast.AST, around: ast.AST, file: File) -> bool:
    """Tell a base of a class, an annotation, a test of ``isinstance``: none of them calls it."""
    if isinstance(around, ast.ClassDef):
        return True
    if isinstance(around, ast.Attribute):  # Trainer.from_file, net.load.__doc__
        return isinstance(node, ast.Name) and node.id[:1].isupper()
    outer = around
    while isinstance(outer, ast.Subscript | ast.BinOp | ast.Tuple):
        outer = file.around[outer]
    if isinstance(outer, ast.arg | ast.AnnAssign | ast.FunctionDef | ast.AsyncFunctionDef):
        return True
    return isinstance(outer, ast.Call) and getattr(outer.func, "id", "") in ("isinstance", "issubclass")
