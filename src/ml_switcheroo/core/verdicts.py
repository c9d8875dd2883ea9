"""The verdict on each call: how it is rewritten for a target, or why it stays as it is."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Literal

from ml_switcheroo.core.arguments import copied_from, is_copy, is_strict, why_foreign
from ml_switcheroo.core.known import OTHER_WORDS
from ml_switcheroo.core.naming import named_kind
from ml_switcheroo.core.operations import COPIES, FLAT_TARGETS, IMMUTABLE_TARGETS
from ml_switcheroo.core.rebind import why_no_rebind
from ml_switcheroo.core.receivers import Place, Receivers
from ml_switcheroo.core.sites import Site
from ml_switcheroo.core.surroundings import is_sharded, tested_classes

__all__ = ["Verdict", "judge", "judge_save"]

Action = Literal["call", "copy", "mend", "rebind", "leave"]

_OWN = {
    "super": "super() speaks to a load_state_dict of this class's own",
    "file": "{receiver} is imported, and its load_state_dict may be any function",
    "class": "the method is called on the class {receiver}; the model is an argument",
    "sharded": "{receiver} is sharded over processes, and its own method loads the shards",
    "object": "the class of {receiver} is no torch.nn.Module and has a load_state_dict of its own",
}
_OVERRIDDEN = (
    "the class of the model changes names or values when it loads: what it does must be done to the state"
    " dict first, once the model is ported"
)
_LOOSE = (
    "a copy that may leave tensors out: the target's own is an error where the source has more than the model"
)
_UNKNOWN = "nothing shows that this is a model, and the models of this target never change"
_NO_NAMES = FLAT_TARGETS | {"linen", "haiku"}
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
    tested = [receivers.instances(classes, place) for classes in tested_classes(site)]
    kinds = set().union(*tested) or receivers.kinds(site.receiver, place)
    kind = _one(kinds) or ("" if kinds else named_kind(site.receiver))
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


def judge_save(site: Site, place: Place, receivers: Receivers, target: str) -> Verdict:
    """Return the verdict on a ``state_dict()`` that is saved."""
    kinds = receivers.kinds(site.receiver, place)
    kind = _one(kinds) or ("" if kinds else named_kind(site.receiver))
    receiver = ast.unparse(site.receiver)
    if kind in OTHER_WORDS:
        return Verdict("leave", f"{receiver} is {_a(kind)}, which holds no weights", kind)
    for word in ("super", "file", "class", "sharded", "object"):
        if word in kinds:
            return Verdict("leave", f"its state dict is not PyTorch's own ({receiver}: {word})", kind)
    if target in _NO_NAMES:
        why = f"what holds the weights in {target} does not show PyTorch's names: use ml_switcheroo.to_torch"
        return Verdict("leave", why, kind)
    return Verdict("call", receiver=kind)


def _why_left(site: Site, kinds: set[str], kind: str, target: str) -> str:
    receiver = ast.unparse(site.receiver)
    return _why_no_model(receiver, kinds, kind, target) or _why_not_here(receiver, site, kind)


def _why_no_model(receiver: str, kinds: set[str], kind: str, target: str) -> str:
    """Return why what the receiver is forbids a rewrite."""
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
    return ""


def _why_not_here(receiver: str, site: Site, kind: str) -> str:
    """Return why the call, or the place where it stands, forbids a rewrite."""
    if is_sharded(site):
        return _OWN["sharded"].format(receiver=receiver)
    if set(site.scope[-1:]) & set(_METHOD_NAMES):
        return "this is the inside of a load_state_dict: its callers are rewritten"
    if kind != "module" and _is_loop_variable(site):
        return f"{receiver} runs over objects that nothing shows to be models"
    if isinstance(site.parents[-1], ast.Await):
        return "the result is awaited: this is no method of a model"
    return why_foreign(site.call)


def _judge_copy(site: Site, place: Place, receivers: Receivers, target: str, kind: str) -> Verdict:
    """Judge ``target.load_state_dict(online.state_dict())``."""
    source = copied_from(site.call)
    from_module = "module" in (_one(receivers.kinds(source, place)), named_kind(source))
    if target not in COPIES:
        return Verdict("leave", f"a copy in memory, for which {target} needs no state dict", kind)
    if kind != "module" and not (from_module and not kind):
        return Verdict("leave", "a copy in memory between objects that nothing shows to be models", kind)
    if not site.is_statement:
        return Verdict(
            "leave", "a copy in memory whose report is used, and the target's own copy gives none", kind
        )
    if not is_strict(site.call):
        reason = COPIES[target].why_not_loose
        return Verdict("leave", reason, kind) if reason else Verdict("copy", _LOOSE, kind)
    if target in IMMUTABLE_TARGETS:
        reason = _why_not_anew(site, place, receivers)
        return Verdict("leave", reason, kind) if reason else Verdict("copy", receiver=kind)
    return Verdict("copy", receiver=kind)


def _why_not_anew(site: Site, place: Place, receivers: Receivers) -> str:
    self_kinds = receivers.kinds(ast.Name("self", ast.Load()), place) if place.owner else set()
    if isinstance(site.receiver, ast.Attribute) and self_kinds & {"module", "overriding"}:
        return "the models of this target never change, and self is one"
    return why_no_rebind(site)


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
