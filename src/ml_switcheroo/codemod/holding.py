"""Who else has hold of an object before it is bound anew: other names, containers, other objects."""

from __future__ import annotations

import ast

from ml_switcheroo.codemod.index import File, Index
from ml_switcheroo.codemod.known import MODULE_ENDINGS, PASSING_CALLS, PASSING_METHODS
from ml_switcheroo.codemod.notes import Said, said
from ml_switcheroo.codemod.running import ran_before
from ml_switcheroo.codemod.sites import CallSite, parameters, scope_of, walk_scope
from ml_switcheroo.codemod.trees import spelled
from ml_switcheroo.codemod.users import Function, handed_in

__all__ = ["held", "is_alias", "is_model", "made_anew", "mentions", "names_bound", "values_given"]

# What these return was somebody's before.
_TAKING = frozenset("pop popitem popleft get setdefault getattr next get_model unwrap_model".split())
_STORING = frozenset("append add insert extend register add_module register_module setattr".split())
_CONTAINERS = frozenset("ModuleList ModuleDict Sequential list dict tuple".split())
# What is called so is a whole model; ``layers`` and ``attn`` may be numbers and flags.
_WHOLE = frozenset(
    "model module network backbone generator discriminator classifier actor critic teacher student".split()
)
# What these are handed they only look at.
_ASKING = frozenset("hasattr isinstance type len id sum print any all repr str sorted".split())
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def held(name: str, site: CallSite, file: File, index: Index) -> Said | None:
    """Say which line before a call lets something else take hold of the object, if one does."""
    before = site.call.lineno
    since = made_anew(name, site)
    for node in walk_scope(scope_of(site)):
        line = getattr(node, "lineno", before)
        around = any(node is parent for parent in site.parents)
        loops = isinstance(node, ast.For | ast.AsyncFor) and mentions(node.target, name)
        if loops and (around or since < line < before):
            return said("had", line=line, receiver=name)
        if not since <= line < before:
            continue
        if isinstance(node, ast.Expr) and _stores(node.value, name):
            return said("held", line=line)
        value = getattr(node, "value", None)
        if not isinstance(node, ast.Assign | ast.AnnAssign) or value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        given = [one for target in targets for one in values_given(target, value, name)]
        if given and any(is_alias(one, name) for one in given):
            second = any(isinstance(one, ast.Name) for one in given)
            return said("held", line=line) if second else said("had", line=line, receiver=name)
        if given and len(targets) > 1:
            return said("held", line=line)
        if not given and _escapes(value, name) and _keeps(value, name, file, index):
            called = isinstance(value, ast.Call) and not _is_moved(value)
            return said("handed", line=line, receiver=name) if called else said("held", line=line)
    return None


def made_anew(name: str, site: CallSite) -> int:
    """Return the line of the last statement that surely ran before a call and made the object; 0 for none."""
    found = 0
    for node, before in ran_before(site):
        for statement in before:
            if isinstance(statement, ast.Assign) and statement.lineno > found:
                value = statement.value
                given = [one for target in statement.targets for one in values_given(target, value, name)]
                anew = given and not any(mentions(one, name) or is_alias(one, name) for one in given)
                found = statement.lineno if anew else found
        if isinstance(node, _FUNCTIONS):
            break
    return found


def _is_moved(call: ast.Call) -> bool:
    """Tell ``net.to(device)``, which is the model itself."""
    return getattr(call.func, "attr", "") in PASSING_METHODS


def _keeps(value: ast.expr, name: str, file: File, index: Index) -> bool:
    """Tell whether what is handed a model may keep it: a class, or a function unless its code shows other."""
    if not isinstance(value, ast.Call) or any(
        isinstance(one, ast.Call)
        and _escapes(one, name)
        and not (_asks(value) and getattr(one.func, "id", "") == "getattr")
        and _keeps(one, name, file, index)
        for one in value.args
    ):
        return True
    called = spelled(value.func)
    if called in _ASKING:
        return False
    function = index.function(file, called)
    if function is None:
        return True
    bare = [one for one in (*value.args, *(word.value for word in value.keywords)) if _escapes(one, name)]
    if any(not isinstance(one, ast.Name | ast.Call) for one in bare):
        return True
    given = {argument: handed_in(value, function, argument, bound=False) for argument in parameters(function)}
    taking = [
        argument
        for argument, one in given.items()
        if (one == "unknown" if isinstance(one, str) else _escapes(one, name))
    ]
    unknown = function.decorator_list or function.args.vararg or function.args.kwarg
    return any(_lets_out(argument, function) for argument in (parameters(function) if unknown else taking))


def _asks(call: ast.Call) -> bool:
    return ast.unparse(call.func) in _ASKING


