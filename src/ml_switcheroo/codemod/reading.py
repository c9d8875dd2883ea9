"""Calls of ``torch.load`` whose result goes into a rewritten call and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ml_switcheroo.codemod.arguments import loaded
from ml_switcheroo.codemod.sites import CallSite, scope_of
from ml_switcheroo.codemod.trees import spelled

__all__ = ["Read", "find_reads", "is_load"]

_DROPPED = frozenset({"map_location", "weights_only", "mmap"})
# What a dictionary of arrays does like one of tensors.
_OF_DICTIONARIES = frozenset({"items", "keys", "pop", "update", "copy"})


@dataclass(frozen=True, slots=True)
class Read:
    """One ``torch.load`` that becomes ``KeyMapper.read``.

    Attributes:
        node: What is replaced: the call, with the ``["part"]`` behind it.
        path: The path that is read.
        part: The part of the checkpoint; empty for the only one.
        dropped: Arguments that say nothing to a reader of arrays, and a person may miss.
    """

    node: ast.expr
    path: ast.expr
    part: str
    dropped: tuple[str, ...] = ()


def find_reads(sites: Sequence[CallSite]) -> Iterator[Read]:
    """Yield each ``torch.load(path)`` that feeds one of the calls, and nothing else.

    One that goes through a variable counts only where all that the scope does with the variable is what a
    dictionary of arrays can do too, and it is the state dict itself: a checkpoint of several parts may
    hold what no reader of tensors knows.
    """
    seen: set[int] = set()
    rewritten = {id(loaded(site.call)) for site in sites}
    for site in sites:
        state = loaded(site.call)
        values = [state] if state is not None else []
        if isinstance(state, ast.Name):
            values += _assigned(scope_of(site), state.id, rewritten)
        for value in values:
            read = _read(value)
            if read and id(read.node) not in seen:
                seen.add(id(read.node))
                yield read


def is_load(call: ast.Call) -> bool:
    """Tell ``torch.load(...)``."""
    return getattr(call.func, "attr", "") == "load" and spelled(call.func) == "torch.load"


def _read(node: ast.expr) -> Read | None:
    part, inner = "", node
    match node:
        case ast.Subscript(value=value, slice=ast.Constant(value=str(part))):
            inner = value
    if not isinstance(inner, ast.Call) or not is_load(inner):
        return None
    words = {word.arg: word.value for word in inner.keywords}
    paths = [*inner.args[:1], *([words["f"]] if "f" in words else [])]
    if (
        len(paths) != 1
        or isinstance(paths[0], ast.Starred)
        or _is_in_memory(paths[0])
        or words.keys() - _DROPPED - {"f"}
        or len(inner.args) > 2
    ):
        return None
    return Read(node, paths[0], part, ("mmap",) if "mmap" in words else ())


def _is_in_memory(path: ast.expr) -> bool:
    return isinstance(path, ast.Call) and spelled(path.func).rpartition(".")[2] == "BytesIO"


def _assigned(scope: ast.AST, name: str, rewritten: set[int]) -> list[ast.expr]:
    """Return what a variable is set to, if no use of it needs a tensor."""
    around = {child: node for node in ast.walk(scope) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(scope):
        used = isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        if used and id(node) not in rewritten and not _is_of_dictionaries(node, around):
            return []
    return [
        node.value
        for node in ast.walk(scope)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    ]


def _is_of_dictionaries(node: ast.AST, around: dict[ast.AST, ast.AST]) -> bool:
    """Tell whether a variable is used for its keys, or to move tensors under other keys, as they are."""
    user = around[node]
    call = around.get(user)
    match user:
        case ast.Subscript(ctx=ast.Del()):
            return True
        case ast.Subscript(ctx=ast.Store()):
            # What is stored there must come from the state dict itself, not from torch.
            return isinstance(call, ast.Assign) and _is_moved(call.value, user.value)
        case ast.Attribute(attr=attr) if attr in _OF_DICTIONARIES and isinstance(call, ast.Call):
            return attr in ("keys", "pop") or (attr == "items" and _keeps_values(call, around))
        case ast.Call(func=ast.Name(id="len" | "list" | "sorted" | "set")) | ast.For(iter=ast.Name()):
            return True
        case ast.comprehension(iter=ast.Name()):
            return True
    return False


def _is_moved(value: ast.expr, state: ast.expr) -> bool:
    """Tell ``state.pop(key)``."""
    return isinstance(value, ast.Call) and spelled(value.func) == f"{spelled(state)}.pop"


def _keeps_values(call: ast.Call, around: dict[ast.AST, ast.AST]) -> bool:
    """Tell ``{new(key): value for key, value in state.items()}``, where nothing is done to ``value``."""
    loop = around[call]
    if not isinstance(loop, ast.comprehension) or not isinstance(loop.target, ast.Tuple):
        return False
    made, value = around[loop], loop.target.elts[-1]
    if not isinstance(made, ast.DictComp) or not isinstance(value, ast.Name):
        return False
    uses = [node for node in ast.walk(made) if isinstance(node, ast.Name) and node.id == value.id]
    return isinstance(made.value, ast.Name) and len(uses) == 2
