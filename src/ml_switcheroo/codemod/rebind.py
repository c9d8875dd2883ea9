"""Where ``net = KeyMapper.load_into(net, ...)`` reaches everybody who uses ``net``."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import NamedTuple

from ml_switcheroo.codemod.holding import held, is_alias, mentions, names_bound, values_given
from ml_switcheroo.codemod.index import File, Index
from ml_switcheroo.codemod.known import PASSING_CALLS, PASSING_METHODS
from ml_switcheroo.codemod.notes import Said, said
from ml_switcheroo.codemod.sites import CallSite, is_declared, parameters, scope_of, walk_scope
from ml_switcheroo.codemod.trees import spelled
from ml_switcheroo.codemod.users import Function, Use, find_uses, handed_in, subclasses

__all__ = ["why_no_rebind"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEPTH = 4
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


class _Returned(NamedTuple):
    """The place in a tuple that is returned; None for what is returned by itself."""

    at: int | None


def why_no_rebind(site: CallSite, file: File, index: Index, depth: int = 0) -> Said | None:
    """Return why what a call is made on cannot be bound anew there, if it cannot.

    It can where it is a variable of the same scope that nobody else holds yet, or an attribute of ``self``;
    and where all who handed it in, as far as their files are known, take the new one or need none.
    """
    receiver = site.receiver
    if isinstance(receiver, ast.Attribute):
        own = isinstance(receiver.value, ast.Name) and receiver.value.id == "self"
        if not own or receiver.attr == "module":
            return said("part")
        return _why_not_own(receiver, site, file, index)
    if not isinstance(receiver, ast.Name):
        return said("unassignable")
    return _why_not_local(receiver.id, site, file, index, depth)


def _why_not_local(name: str, site: CallSite, file: File, index: Index, depth: int) -> Said | None:
    scope = scope_of(site)
    nodes = list(walk_scope(scope))
    handed = False
    if isinstance(scope, _FUNCTIONS) and not is_declared(name, scope):
        if name == "self":
            return said("self-fixed")
        if name not in parameters(scope) and name not in names_bound(nodes):
            return said("outer-variable", receiver=name)
        # Not ``if net is None: net = Net()``, where the caller's comes through.
        first = [node for node in scope.body if node.lineno < site.call.lineno]
        made = [one for one in _values(name, first, site.call.lineno) if not mentions(one, name)]
        handed = name in parameters(scope) and not made
    owner = scope if handed and isinstance(scope, _FUNCTIONS) else None
    if owner and _places_returned(name, owner, site.call.lineno) is None:
        return said("callers", receiver=name)
    holder = held(name, site, file, index)
    if holder or owner is None:
        return holder
    return _why_not_handed_back(name, owner, site, file, index, depth)


# ---- who handed it in --------------------------------------------------------------------------


def _why_not_handed_back(
    name: str, function: Function, site: CallSite, file: File, index: Index, depth: int
) -> Said | None:
    """Return why the callers of a function would keep the old model; each must take the one it returns."""
    returned = _places_returned(name, function, site.call.lineno)
    if returned is None:
        return said("callers", receiver=name)
    uses = find_uses(function.name, file, index) if depth < _DEPTH else None
    if not uses:
        return said("no-callers", name=function.name)
    owner = next((node for node in reversed(site.definitions[:-1])), None)
    marks = {spelled(one) for one in function.decorator_list}
    bound = isinstance(owner, ast.ClassDef) and "staticmethod" not in marks
    for use in uses:
        given = handed_in(use.site.call, function, name, bound=bound)
        taken = _is_taken(given, returned.at, use, index, depth)
        if not taken:
            return said("caller-keeps", place=f"{use.file.path}:{use.site.call.lineno}", name=function.name)
    return None


def _is_taken(given: ast.expr | str, place: int | None, use: Use, index: Index, depth: int) -> bool:
    """Tell whether a caller goes on with what the function returns instead of what it handed in."""
    if isinstance(given, str):
        return given == "nothing"
    if _is_fresh(given):
        return True
    around, inner = use.site.parents[::-1], use.site.call
    statement: ast.AST = around[0]
    for node in around:
        passing = isinstance(node, ast.Attribute) and node.attr in PASSING_METHODS
        statement = node
        if not passing and not (
            isinstance(node, ast.Call) and getattr(node.func, "attr", "") in PASSING_METHODS
        ):
            break
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target: ast.expr | None = statement.targets[0]
        if place is not None:
            elements = target.elts if isinstance(target, ast.Tuple | ast.List) else []
            target = elements[place] if place < len(elements) else None
        if target is not None and spelled(target) == spelled(given):
            there = CallSite(inner, given, use.site.scope, use.site.parents)
            return why_no_rebind(there, use.file, index, depth + 1) is None
    elif not isinstance(statement, ast.Return):
        return False
    return _is_last_use(given, use, index)


def _is_fresh(given: ast.expr) -> bool:
    """Tell ``restore(Net())``: only the function has it."""
    if isinstance(given, ast.Constant):
        return True
    return isinstance(given, ast.Call) and not is_alias(given, "")


def _is_last_use(given: ast.expr, use: Use, index: Index) -> bool:
    """Tell whether a variable is the caller's own, and is not read again behind the call."""
    scope, line = scope_of(use.site), use.site.call.lineno
    if not isinstance(given, ast.Name) or any(isinstance(node, _LOOPS) for node in use.site.parents):
        return False
    nodes = list(walk_scope(scope))
    if isinstance(scope, _FUNCTIONS):
        own = given.id in names_bound(nodes) and given.id not in parameters(scope)
        if not own or is_declared(given.id, scope):
            return False
    if held(given.id, use.site, use.file, index):
        return False
    inside = {id(node) for node in ast.walk(use.site.call)}
    return not any(
        isinstance(node, ast.Name)
        and node.id == given.id
        and isinstance(node.ctx, ast.Load)
        and node.lineno >= line
        and id(node) not in inside
        for node in ast.walk(scope)
    )


