"""Rewrite the checkpoint calls of a file: one call in, one call out, everything else byte for byte."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

import libcst as cst

from ml_switcheroo.core.hooks import HookContext, Note, find_hook
from ml_switcheroo.core.operations import OPERATIONS, find_operation
from ml_switcheroo.core.preamble import place_preamble
from ml_switcheroo.core.receivers import receiver_kind, why_left
from ml_switcheroo.core.sites import Site, find_sites
from ml_switcheroo.core.text import Edit, Text, apply_edits, changes_only
from ml_switcheroo.errors import RewriteError

__all__ = ["Rewrite", "rewrite"]

_METHODS = frozenset(row.method for row in OPERATIONS)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What became of a file.

    Attributes:
        code: The new text; the old one where nothing was rewritten.
        edits: What was replaced, in order.
        notes: What a person should know, in order of lines.
    """

    code: str
    edits: tuple[Edit, ...]
    notes: tuple[Note, ...]


def rewrite(source: str, to: str = "nnx", *, file: str = "<source>", runtime: str = "inject") -> Rewrite:
    """Rewrite the calls of ``load_state_dict`` in ``source`` for a target.

    Args:
        source: The text of a Python file.
        to: The target's name.
        file: What notes call the file.
        runtime: ``inject`` puts the source of ``KeyMapper`` into the file, ``import`` an import of it.

    Raises:
        RewriteError: The source is no Python.
    """
    if not any(method in source for method in _METHODS):
        return Rewrite(source, (), ())
    try:
        text = Text(source)
    except SyntaxError as error:
        raise RewriteError(f"{file}:{error.lineno or 1}", f"this is no Python: {error.msg}") from error
    shared = HookContext(target=to, file=file, settings={"runtime": runtime})
    edits: list[Edit] = []
    for site in find_sites(text.tree):
        ctx = replace(shared, line=site.call.lineno, scope=".".join(site.scope))
        start, end = text.span(site.call)
        # Inner calls come first: what was done to them becomes part of this edit.
        inner = [edit for edit in edits if start <= edit.start and edit.end <= end]
        edit = _edit(text, site, inner, ctx)
        if edit:
            edits = [*(other for other in edits if other not in inner), edit]
    return _finish(text, edits, shared)


def _finish(text: Text, edits: list[Edit], shared: HookContext) -> Rewrite:
    """Put the preamble in, and give up the whole file if anything but the edits moved."""
    if edits:
        imports, blocks = list(shared.imports), list(shared.preambles)
        preamble = place_preamble(text, imports, blocks, min(edits).start)
        edits = sorted([*edits, preamble] if preamble else edits)
    code = apply_edits(text.code, edits)
    if edits and not changes_only(text.code, code, edits):
        shared.notes.append(Note(shared.file, 1, "left as it is: the edits would have changed other code"))
        code, edits = text.code, []
    return Rewrite(code, tuple(edits), tuple(sorted(set(shared.notes))))


def _edit(text: Text, site: Site, inner: list[Edit], ctx: HookContext) -> Edit | None:
    """Return the edit of one call; a call that is left gets a note instead."""
    kind = receiver_kind(site.receiver, text.tree)
    reason = why_left(site, kind)
    if reason:
        ctx.note(f"left as it is: {reason}")
        return None
    operation = find_operation(site.method, ctx.target)
    if operation is None:
        return None
    start, end = text.span(site.call)
    before = text.code[start:end]
    if not _is_text_of(before, site.call):
        ctx.note("left as it is: the place of this call in the text cannot be told")
        return None
    moved = [replace(edit, start=edit.start - start, end=edit.end - start) for edit in inner]
    call = _parse_call(apply_edits(before, moved))
    after = find_hook(operation.requires_plugin)(call, replace(ctx, receiver=kind))
    if after is call:
        ctx.note("left as it is: the call does not show what is loaded")
        return None
    line_end = "\r\n" if "\r\n" in before else "\n"
    code = cst.Module([]).code_for_node(after).replace("\n", line_end)
    return text.edit(start, end, code)


def _is_text_of(code: str, call: ast.Call) -> bool:
    """Tell whether a text is that of a call; inside f-strings older Pythons give other positions."""
    try:
        return ast.dump(ast.parse(f"({code})", mode="eval").body) == ast.dump(call)
    except SyntaxError:
        return False


def _parse_call(code: str) -> cst.Call:
    # Parentheses, because the call may run over several lines inside others of the file.
    node = cst.parse_expression("(" + code.replace("\r\n", "\n") + ")")
    assert isinstance(node, cst.Call)
    return node.with_changes(lpar=[], rpar=[])