def _lets_out(name: str, function: Function) -> bool:
    """Tell whether a function returns a parameter in some way, or puts it somewhere."""
    for node in ast.walk(function):
        if isinstance(node, ast.Expr) and _stores(node.value, name):
            return True
        value = getattr(node, "value", None)
        if not isinstance(node, ast.Return | ast.Yield | ast.Assign | ast.AnnAssign) or value is None:
            continue
        asks = isinstance(value, ast.Call) and spelled(value.func) in _ASKING
        if _escapes(value, name) and not asks:
            return True
    return False


def _stores(call: ast.expr, name: str) -> bool:
    """Tell ``nets.append(net)``, ``setattr(trainer, "net", net)``."""
    if not isinstance(call, ast.Call):
        return False
    called = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return called in _STORING and any(_escapes(one, name) for one in call.args)


def values_given(target: ast.expr, value: ast.expr, name: str) -> list[ast.expr]:
    """Return what an assignment gives to a variable, of a tuple the part that it gets."""
    if isinstance(target, ast.Name):
        return [value] if target.id == name else []
    if not isinstance(target, ast.Tuple | ast.List):
        return []
    parts = getattr(value, "elts", None)
    if parts is None or len(parts) != len(target.elts):
        return [value] if mentions(target, name) else []
    return [one for at, part in zip(target.elts, parts, strict=True) for one in values_given(at, part, name)]


def is_alias(value: ast.expr, name: str) -> bool:
    """Tell whether a value is another object by a second name: ``self.net``, ``wrapper.to(device)``."""
    if isinstance(value, ast.Call):
        called = value.func
        if isinstance(called, ast.Attribute) and called.attr in PASSING_METHODS:
            return is_alias(called.value, name)
        if getattr(called, "attr", getattr(called, "id", "")) in _TAKING:
            return True
        written = spelled(called)
        if PASSING_CALLS.search(written) and value.args:
            return "copy" not in written and is_alias(value.args[0], name)
        return _wraps(value, name)
    if isinstance(value, ast.Attribute | ast.Subscript):
        return not isinstance(value.value, ast.Call) or is_alias(value.value, name)
    return isinstance(value, ast.Name) and value.id != name


def _wraps(call: ast.Call, name: str) -> bool:
    """Tell ``Classifier(backbone)`` and ``nn.ModuleList(unet.blocks)``: made of what somebody has."""
    called = getattr(call.func, "attr", getattr(call.func, "id", ""))
    parts = [part for one in (*call.args, *(word.value for word in call.keywords)) for part in _parts_of(one)]
    if called in _CONTAINERS:
        return any(not isinstance(part, ast.Call | ast.Constant | ast.comprehension) for part in parts)
    return called[:1].isupper() and any(is_model(part) and not mentions(part, name) for part in parts)


def is_model(part: ast.expr) -> bool:
    """Tell a variable or an attribute of ``self`` that is called a model; ``vae_config`` is not."""
    own = isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self"
    word = part.attr if own and isinstance(part, ast.Attribute) else getattr(part, "id", "")
    last = word.rpartition("_")[2].lower()
    return last in _WHOLE or last.endswith(MODULE_ENDINGS)


def _parts_of(value: ast.expr) -> list[ast.expr]:
    """Return what an argument hands in: itself, the items of a display, what a method is called on."""
    if isinstance(value, ast.Tuple | ast.List | ast.Set):
        return [part for item in value.elts for part in _parts_of(item)]
    if isinstance(value, ast.Starred):
        return _parts_of(value.value)
    if isinstance(value, ast.Call) and getattr(value.func, "attr", "") in ("values", "items", "children"):
        return _parts_of(getattr(value.func, "value", value))
    return [value]


def _escapes(value: ast.expr, name: str) -> bool:
    """Tell whether the value may keep the object: itself, in a container, as an argument of a call."""
    if isinstance(value, ast.Name):
        return value.id == name
    if isinstance(value, ast.Tuple | ast.List | ast.Set):
        return any(_escapes(item, name) for item in value.elts)
    if isinstance(value, ast.Dict):
        return any(_escapes(item, name) for item in value.values)
    if isinstance(value, ast.Call):
        passed = [*value.args, *(word.value for word in value.keywords)]
        if isinstance(value.func, ast.Attribute) and value.func.attr in PASSING_METHODS:
            passed.append(value.func.value)
        return any(_escapes(item, name) for item in passed)
    return False


def names_bound(nodes: list[ast.AST]) -> set[str]:
    """Return the names that are set somewhere in some nodes."""
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def mentions(node: ast.expr, name: str) -> bool:
    """Tell whether an expression has a variable in it."""
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))
