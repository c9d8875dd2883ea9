"""The verdict on each call: how it is rewritten for a target, or why it stays as it is."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import Literal

from ml_switcheroo.codemod.arguments import copied_from, is_copy, is_strict, why_foreign
from ml_switcheroo.codemod.binding import Binding, flat_name, free_name
from ml_switcheroo.codemod.clashes import find_shadow
from ml_switcheroo.codemod.copies import weigh_copy
from ml_switcheroo.codemod.holding import made_anew
from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.known import OTHER_WORDS, kind_of_name
from ml_switcheroo.codemod.naming import named_kind
from ml_switcheroo.codemod.notes import Said, said
from ml_switcheroo.codemod.operations import methods_of_others
from ml_switcheroo.codemod.parts import (
    ModelPart,
    is_built_here,
    is_just_made,
    part_of,
    root_of,
    source_part,
    why_no_part,
)
from ml_switcheroo.codemod.rebind import why_no_rebind
from ml_switcheroo.codemod.receivers import Place, Receivers
from ml_switcheroo.codemod.sites import CallSite, find_sites, has_plain_bases, scope_of
from ml_switcheroo.codemod.surroundings import is_sharded, tested_classes
from ml_switcheroo.codemod.trees import spelled
from ml_switcheroo.recipes import Target

__all__ = ["Verdict", "judge", "judge_save"]

Action = Literal["call", "copy", "hook", "leave"]

_OWN = {
    "super": "super",
    "file": "imported",
    "class": "on-class",
    "sharded": "sharded",
    "quantised": "quantised",
    "object": "own-object",
}
"""What a receiver with a method of its own is, and the note on it."""
_METHOD_NAMES = ("load_state_dict", "_load_from_state_dict")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a call.

    Attributes:
        action: ``call`` for the hook of the API table, ``copy`` for its hook between two live models,
            ``hook`` for that of another package, which decides by itself, or ``leave``.
        why: For ``leave`` the reason, with its code; for the others what a person should know, or nothing.
        receiver: What the receiver is, as far as the code shows it.
        binding: Where the result goes.
        part: Which part of what is bound anew is loaded; None for all of it.
        source: Which part of what a copy reads is read; None for what is written there.
    """

    action: Action
    why: Said | None = None
    receiver: str = ""
    binding: Binding = ""
    part: ModelPart | None = None
    source: ModelPart | None = None


def judge(site: CallSite, place: Place, receivers: Receivers, target: Target) -> Verdict:
    """Return the verdict on a call.

    Args:
        site: The call.
        place: Where it stands.
        receivers: What expressions are.
        target: The target.
    """
    tested = [receivers.instances(classes, place) for classes in tested_classes(site)]
    kinds = set().union(*tested) or receivers.kinds(site.receiver, place)
    kinds = _inherited(place, receivers) or kinds if kinds == {"super"} else kinds
    kind = _one(kinds) or ("" if kinds else named_kind(site.receiver))
    if site.method in methods_of_others():
        return Verdict("hook", None, kind)
    reason = _why_left(site, place.file, kinds, kind, target)
    if reason:
        return Verdict("leave", reason, kind)
    line = find_shadow(site, "KeyMapper") if "KeyMapper" in place.file.code else 0
    if line:
        return Verdict("leave", said("shadowed", line=line), kind)
    if is_copy(site.call):
        return _judge_copy(site, place, receivers, target, kind)
    if target.live is None:
        return _judge_flat(site, place, target, kind)
    if target.immutable:
        if kind != "module":
            return Verdict("leave", said("no-model-shown", target=target.name), kind)
        return _judge_anew("call", site, place, receivers, target, kind)
    if _is_reassigned(site):
        return Verdict("call", said("mended"), kind, "mend")
    return Verdict("call", said("overridden") if "overriding" in kinds else None, kind)


def _inherited(place: Place, receivers: Receivers) -> set[str]:
    """Return what the class around a ``super()`` is, where it is an optimizer and the like."""
    origins = receivers.of_class(place.owner, place.file) if place.owner else set()
    kinds = {origin.kind for origin in origins}
    return kinds if kinds <= OTHER_WORDS.keys() else set()


