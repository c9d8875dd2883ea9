"""The verdict on each call: how it is rewritten for a target, or why it stays as it is."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Literal

from ml_switcheroo.core.known import OTHER_WORDS, kind_of_name
from ml_switcheroo.core.operations import COPIES, FLAT_TARGETS, IMMUTABLE_TARGETS
from ml_switcheroo.core.rebind import why_no_rebind
from ml_switcheroo.core.receivers import Place, Receivers
from ml_switcheroo.core.sites import Site

__all__ = ["Verdict", "judge"]

Action = Literal["call", "copy", "mend", "rebind", "leave"]

_OWN = {
    "super": "super() speaks to a load_state_dict of this class's own",
    "file": "{receiver} is imported, and its load_state_dict may be any function",
    "class": "the method is called on the class {receiver}; the model is an argument",
    "sharded": "{receiver} is sharded over processes, and its own method gathers the shards",
    "object": "the class of {receiver} is no torch.nn.Module and has a load_state_dict of its own",
}
_OVERRIDDEN = (
    "the class of the model changes names or values when it loads: what it does must be done to the state"
    " dict first, once the model is ported"
)
_UNKNOWN = "nothing shows that this is a model, and the models of this target never change"
_METHOD_NAMES = ("load_state_dict", "_load_from_state_dict")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a call.

    Attributes:
        action: ``call`` for the hook of the API table, ``copy`` for the target's own copy in memory,
            ``mend`` for ``m = m.load_state_dict(...)``, ``rebind`` for a target whose models never
            change, or ``leave``.
        why: For ``leave`` the reason; for the others what a person should know, or nothing.
        receiver: What the receiver is, as far as the code shows it.
    """

    action: Action
    why: str = ""
    receiver: str = ""


def judge(site: Site, place: Place, receivers: Receivers, target: str) -> Verdict:
    """Return the verdict on a call.

    Args:
        site: The call.
        place: Where it stands.
        receivers: What expressions are.
        target: The target's name.
    """
    kinds = receivers.kinds(site.receiver, place)
    named = kind_of_name(name_of(site.receiver))
    kind = _one(kinds) or ("" if kinds else named)
    reason = _why_left(site, kinds, kind, target)
    if reason:
        return Verdict("leave", reason, kind)
    if is_copy(site.call):
        return _judge_copy(site, place, receivers, target, kind)
    if target in FLAT_TARGETS:
        return Verdict("call", receiver=kind)
    if _is_reassigned(site):
        why = "the result of load_state_dict was assigned to the model itself, which it is not"
        return Verdict("call" if target in IMMUTABLE_TARGETS else "mend", why, kind)
    if target in IMMUTABLE_TARGETS:
        reason = _why_not_anew(site, place, receivers) if kind == "module" else _UNKNOWN
        return Verdict("leave", reason, kind) if reason else Verdict("rebind", receiver=kind)
    return Verdict("call", _OVERRIDDEN if "overriding" in kinds else "", kind)


def _why_left(site: Site, kinds: set[str], kind: str, target: str) -> str:
    receiver = ast.unparse(site.receiver)
    for word, text in _OWN.items():
        if word in kinds:
            return text.format(receiver=receiver)
    if "overriding" in kinds and (receiver == "self" or target in IMMUTABLE_TARGETS):
        return f"the class of {receiver} has a load_state_dict of its own"
    others = kinds & OTHER_WORDS.keys()
    if others and "module" in kinds:
        return f"{receiver} can be a model and can be {_a(sorted(others)[0])}"
    if kind in OTHER_WORDS:
        return f"{receiver} is {_a(kind)}, which holds no weights"
    if receiver == "self" and kind != "module":
        return "nothing shows that the class of self is a model"
    if set(site.scope[-1:]) & set(_METHOD_NAMES):
        return "this is the inside of a load_state_dict: its callers are rewritten"
    if kind != "module" and _is_loop_variable(site):
        return f"{receiver} runs over objects that nothing shows to be models"
    if isinstance(site.parents[-1], ast.Await):
        return "the result is awaited: this is no method of a model"
    return ""


def _judge_copy(site: Site, place: Place, receivers: Receivers, target: str, kind: str) -> Verdict:
    """Judge ``target.load_state_dict(online.state_dict())``."""
    source = copied_from(site.call)
    from_module = "module" in (_one(receivers.kinds(source, place)), kind_of_name(name_of(source)))
    if target not in COPIES:
        return Verdict("leave", f"a copy in memory, for which {target} needs no state dict", kind)
    if kind != "module" and not (from_module and not kind):
        return Verdict("leave", "a copy in memory between objects that nothing shows to be models", kind)
    if not site.is_statement:
        return Verdict(
            "leave", "a copy in memory whose report is used, and the target's own copy gives none", kind
        )
    if target in IMMUTABLE_TARGETS:
        reason = _why_not_anew(site, place, receivers)
        return Verdict("leave", reason, kind) if reason else Verdict("copy", receiver=kind)
    return Verdict("copy", receiver=kind)


def _why_not_anew(site: Site, place: Place, receivers: Receivers) -> str:
    self_kinds = receivers.kinds(ast.Name("self", ast.Load()), place) if place.owner else set()
    if isinstance(site.receiver, ast.Attribute) and self_kinds & {"module", "overriding"}:
        return "the models of this target never change, and self is one"
    return why_no_rebind(site)


def is_copy(call: ast.Call) -> bool:
    """Tell whether all that is loaded is the state of another live object."""
    states = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "state_dict")]
    state = states[0] if states else None
    return (
        isinstance(state, ast.Call)
        and isinstance(state.func, ast.Attribute)
        and state.func.attr == "state_dict"
        and not state.args
        and not state.keywords
    )


def copied_from(call: ast.Call) -> ast.expr:
    """Return the object whose state is loaded (see ``is_copy``)."""
    state = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "state_dict")][0]
    assert isinstance(state, ast.Call)
    assert isinstance(state.func, ast.Attribute)
    return state.func.value


def name_of(node: ast.expr) -> str:
    """Return the word that says what an expression is: ``optimizer`` for ``self.optimizers[0].module``."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr="module" | "_orig_mod"):
            return name_of(value)
        case ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
            return key if kind_of_name(key) else name_of(value)
        case ast.Subscript(value=value) | ast.Call(func=value) | ast.Await(value=value):
            return name_of(value)
    return ""


def _one(kinds: set[str]) -> str:
    return next(iter(kinds)) if len(kinds) == 1 else ""


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _is_reassigned(site: Site) -> bool:
    """Tell ``m = m.load_state_dict(sd)``."""
    statement = site.parents[-1]
    return (
        isinstance(statement, ast.Assign)
        and len(statement.targets) == 1
        and ast.unparse(statement.targets[0]) == ast.unparse(site.receiver)
    )


def _is_loop_variable(site: Site) -> bool:
    names = {node.id for node in ast.walk(site.receiver) if isinstance(node, ast.Name)}
    for node in site.parents:
        loops = [node] if isinstance(node, ast.For | ast.AsyncFor) else getattr(node, "generators", [])
        for loop in loops:
            if names & {part.id for part in ast.walk(loop.target) if isinstance(part, ast.Name)}:
                return True
    return False
