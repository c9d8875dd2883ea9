"""Rewrite the checkpoint calls of a file: one call in, one call out, everything else byte for byte."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import libcst as cst

from ml_switcheroo.code.parsing import read
from ml_switcheroo.codemod.binding import bind, free_name, is_bindable
from ml_switcheroo.codemod.block import ours
from ml_switcheroo.codemod.bundle import Table, mapper_of
from ml_switcheroo.codemod.clashes import find_clash
from ml_switcheroo.codemod.delivery import deliver
from ml_switcheroo.codemod.hooks import HookContext, Note, find_hook
from ml_switcheroo.codemod.index import File, Index
from ml_switcheroo.codemod.known import OTHER_WORDS
from ml_switcheroo.codemod.leftovers import find_leftovers
from ml_switcheroo.codemod.notes import Said, said
from ml_switcheroo.codemod.operations import find_operation, methods_of_others
from ml_switcheroo.codemod.preamble import find_place, place_preamble, without_repeated
from ml_switcheroo.codemod.reading import Read, find_reads, is_load
from ml_switcheroo.codemod.receivers import Place, Receivers
from ml_switcheroo.codemod.saving import Saved, find_saved
from ml_switcheroo.codemod.sites import CallSite, find_sites
from ml_switcheroo.codemod.skipping import is_skipped, skipped_lines
from ml_switcheroo.codemod.text import Edit, Text, apply_edits, changes_only
from ml_switcheroo.codemod.trees import uncollected
from ml_switcheroo.codemod.verdicts import Verdict, judge, judge_save
from ml_switcheroo.errors import RewriteError, UsageError
from ml_switcheroo.recipes import Target
from ml_switcheroo.targets import find_target

__all__ = ["Rewrite", "mentions", "rewrite"]

_CLOSED = (ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.Constant, ast.JoinedStr)
_HIDDEN = {"load_state_dict": "state-unseen", "state_dict": "saved-with-arguments"}
"""What is said of a call that its hook leaves."""
_MENTIONS = (
    *("load_state_dict", ".state_dict()", "_state_dict(", "torch.save", "torch.load", "th.save(", "th.load("),
    *(
        "state_dict_",
        "safetensors.torch",
        "distributed.checkpoint",
        "load_checkpoint",
        "save_checkpoint",
        "sharded_checkpoint",
    ),
    *(".copy_(", ".data = ", "accelerator.load_s", "accelerator.save_", ".save_model", "pickle.dump"),
)


def mentions() -> tuple[str, ...]:
    """Return words: a file without any of them has nothing to rewrite and nothing to note."""
    return (*_MENTIONS, *methods_of_others())


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What became of a file.

    Attributes:
        code: The new text; the old one where nothing was rewritten.
        edits: What was replaced, in order.
        notes: What a person should know, in order of lines.
        home: The file of the project that the new code imports ``KeyMapper`` from, and the methods that it
            calls; None where it stands in this file, or comes from the package.
    """

    code: str
    edits: tuple[Edit, ...] = ()
    notes: tuple[Note, ...] = ()
    home: tuple[Path, tuple[str, ...]] | None = None

    def __repr__(self) -> str:
        return (
            f"<Rewrite: {len(self.edits)} edits, {len(self.notes)} notes, {self.code.count(chr(10))} lines>"
        )