def judge_save(site: CallSite, place: Place, receivers: Receivers, target: Target) -> Verdict:
    """Return the verdict on a ``state_dict()`` that is saved."""
    kinds = receivers.kinds(site.receiver, place)
    kind = _one(kinds) or ("" if kinds else named_kind(site.receiver) or _looped_kind(site))
    receiver = spelled(site.receiver)
    if kind in OTHER_WORDS:
        return Verdict("leave", _no_weights(receiver, kind), kind)
    for word in ("super", "file", "class", "sharded", "object"):
        if word in kinds:
            return Verdict("leave", said("saved-own", receiver=receiver, kind=word), kind)
    if target.live is None or target.tree:
        return Verdict("leave", said("saved-unnamed", target=target.name), kind)
    return Verdict("call", receiver=kind)


def _why_left(site: CallSite, file: File, kinds: set[str], kind: str, target: Target) -> Said | None:
    receiver = spelled(site.receiver)
    return _why_no_model(receiver, kinds, kind, target) or _why_not_here(receiver, site, file, kind)


def _why_no_model(receiver: str, kinds: set[str], kind: str, target: Target) -> Said | None:
    """Return why what the receiver is forbids a rewrite."""
    for word, name in _OWN.items():
        if word in kinds:
            named = kind_of_name(receiver) if word == "object" else ""
            return _no_weights(receiver, named) if named in OTHER_WORDS else said(name, receiver=receiver)
    if "overriding" in kinds and (receiver == "self" or target.live is None or target.immutable):
        return said("own-load", receiver=receiver)
    others = kinds & OTHER_WORDS.keys()
    if others and "module" in kinds:
        return said("either", receiver=receiver, other=_a(sorted(others)[0]))
    if kind in OTHER_WORDS:
        return _no_weights(receiver, kind)
    if receiver == "self" and kind != "module":
        return said("unknown-self")
    return None


def _no_weights(receiver: str, kind: str) -> Said:
    return said("no-weights", receiver=receiver, other=_a(kind))


def _looped_kind(site: CallSite) -> str:
    """Return what the variable of a loop is, by the name of what is looped over: optimizers and the like."""
    for node in reversed(site.parents):
        for loop in [node] if isinstance(node, ast.For) else getattr(node, "generators", []):
            if spelled(loop.target) == spelled(site.receiver):
                kind = kind_of_name(spelled(loop.iter))
                return kind if kind in OTHER_WORDS else ""
    return ""


def _why_not_here(receiver: str, site: CallSite, file: File, kind: str) -> Said | None:
    """Return why the call, or the place where it stands, forbids a rewrite."""
    if is_sharded(site, file):
        return said("sharded", receiver=receiver)
    if set(site.scope[-1:]) & set(_METHOD_NAMES) and _may_override(site):
        return said("inside-load")
    if kind != "module" and _is_loop_variable(site):
        return said("loop", receiver=receiver)
    if isinstance(site.parents[-1], ast.Await):
        return said("awaited")
    return why_foreign(site.call)


def _judge_copy(site: CallSite, place: Place, receivers: Receivers, target: Target, kind: str) -> Verdict:
    """Judge ``target.load_state_dict(online.state_dict())``."""
    if target.live is None:
        return Verdict("leave", said("copy-unneeded", target=target.name), kind)
    copy = weigh_copy(site, place, receivers)
    if copy.left:
        return Verdict("leave", copy.left, kind)
    if target.immutable:
        verdict = _judge_anew("copy", site, place, receivers, target, kind)
        verdict = replace(verdict, why=verdict.why or copy.catch)
        return verdict if verdict.action == "leave" else _with_source(verdict, site, place, receivers, target)
    if _is_reassigned(site):
        return Verdict("copy", said("mended"), kind, "mend")
    return Verdict("copy", copy.catch, kind)


def _with_source(
    verdict: Verdict, site: CallSite, place: Place, receivers: Receivers, target: Target
) -> Verdict:
    """Add where a copy reads: a part of a tree is no attribute of it."""
    online = copied_from(site.call)
    plain = ModelPart(ast.unparse(online))
    source = source_part(online, site, place, receivers)
    if verdict.part:
        source = source or (plain if not target.tree else None)
    elif not target.tree or source == plain:
        return verdict
    if source is None:
        return Verdict("leave", said("part"), verdict.receiver)
    return replace(verdict, part=verdict.part or ModelPart(ast.unparse(site.receiver)), source=source)


