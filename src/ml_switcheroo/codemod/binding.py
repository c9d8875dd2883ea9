"""Where the result of a rewritten call goes: nowhere, to the model's name, to that and the report's."""

from __future__ import annotations

import ast
from itertools import chain, count
from typing import Literal

from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.sites import CallSite
from ml_switcheroo.codemod.text import Edit, Text

__all__ = ["Binding", "bind", "flat_name", "free_name", "is_bindable"]

Binding = Literal["", "mend", "model", "report", "flat"]
"""``""``: as it is. ``mend``: the statement becomes the call. ``model``: ``net = call``. ``report``: ``net,
report = call``. ``flat``: ``net_params = call``."""

_PLAIN = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Assert)
# What may come before a call and computes nothing.
_IDLE = (ast.Name, ast.Attribute, ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.Starred)
_MAYBE = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Await)


def bind(text: Text, site: CallSite, binding: Binding, after: str, *, receiver: str, free: str) -> list[Edit]:
    """Return the edits that put the new call where its result is wanted.

    Args:
        text: The file.
        site: The old call.
        binding: Where the result goes.
        after: The new call.
        receiver: The text of what is bound anew.
        free: A name that the file does not have.
    """
    start, end = text.span(site.call)
    whole = text.span(site.statement)
    if binding == "mend":
        return [text.edit(*whole, after)]
    if binding == "model":
        return [text.edit(*whole, f"{receiver} = {after}")]
    if binding == "flat":
        return [text.edit(*whole, f"{flat_name(site.receiver)} = {after}")]
    if binding != "report":
        return [text.edit(start, end, after)]
    target = _assigned(site)
    if target is not None:
        first, last = text.span(target)
        name = text.code[first:last]
        if isinstance(target, ast.Tuple) and not name.startswith("("):
            name = f"({name})"
        pieces = (text.code[whole[0] : first], f"{receiver}, {name}", text.code[last:start])
        return [text.edit(*whole, "".join([*pieces, after, text.code[end : whole[1]]]))]
    margin = text.code[text.line_starts[site.statement.lineno - 1] : whole[0]]
    line = f"{receiver}, {free} = {after}{text.newline}{margin}"
    return [text.edit(whole[0], whole[0], line), text.edit(start, end, free)]


def is_bindable(text: Text, site: CallSite) -> bool:
    """Tell whether the report of a call can get a name before its statement uses it.

    The call must be the first thing that the statement computes, and the statement the first of its line.
    """
    if _assigned(site) is not None:
        return True
    statement = site.statement
    start, _ = text.span(statement)
    margin = text.code[text.line_starts[statement.lineno - 1] : start]
    is_header = isinstance(statement, ast.If | ast.For) and not text.code.startswith("elif", start)
    if margin.strip() or not (is_header or isinstance(statement, _PLAIN)):
        return False
    if isinstance(statement, ast.For) and not _is_below(site.call, statement.iter):
        return False
    return not _is_conditional(site) and not _computes_before(site)


def flat_name(receiver: ast.expr) -> str:
    """Return what the arrays of a model are called: ``net_params``; empty where nothing can be made of it."""
    while isinstance(receiver, ast.Attribute) and receiver.attr == "module":
        receiver = receiver.value
    inner = receiver
    while isinstance(inner, ast.Attribute):
        inner = inner.value
    return f"{ast.unparse(receiver)}_params" if isinstance(inner, ast.Name) and receiver is not None else ""


def free_name(file: File, wanted: str) -> str:
    """Return a name that stands for nothing in a file: ``wanted``, or with a number."""
    there = file.once(_names)
    return next(name for name in chain([wanted], (f"{wanted}_{i}" for i in count(2))) if name not in there)


def _names(file: File) -> set[str | None]:
    return {getattr(node, name, None) for node in file.nodes for name in ("id", "arg", "name", "asname")}


def _assigned(site: CallSite) -> ast.expr | None:
    """Return the only target of an assignment whose value is the call."""
    statement = site.parents[-1]
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and not statement.type_comment:
        return statement.targets[0]
    return None


def _is_below(node: ast.AST, top: ast.AST) -> bool:
    return any(part is node for part in ast.walk(top))


def _is_conditional(site: CallSite) -> bool:
    """Tell whether something between the statement and the call decides if, or how often, it is made."""
    inner: ast.AST = site.call
    for node in site.parents[::-1]:
        if isinstance(node, ast.stmt):
            return isinstance(node, ast.Assert) and inner is node.msg
        if isinstance(node, _MAYBE):
            return True
        if isinstance(node, ast.IfExp) and inner is not node.test:
            return True
        if isinstance(node, ast.BoolOp) and inner is not node.values[0]:
            return True
        if isinstance(node, ast.Compare) and inner is not node.left and len(node.ops) > 1:
            return True
        inner = node
    return False


def _computes_before(site: CallSite) -> bool:
    statement = site.statement
    around = {id(node) for node in site.parents}
    skipped = getattr(statement, "targets", None) or []
    idle = {id(part) for target in skipped for part in ast.walk(target)}
    here = (site.call.lineno, site.call.col_offset)
    heads = [statement.test] if isinstance(statement, ast.If) else [statement]
    for node in (part for head in heads for part in ast.walk(head)):
        if not isinstance(node, ast.expr) or id(node) in around or id(node) in idle:
            continue
        if (node.lineno, node.col_offset) < here and not isinstance(node, _IDLE):
            return True
    return False