@uncollected()
def rewrite(
    source: str | Path,
    to: str = "nnx",
    *,
    file: str | Path = "<source>",
    runtime: str = "inject",
    kinds: Mapping[str, str] | None = None,
    table: Table | None = None,
    no_torch: bool = False,
    save: bool = False,
    index: Index | None = None,
) -> Rewrite:
    """Rewrite the calls of ``load_state_dict`` in ``source`` for a target.

    Args:
        source: The text of a Python file, or its path; the file itself stays as it is.
        to: The target's name.
        file: Its path, for the notes, and to find the files that it imports.
        runtime: ``inject`` puts the source of ``KeyMapper`` into the file, ``import`` an import of it, and
            ``module`` an import of a ``key_mapper.py`` of the file's package, which ``home`` tells of.
        kinds: Kinds of the model's layers, for ``KeyMapper.KINDS``.
        table: The plan of the one model that is loaded, for a ``KeyMapper`` that carries out no other.
        no_torch: Whether a ``torch.load`` that only feeds a rewritten call becomes ``KeyMapper.read``, which
            needs ``ml_switcheroo`` and not torch.
        save: Whether a ``state_dict()`` that goes into ``torch.save`` becomes ``KeyMapper.to_torch``.
        index: Files that were parsed before.

    Raises:
        RewriteError: The source is no Python.
        SourceError: The file cannot be read.
        UsageError: The target is unknown or has no mapper, or a hook cannot be loaded.
    """
    target = find_target(to)
    mapper_of(target)  # wrong usage is said before anything is read
    if isinstance(source, Path):
        source, file = read(source)[0], source
    elif source.endswith(".py") and len(source.splitlines()) == 1:
        raise UsageError(f"rewrite takes the text of a file, or its path: Path({source!r})")
    if not any(word in source for word in mentions()):
        return Rewrite(source)
    try:
        text = Text(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        reason = getattr(error, "msg", None) or str(error) or type(error).__name__
        raise RewriteError(f"{file}:{line}", f"this is no Python that can be parsed: {reason}") from error
    settings = {"runtime": runtime, "kinds": kinds, "table": table, "no_torch": no_torch, "save": save}
    shared = HookContext(target=target.name, file=str(file), settings=settings)
    parsed = File(Path(file), text.tree, source, deep=True)
    if is_skipped(source, text.tree):
        return Rewrite(source)
    skipped = skipped_lines(source, parsed)
    index = index or Index()
    receivers = Receivers(index)
    judged = [
        (site, judge(site, Place(parsed, site.definitions), receivers, target))
        for site in find_sites(parsed)
        if site.call.lineno not in skipped
    ]
    saves = [
        (one, _judge_save(one, parsed, receivers, target))
        for one in find_saved(parsed, receivers)
        if not skipped & {one.site.call.lineno, one.call.lineno}
    ]
    if save:
        judged += dict.fromkeys((one.site, verdict) for one, verdict in saves if verdict)
    else:
        shared.notes.extend(_unsaved(saves, shared))
    taken = [site for site, verdict in judged if verdict.action == "call"]
    edits = _reads(text, parsed, taken, shared) if no_torch else []
    edits = [edit for edit in edits if edit.line not in skipped]
    for site, verdict in judged:
        ctx = replace(shared, line=site.call.lineno, scope=".".join(site.scope))
        for edit in _edits(text, parsed, site, verdict, edits, ctx):
            edits = [*(other for other in edits if not edit.start <= other.start < edit.end), edit]
    shared.notes.extend(Note(str(file), line, *why) for line, why in find_leftovers(parsed, receivers))
    silent = {*skipped, *ours(text.code)}
    shared.notes[:] = [note for note in shared.notes if note.line not in silent]
    return _finish(text, parsed, edits, shared, index)


def _judge_save(one: Saved, file: File, receivers: Receivers, target: Target) -> Verdict | None:
    """Return the verdict on a save; None where the function that does it has a note of its own."""
    verdict = judge_save(one.site, Place(file, one.site.definitions), receivers, target)
    return None if one.in_shards and verdict.receiver not in OTHER_WORDS else verdict


def _unsaved(saves: Iterable[tuple[Saved, Verdict | None]], shared: HookContext) -> Iterator[Note]:
    """Yield a note on each save that a request would rewrite, or a person must."""
    for one, verdict in saves:
        if verdict and verdict.receiver not in OTHER_WORDS:
            by = "PyTorch" if one.by == "torch.save" else one.by
            yield Note(shared.file, one.call.lineno, *said("saved", by=by))


def _finish(text: Text, parsed: File, edits: list[Edit], shared: HookContext, index: Index) -> Rewrite:
    """Bring ``KeyMapper`` in, and give up the whole file if anything but the edits moved."""
    needs = shared.needs if edits else ()
    brought = deliver(text, parsed, shared.target, needs, shared.settings, index)
    imports, blocks = [*shared.imports, *brought.imports], [*shared.preambles, *brought.blocks]
    clash = find_clash(parsed, [*imports, *blocks]) if edits else ""
    if brought.refused or clash:
        cure = "" if shared.settings["runtime"] == "import" else "; try --runtime import"
        return _given_up(text, edits, shared, brought.refused or said("clash", what=clash + cure))
    if brought.noted:
        shared.notes.append(Note(shared.file, 1, *brought.noted))
    if edits:
        place = find_place(text, min(edits).start)
        blocks = [without_repeated(block, text, place) for block in blocks]
        preamble = place_preamble(text, imports, blocks, min(edits).start)
        edits = sorted([*edits, preamble] if preamble else edits)
    brief = [_brief(edit, blocks, text.newline) for edit in edits]
    if edits and not changes_only(text, apply_edits(text.code, brief), brief):
        return _given_up(text, edits, shared, said("other-code"))
    # A block that is renewed is no part of the file's own code: its stamp shows where it begins and ends.
    edits = sorted([*edits, brought.renewed] if brought.renewed else edits)
    home = (brought.home, tuple(needs)) if brought.home else None
    code = apply_edits(text.code, edits)
    return Rewrite(code, tuple(edits), tuple(sorted(set(shared.notes))), home)


def _brief(edit: Edit, blocks: Iterable[str], newline: str) -> Edit:
    """Put a word in place of each injected block, which is known to parse by itself.

    It is many times as long as most files, and at the top level one statement stands like another.
    """
    after = edit.after
    for block in blocks if edit.start == edit.end else ():
        after = after.replace(block.strip().replace("\n", newline), "pass")
    return replace(edit, after=after)


def _given_up(text: Text, edits: list[Edit], shared: HookContext, why: Said) -> Rewrite:
    """Leave the whole file, and say so at every place that would have been rewritten."""
    lines = {edit.line for edit in edits if edit.before}
    notes = {note for note in shared.notes if note.line not in lines or note.row.left}
    notes |= {Note(shared.file, line, *why) for line in lines}
    return Rewrite(text.code, notes=tuple(sorted(notes)))


def _edits(
    text: Text, file: File, site: CallSite, verdict: Verdict, done: list[Edit], ctx: HookContext
) -> list[Edit]:
    """Return the edits of one call; a call that is left gets a note instead."""
    start, end = text.span(site.call)
    before = text.code[start:end]
    if verdict.action != "leave" and not _is_text_of(before, site.call):
        return _left("place-unknown", ctx)
    if verdict.why:
        ctx.note(*verdict.why)
    if verdict.action == "leave":
        return []
    if verdict.binding == "report" and not is_bindable(text, site):
        return _left("result-used", ctx)
    # Inner calls come first: what was done to them becomes part of this edit.
    inner = [
        replace(e, start=e.start - start, end=e.end - start)
        for e in done
        if start <= e.start and e.end <= end
    ]
    if verdict.action == "copy" and inner:
        return _left("copy-nested", ctx)
    if verdict.action == "copy" and _has_comment(text.code[start:end]):
        return _left("copy-comment", ctx)
    after = _call_hook(apply_edits(before, inner), site, verdict, ctx)
    if after is None and verdict.action == "hook":
        return []  # what it leaves, and why, is the other package's to say
    if after is None:
        return _left(_HIDDEN[site.method], ctx)
    receiver = verdict.part.whole if verdict.part else _segment(text, site.receiver)
    free = free_name(file, "report") if verdict.binding == "report" else ""
    return bind(text, site, verdict.binding, after, receiver=receiver, free=free)


def _reads(text: Text, parsed: File, taken: Sequence[CallSite], shared: HookContext) -> list[Edit]:
    """Return the edits of what is read without torch; each other ``torch.load`` gets a note."""
    reads = list(find_reads(taken))
    replaced = {id(node) for read in reads for node in ast.walk(read.node)}
    for node in parsed.calls("load".__eq__):
        if id(node) not in replaced and is_load(node):
            ctx = replace(shared, line=node.lineno)
            _left("read-elsewhere", ctx)
    return [_read(text, read, shared) for read in reads]


def _read(text: Text, read: Read, shared: HookContext) -> Edit:
    ctx = replace(shared, line=read.node.lineno)
    for name in read.dropped:
        ctx.note(*said("dropped", name=name, why="every tensor is read into memory"))
    ctx.need("read")
    arguments = _segment(text, read.path) + (f", {json.dumps(read.part)}" if read.part else "")
    return text.edit(*text.span(read.node), f"KeyMapper.read({arguments})")


def _left(name: str, ctx: HookContext) -> list[Edit]:
    ctx.note(*said(name))
    return []


def _call_hook(code: str, site: CallSite, verdict: Verdict, ctx: HookContext) -> str | None:
    """Return what the hook of the API table makes of a call; None where it leaves it."""
    operation = find_operation(site.method, ctx.target, copies=verdict.action == "copy")
    if operation is None:
        return None
    # Parentheses, because the call may run over several lines inside others of the file.
    call = cst.parse_expression("(" + code.replace("\r\n", "\n") + ")")
    assert isinstance(call, cst.Call)
    call = call.with_changes(lpar=[], rpar=[])
    settings = {
        **ctx.settings,
        "with_report": verdict.binding == "report",
        "part": verdict.part,
        "source": verdict.source,
    }
    after = find_hook(operation.requires_plugin)(
        call, replace(ctx, receiver=verdict.receiver, settings=settings)
    )
    if after is call:
        return None
    return cst.Module([]).code_for_node(after).replace("\n", "\r\n" if "\r\n" in code else "\n")


def _has_comment(code: str) -> bool:
    tokens = tokenize.generate_tokens(io.StringIO(f"({code}\n)").readline)
    return any(token.type == tokenize.COMMENT for token in tokens)


def _segment(text: Text, node: ast.expr) -> str:
    start, end = text.span(node)
    code = text.code[start:end]
    # A conditional in parentheses has a span without them.
    return code if isinstance(node, _CLOSED) else f"({code})"


def _is_text_of(code: str, call: ast.Call) -> bool:
    """Tell whether a text is that of a call; inside f-strings older Pythons give other positions."""
    try:
        return ast.dump(ast.parse(f"({code})", mode="eval").body) == ast.dump(call)
    except SyntaxError:
        return False