def _judge_flat(site: CallSite, place: Place, target: Target, kind: str) -> Verdict:
    """Judge a load for a target of dictionaries: the arrays get a name, or nobody would keep them."""
    if kind != "module":
        return Verdict("leave", said("no-model-shown", target=target.name), kind)
    if not (site.is_statement or _is_reassigned(site)):
        return Verdict("leave", said("flat-used", target=target.name), kind)
    name = flat_name(site.receiver)
    why = ""
    if not name:
        why = "it is an expression"
    elif _is_loop_variable(site) or _is_set_in_a_loop(site):
        why = "it is another model each time"
    elif (line := _adds_to(site, place)) > 0:
        why = f"the call adds to what line {line} loads"
    elif not is_strict(site.call) and not _is_made_here(site):
        why = "the call may add to what the model had before"
    elif free_name(place.file, name.rpartition(".")[2]) != name.rpartition(".")[2]:
        why = f"{name} is another thing in this file"
    if why:
        return Verdict("leave", said("flat-unnamed", target=target.name, name=name or "this", why=why), kind)
    return Verdict("call", said("flat", name=name), kind, "flat")


def _judge_anew(
    action: Action, site: CallSite, place: Place, receivers: Receivers, target: Target, kind: str
) -> Verdict:
    """Judge a call for a target whose models never change: the new one must reach all who use it."""
    reason = None if is_just_made(site, place.file) else _why_not_anew(site, place, receivers, target)
    part = None
    if reason in (said("part"), said("unassignable")):
        other = why_no_part(site, place, receivers)
        root = root_of(site.receiver)
        part = part_of(site.receiver, root) if root and not other else None
        reason = None if part else reason if other == said("part") else other
    if reason:
        return Verdict("leave", reason, kind)
    if _is_reassigned(site):
        return Verdict("leave", said("part"), kind) if part else Verdict(action, said("mended"), kind)
    return Verdict(action, None, kind, "model" if site.is_statement else "report", part)


def _why_not_anew(site: CallSite, place: Place, receivers: Receivers, target: Target) -> Said | None:
    """Return why what a call is made on cannot be bound anew where it stands."""
    self_kinds = receivers.kinds(ast.Name("self", ast.Load()), place) if place.owner else set()
    own = isinstance(site.receiver, ast.Attribute) and _begins(site.receiver) == "self"
    if own and self_kinds & {"module", "overriding"}:
        return None if not target.tree and is_built_here(site) else said("self-fixed")
    return why_no_rebind(site, place.file, receivers.index)


def _begins(part: ast.expr) -> str:
    """Return the first word of a dotted name."""
    return ast.unparse(part).partition(".")[0]


def _one(kinds: set[str]) -> str:
    return next(iter(kinds)) if len(kinds) == 1 else ""


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _is_reassigned(site: CallSite) -> bool:
    """Tell ``m = m.load_state_dict(sd)``."""
    statement = site.parents[-1]
    return (
        isinstance(statement, ast.Assign)
        and len(statement.targets) == 1
        and spelled(statement.targets[0]) == spelled(site.receiver)
    )


def _may_override(site: CallSite) -> bool:
    """Tell whether the method around a call may be a model's: its class has a base that may be one."""
    owner = next((node for node in reversed(site.definitions) if isinstance(node, ast.ClassDef)), None)
    return owner is not None and not has_plain_bases(owner)


def _is_loop_variable(site: CallSite) -> bool:
    names = {node.id for node in ast.walk(site.receiver) if isinstance(node, ast.Name)}
    for node in site.parents:
        loops = [node] if isinstance(node, ast.For | ast.AsyncFor) else getattr(node, "generators", [])
        for loop in loops:
            if names & {part.id for part in ast.walk(loop.target) if isinstance(part, ast.Name)}:
                return True
    return False


def _is_set_in_a_loop(site: CallSite) -> bool:
    """Tell whether a loop around the call makes what it is called on anew, each time."""
    names = {node.id for node in ast.walk(site.receiver) if isinstance(node, ast.Name)}
    return any(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in names
        for loop in site.parents
        if isinstance(loop, ast.For | ast.AsyncFor | ast.While)
        for node in ast.walk(loop)
    )


def _adds_to(site: CallSite, place: Place) -> int:
    """Return the line of an earlier load of the same model, where this one may leave tensors out; or 0."""
    if is_strict(site.call):
        return 0
    written, scope = spelled(site.receiver), scope_of(site)
    earlier = (
        other.call.lineno
        for other in find_sites(place.file, site.method)
        if spelled(other.receiver) == written and scope_of(other) is scope
    )
    return max((line for line in earlier if line < site.call.lineno), default=0)


def _is_made_here(site: CallSite) -> bool:
    """Tell whether the same function has made the model, so that nothing else was loaded into it."""
    receiver = site.receiver
    return isinstance(receiver, ast.Name) and made_anew(receiver.id, site) > 0