def _places_returned(name: str, function: Function, after: int) -> _Returned | None:
    """Return where in what a function returns a variable is, if every return behind a line has it there."""
    places = {
        _place_in(node.value, name)
        for node in walk_scope(function)
        if isinstance(node, ast.Return) and node.lineno >= after
    }
    generates = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in walk_scope(function))
    return None if generates or len(places) != 1 else places.pop()


def _place_in(value: ast.expr | None, name: str) -> _Returned | None:
    """Tell ``return net``, by itself, in a tuple or on a device; what ``f(net)`` returns may be anything."""
    whole = not isinstance(value, ast.Tuple | ast.List)
    for at, part in enumerate([value] if whole else getattr(value, "elts", ())):
        while isinstance(part, ast.Call) and getattr(part.func, "attr", "") in PASSING_METHODS:
            part = getattr(part.func, "value", part)
        if isinstance(part, ast.Name) and part.id == name:
            return _Returned(None if whole else at)
    return None


# ---- attributes of self ------------------------------------------------------------------------


def _why_not_own(receiver: ast.Attribute, site: CallSite, file: File, index: Index) -> Said | None:
    """Return who would keep the old one of an attribute: its object's parts, its makers, its users."""
    written = spelled(receiver)
    holder = _held_in_class(receiver, site)
    if holder:
        return said("held-by-object", line=holder, receiver=written)
    owner = next((node for node in reversed(site.definitions) if isinstance(node, ast.ClassDef)), None)
    method = next((node for node in reversed(site.definitions) if isinstance(node, _FUNCTIONS)), None)
    if owner is None or method is None:
        return None
    for use in find_uses(method.name, file, index) or ():
        line = _taken_out(receiver.attr, use)
        if line:
            return said("held", line=f"{line} of {use.file.path}")
    methods = [node for node in owner.body if isinstance(node, _FUNCTIONS)]
    return next(filter(None, (_why_given(written, owner, made, file, index) for made in methods)), None)


def _why_given(written: str, owner: ast.ClassDef, made: Function, file: File, index: Index) -> Said | None:
    """Return who keeps what a method sets an attribute to."""
    for node in walk_scope(made):
        if not isinstance(node, ast.Assign) or written not in map(spelled, node.targets):
            continue
        given = _unwrapped(node.value)
        if isinstance(given, ast.Name) and given.id in parameters(made):
            keeper = _who_gave(owner, made, given.id, file, index)
            if keeper:
                return said("giver-keeps", receiver=written, place=keeper)
        elif isinstance(given, ast.Name) and _is_read_behind(given.id, made, node.lineno):
            return said("held", line=node.lineno)
    return None


def _unwrapped(value: ast.expr) -> ast.expr:
    """Return what is on a device, or within a wrapper, by itself: ``net`` of ``DDP(net.to(d))``."""
    while isinstance(value, ast.Call):
        if getattr(value.func, "attr", "") in PASSING_METHODS:
            value = getattr(value.func, "value", value)
        elif value.args and PASSING_CALLS.search(spelled(value.func)) and "copy" not in spelled(value.func):
            value = value.args[0]
        else:
            break
    return value


def _is_read_behind(name: str, scope: ast.AST, line: int) -> bool:
    return any(
        isinstance(node, ast.Name)
        and node.id == name
        and isinstance(node.ctx, ast.Load)
        and node.lineno > line
        for node in ast.walk(scope)
    )


def _taken_out(attribute: str, use: Use) -> int:
    """Return the line of ``net = trainer.net`` before ``trainer.load()``; 0 where there is none."""
    holder = spelled(use.site.receiver)
    for node in walk_scope(scope_of(use.site)):
        if not isinstance(node, ast.Assign) or node.lineno >= use.site.call.lineno:
            continue
        if spelled(_unwrapped(node.value)) == f"{holder}.{attribute}":
            return node.lineno
    return 0


def _who_gave(owner: ast.ClassDef, method: Function, name: str, file: File, index: Index) -> str:
    """Return who makes an object of a class (or calls a setter) and keeps what it hands in."""
    asked = method.name
    if method.name == "__init__":
        asked = owner.name
        if any(True for _ in subclasses(owner.name, file, index)):
            return f"a class that {owner.name} is a base of"
    uses = find_uses(asked, file, index)
    if not uses:
        return f"whoever calls {asked}"
    for use in uses:
        given = handed_in(use.site.call, method, name, bound=True)
        kept = (
            given == "unknown"
            if isinstance(given, str)
            else not (_is_fresh(given) or _is_last_use(given, use, index))
        )
        if kept:
            return f"{use.file.path}:{use.site.call.lineno}"
    return ""


def _values(name: str, nodes: Sequence[ast.AST], before: int) -> list[ast.expr]:
    """Return what a variable is set to before a line."""
    return [
        one
        for node in nodes
        if isinstance(node, ast.Assign) and node.lineno < before
        for target in node.targets
        for one in values_given(target, node.value, name)
    ]


def _held_in_class(receiver: ast.Attribute, site: CallSite) -> int:
    """Return a line of the class that hands the attribute to another of its attributes; 0 for none."""
    owner = next((node for node in reversed(site.definitions) if isinstance(node, ast.ClassDef)), None)
    written = spelled(receiver)
    for node in ast.walk(owner) if owner else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            passed = [*node.value.args, *(word.value for word in node.value.keywords)]
            given = any(isinstance(one, ast.Attribute) and spelled(one) == written for one in passed)
            if given and written not in {spelled(target) for target in node.targets}:
                return node.lineno
    return 0
