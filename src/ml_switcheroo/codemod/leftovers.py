"""What no rewrite touches but a person who moves a model should see: a line and a sentence each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.known import OTHER_WORDS, OVERRIDES
from ml_switcheroo.codemod.known_functions import note_of_function
from ml_switcheroo.codemod.naming import named_kind
from ml_switcheroo.codemod.notes import Said, said
from ml_switcheroo.codemod.pickled import find_pickled
from ml_switcheroo.codemod.receivers import Place, Receivers
from ml_switcheroo.codemod.saving import find_whole
from ml_switcheroo.codemod.sites import definitions_of, has_plain_bases
from ml_switcheroo.codemod.trees import called, spelled
from ml_switcheroo.codemod.writing import find_written

__all__ = ["find_leftovers"]

_METHOD = "load_state_dict"
_LOADING = (_METHOD, "_load_from_state_dict")
_MODULES = frozenset({"module", "overriding"})
_LOOKING = frozenset({"getattr", "methodcaller"})
_CALLED = re.compile(r"load|save|state_dict|^(getattr|methodcaller|vector_to_parameters)$")


def find_leftovers(file: File, receivers: Receivers) -> list[tuple[int, Said]]:
    """Return line and note of what stays as it is, beside the calls that were judged."""
    found: set[tuple[int, Said]] = set()
    for node in file.of(ast.ClassDef):
        found.update(_overrides(node, file, receivers))
    for node in file.of(ast.Attribute) if _METHOD in file.code else ():
        if node.attr == _METHOD:
            found.update((node.lineno, why) for why in _of_method(node, file, receivers))
    for node in file.calls(_CALLED.search):
        found.update((node.lineno, why) for why in _of_call(node, file, receivers))
    found.update(
        (line, said("by-tensor", more=f" (to line {last})" if last else ""))
        for line, last in find_written(file, receivers)
    )
    found.update(
        (call.lineno, said("saved-whole", receiver=spelled(model)))
        for call, model in find_whole(file, receivers)
    )
    found.update((line, said("pickled", receiver=name)) for line, name in find_pickled(file, receivers))
    return sorted(found)


def _overrides(node: ast.ClassDef, file: File, receivers: Receivers) -> Iterator[tuple[int, Said]]:
    """Yield the methods of a model's class, or of one that nobody knows, that load in a way of their own."""
    own = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name in OVERRIDES]
    if not own:
        return
    kinds = {origin.kind for origin in receivers.of_class(node, file)}
    if not kinds & _MODULES:
        unknown = (
            not kinds & OTHER_WORDS.keys()
            and not has_plain_bases(node)
            and not all(_is_known(one, file, receivers) for one in node.bases)
        )
        own = [item for item in own if unknown and item.name in _LOADING]
    for item in own:
        yield item.lineno, said("override", receiver=node.name, name=item.name)


def _is_known(base: ast.expr, file: File, receivers: Receivers) -> bool:
    """Tell whether the code shows what a base is: no model, where this is asked."""
    named = receivers.class_named(base, Place(file))
    return bool(receivers.instances(base, Place(file))) or (named is not None and has_plain_bases(named))


def _of_method(node: ast.Attribute, file: File, receivers: Receivers) -> Iterator[Said]:
    """Yield what is said of the method where it is not called: replaced, or given to somebody."""
    around = file.around[node]
    if _is_other(node.value, node, file, receivers):
        return
    if isinstance(node.ctx, ast.Store):
        if not _is_mock(getattr(around, "value", None)):
            yield said("replaced", receiver=spelled(node))
    elif isinstance(node.ctx, ast.Load) and _is_given(node, around):
        yield said("passed-on", receiver=spelled(node))


def _is_given(node: ast.expr, around: ast.AST) -> bool:
    """Tell whether a value goes on: to a function, a variable, the caller or a container."""
    match around:
        case ast.Call():
            return node is not around.func and called(around) not in ("signature", "getsource", "callable")
        case ast.Assign() | ast.AnnAssign() | ast.NamedExpr() | ast.Return() | ast.keyword():
            return True
        case ast.Tuple() | ast.List() | ast.Dict() | ast.IfExp() | ast.BoolOp() | ast.Lambda():
            return True
    return False


def _of_call(node: ast.Call, file: File, receivers: Receivers) -> Iterator[Said]:
    name = called(node)
    if "register_" in name and "state_dict" in name and name.endswith("hook"):
        owner = getattr(node.func, "value", node)
        if not _is_other(owner, node, file, receivers):
            yield said("hook")
    named = name in _LOOKING and any(
        isinstance(one, ast.Constant) and one.value == _METHOD for one in node.args
    )
    if named and not _is_other(node.args[0], node, file, receivers):
        yield said("by-name", receiver=spelled(node))
    if name not in _LOOKING:
        function = receivers.dotted(node.func, Place(file))
        note = note_of_function(function) or _note_of_engine(node, file, receivers)
        if note:
            yield said(note, function=function)


def _note_of_engine(node: ast.Call, file: File, receivers: Receivers) -> str:
    """Return the note on ``engine.load_checkpoint(...)`` of DeepSpeed and the like."""
    note = {"load_checkpoint": "loaded-in-shards", "save_checkpoint": "saved-in-shards"}.get(called(node), "")
    if not note or not isinstance(node.func, ast.Attribute):
        return ""
    kinds = receivers.kinds(node.func.value, Place(file, definitions_of(node, file)))
    return note if "sharded" in kinds else ""


def _is_other(owner: ast.expr, node: ast.AST, file: File, receivers: Receivers) -> bool:
    """Tell whether something is certainly no model: an optimizer and the like, or a stand-in of a test."""
    kinds = receivers.kinds(owner, Place(file, definitions_of(node, file))) or {named_kind(owner)}
    return kinds <= {*OTHER_WORDS, "object"} or "mock" in spelled(owner).lower()


def _is_mock(value: ast.AST | None) -> bool:
    return isinstance(value, ast.Call) and "mock" in spelled(value.func).lower()
