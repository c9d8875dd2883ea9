"""Where a part of a model that never changes can be put into a new one: ``net.head`` of ``net``."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import NamedTuple

from ml_switcheroo.codemod.holding import is_alias, is_model
from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.modules import is_module
from ml_switcheroo.codemod.naming import named_kind
from ml_switcheroo.codemod.notes import Said, said
from ml_switcheroo.codemod.rebind import why_no_rebind
from ml_switcheroo.codemod.receivers import Place, Receivers
from ml_switcheroo.codemod.running import last_set
from ml_switcheroo.codemod.sites import CallSite, scope_of, walk_scope

__all__ = ["ModelPart", "is_built_here", "is_just_made", "part_of", "root_of", "source_part", "why_no_part"]

_NAMES = (ast.Name, ast.Attribute, ast.Subscript)
_BLOCKS = ("body", "orelse", "finalbody")


class ModelPart(NamedTuple):
    """A part of a model.

    Attributes:
        whole: The text of the model.
        path: A literal of PyTorch's path of the part, ``"head"`` or ``f"blocks.{i}.head"``.
    """

    whole: str
    path: str = '""'


def part_of(node: ast.expr, whole: ast.expr) -> ModelPart | None:
    """Return which part of a model an expression is; None where its path has no words.

    >>> node = ast.parse("net.blocks[i].head", mode="eval").body
    >>> part_of(node, root_of(node))
    ModelPart(whole='net', path='f"blocks.{i}.head"')
    """
    words, written = list[str](), ast.unparse(whole)
    while ast.unparse(node) != written:
        match node:
            case ast.Attribute(value=value, attr=word):
                pass
            case ast.Subscript(value=value, slice=ast.Name(id=name)):
                word = f"{{{name}}}"
            case ast.Subscript(value=value, slice=ast.Constant(value=int() | str() as item)):
                word = str(item)
            case _:
                return None
        if not re.fullmatch(r"\w+|\{\w+\}", word):
            return None
        words.insert(0, word)
        node = value
    path = ".".join(words)
    return ModelPart(written, f'{"f" if "{" in path else ""}"{path}"')


def root_of(part: ast.expr) -> ast.expr | None:
    """Return the variable that a part belongs to; None where the way there is not plain.

    >>> ast.unparse(root_of(ast.parse("net.blocks[i].head", mode="eval").body))
    'net'
    """
    while isinstance(part, ast.Attribute | ast.Subscript):
        if isinstance(part, ast.Subscript) and not isinstance(part.slice, ast.Name | ast.Constant):
            return None
        part = part.value
    return part if isinstance(part, ast.Name) and part.id not in ("self", "cls") else None


def why_no_part(site: CallSite, place: Place, receivers: Receivers) -> Said | None:
    """Return why a model cannot be bound anew with the part that a call loads, if it cannot."""
    root = root_of(site.receiver)
    if root is None or isinstance(site.receiver, ast.Name) or part_of(site.receiver, root) is None:
        return said("part")
    if isinstance(site.receiver, ast.Attribute) and site.receiver.attr == "module":
        return said("part")
    if not is_module(last_set(root, site), place, receivers):
        return said("part")
    taken = _taken_before(site)
    if taken:
        return taken
    return why_no_rebind(replace(site, receiver=root), place.file, receivers.index)


def source_part(node: ast.expr, site: CallSite, place: Place, receivers: Receivers) -> ModelPart | None:
    """Return the model that a copy reads, and which part of it; None where the path has no words.

    What ``self`` has is taken for a model of its own.
    """
    whole, found = node, node
    while isinstance(whole, ast.Attribute | ast.Subscript):
        whole = whole.value
        if ast.unparse(whole) in ("self", "cls"):
            break
        if is_module(last_set(whole, site), place, receivers) or named_kind(whole) == "module":
            found = whole
    part = part_of(node, found)
    words = re.findall(r"\w+", part.path) if part else []
    if words == ["module"]:  # what is in a wrapper is the whole, and no part
        return ModelPart(ast.unparse(node))
    return None if "module" in words else part


def is_built_here(site: CallSite) -> bool:
    """Tell an attribute of a module that its own ``__init__`` makes, which may still set it.

    It must be made in the statements before, of nothing that somebody else has, and not be taken by another.
    """
    scope = scope_of(site)
    receiver = site.receiver
    own = isinstance(receiver, ast.Attribute) and ast.unparse(receiver.value) == "self"
    if not own or not isinstance(scope, ast.FunctionDef) or scope.name != "__init__":
        return False
    written = ast.unparse(receiver)
    made = [
        node
        for node in walk_scope(scope)
        if isinstance(node, ast.Assign) and written in map(ast.unparse, node.targets)
    ]
    begun = any(node.lineno < site.call.lineno for node in made)
    return begun and not _taken_before(site) and all(map(_is_made_anew, made))


def is_just_made(site: CallSite, file: File) -> bool:
    """Tell what a statement before, of the same block, has made and put there; nothing has taken it since.

    ``nets[k] = Net()``, then ``nets[k].load_state_dict(sd)``: where the first is right, so is another.
    """
    statement, written = site.statement, ast.unparse(site.receiver)
    around = site.parents[site.parents.index(statement) - 1]
    blocks = (getattr(around, name, None) for name in _BLOCKS)
    block = next((one for one in blocks if isinstance(one, list) and statement in one), None)
    for one in reversed(block[: block.index(statement)] if block else []):
        last = one.body[-1] if isinstance(one, ast.With) and len(one.body) == 1 else one
        if isinstance(last, ast.Assign) and written in map(ast.unparse, last.targets):
            return _is_made_anew(last) and not _sets_any(one, written)
        if _sets_any(one, written) or _may_take(one, written, file):
            return False
    return False


def _may_take(statement: ast.stmt, written: str, file: File) -> bool:
    """Tell whether a statement may set an object, or give it to something, by its own or what it is in."""
    root = re.split(r"[.\[]", written, maxsplit=1)[0]
    for node in ast.walk(statement):
        if not isinstance(node, ast.Name) or node.id != root:
            continue
        top: ast.AST = node
        while isinstance(file.around[top], ast.Attribute | ast.Subscript) and _is_value(
            top, file.around[top]
        ):
            top = file.around[top]
        text, around = ast.unparse(top), file.around[top]
        if isinstance(around, ast.Call) and around.func is top:
            if not text.startswith(f"{written}."):
                return True
            top = around
            if not isinstance(file.around[top], ast.Expr):
                return True
        elif written.startswith(text) or text.startswith(written):
            return True
    return False


def _sets_any(statement: ast.stmt, written: str) -> bool:
    """Tell whether a statement sets a variable that an expression, such as ``nets[k]``, is made of."""
    names = set(re.findall(r"\w+", written))
    return any(
        isinstance(node, ast.Name) and node.id in names and not isinstance(node.ctx, ast.Load)
        for node in ast.walk(statement)
    ) and not (isinstance(statement, ast.Assign) and written in map(ast.unparse, statement.targets))


def _is_value(node: ast.AST, around: ast.AST) -> bool:
    return getattr(around, "value", None) is node


def _is_made_anew(node: ast.Assign) -> bool:
    """Tell ``self.net = Net(width)``: made by a call, of no model that somebody has."""
    if len(node.targets) != 1 or not isinstance(node.value, ast.Call) or is_alias(node.value, ""):
        return False
    written = ast.unparse(node.targets[0])
    given = [part for one in _kept(node.value) for part in ast.walk(one) if isinstance(part, _NAMES)]
    return not any(ast.unparse(part) == written or _is_called_model(part) for part in given)


def _is_called_model(part: ast.expr) -> bool:
    """Tell ``wrapper.backbone``; ``cross_attention_dim`` and ``vae_config`` are numbers and settings."""
    return is_model(ast.Name(part.attr) if isinstance(part, ast.Attribute) else part)


def _taken_before(site: CallSite) -> Said | None:
    """Say which line before a call gives a part, or what is in it, to another name or object, if one does."""
    written = ast.unparse(site.receiver)
    for node in walk_scope(scope_of(site)):
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr) or node.value is None:
            continue
        if node.lineno >= site.call.lineno or isinstance(node.value, ast.Constant):
            continue
        if any(_is_within(one, written) for one in _kept(node.value)):
            called = isinstance(node.value, ast.Call)
            return said("handed" if called else "held", line=node.lineno, receiver=written)
        # ``net.head = other.head``: what is put there may be another's.
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        puts = any(_is_within(one, written) or _is_way_to(one, written) for one in targets)
        if puts and not (isinstance(node, ast.Assign) and _is_made_anew(node)):
            return said("had", line=node.lineno, receiver=written)
    return None


def _is_way_to(target: ast.expr, written: str) -> bool:
    """Tell a part that has another within: ``net.mid`` of ``net.mid.attn``; no variable."""
    return isinstance(target, ast.Attribute | ast.Subscript) and written.startswith(ast.unparse(target))


def _kept(value: ast.expr) -> list[ast.expr]:
    """Return what a value may keep: itself, its items, the arguments of a call."""
    match value:
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return [part for item in items for part in _kept(item)]
        case ast.Dict(values=values):
            return [part for item in values for part in _kept(item)]
        case ast.IfExp(body=one, orelse=other):
            return [*_kept(one), *_kept(other)]
        case ast.Call():
            passed = [*value.args, *(word.value for word in value.keywords)]
            return [part for item in passed for part in _kept(item)]
    return [value]


def _is_within(node: ast.expr, written: str) -> bool:
    """Tell whether an expression is a part, or a way through it; ``net.head.in_features`` may be one."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        if ast.unparse(node) == written:
            return True
        node = node.value
    return False
