"""Classes: making them, their method resolution order, and their instances."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ml_switcheroo.sources.static.python.frames import Class, Frame, Function
from ml_switcheroo.sources.static.python.machine import Budget
from ml_switcheroo.sources.static.python.memory import again, key_of, watching
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Bound,
    Builtin,
    External,
    Instance,
    OneOf,
    Partial,
    Raised,
    Unknown,
    Value,
    options,
)
from ml_switcheroo.sources.static.python.wrapping import hands_on

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = [
    "OF_PACKAGES",
    "decorated",
    "find",
    "instantiate",
    "is_subclass",
    "lineage",
    "make_class",
    "new_instance",
]

OBJECT = External("builtins.object")

_MADE_OTHERWISE = Unknown("metaclass")
"""Base of a class whose metaclass says how instances are made."""


def make_class(machine: Machine, node: ast.ClassDef, frame: Frame) -> Class:
    """Run a class statement."""
    bases = tuple(machine.evaluate(base, frame) for base in node.bases if not isinstance(base, ast.Starred))
    bases = tuple(option for base in bases for option in options(base)[:1])
    for word in node.keywords:
        if word.arg == "metaclass":
            bases = (*bases, *_made_by(machine.evaluate(word.value, frame)))
    names: dict[Any, Value] = machine.heap.new({})
    made = Class(node.name, node, frame.source, bases, names)
    inner = Frame(names, frame.source, frame if frame.names is not frame.source.values else None, body=True)
    inner.owner = made
    machine.run(node.body, inner)
    made.mro = _linear(machine, made)
    fields = [
        s.target.id
        for s in node.body
        if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name) and not _of_the_class(s.annotation)
    ]
    inherited = [name for base in reversed(made.mro[1:]) if isinstance(base, Class) for name in base.fields]
    made.fields = tuple(dict.fromkeys([*inherited, *fields]))
    made.dataclass = any(isinstance(base, External) and base.name == "typing.NamedTuple" for base in made.mro)
    if any(isinstance(base, External) and base.name.startswith("enum.") for base in made.mro):
        _make_members(machine, made)
    _tell_parent(machine, made, frame)
    return made


def _tell_parent(machine: Machine, made: Class, frame: Frame) -> None:
    """Call ``__init_subclass__`` of the class that has one; one that cannot be followed changes nothing."""
    method, owner = find(made, "__init_subclass__", made)
    if not isinstance(owner, Class) or made.node is None:
        return
    function = method.owner if isinstance(method, Builtin) and method.name == "classmethod" else method
    words = [word for word in made.node.keywords if word.arg not in ("metaclass", None)]
    given = {str(word.arg): machine.evaluate(word.value, frame) for word in words}
    with contextlib.suppress(Raised):
        machine.call(function, Arguments([made], given))


def _of_the_class(annotation: ast.expr) -> bool:
    """Tell whether an annotation says that a name is the class's own, and no field."""
    return ast.unparse(annotation).strip("'\"").removeprefix("typing.").startswith("ClassVar")


def _made_by(metaclass: Value) -> tuple[Value, ...]:
    """Return the base that stands for what a metaclass of the user's own adds to its classes."""
    if not isinstance(metaclass, Class):
        return ()
    if isinstance(find(metaclass, "__call__")[1], Class):
        return (_MADE_OTHERWISE,)
    own = any(isinstance(find(metaclass, name)[1], Class) for name in ("__new__", "__init__"))
    return (UNKNOWN,) if own else ()


def _make_members(machine: Machine, made: Class) -> None:
    for name, value in list(made.attrs.items()):
        if not isinstance(value, Function | Builtin) and not str(name).startswith("_"):
            member = new_instance(machine, made)
            member.attrs.update({"name": name, "value": value})
            made.attrs[name] = member


def lineage(cls: Value) -> tuple[Value, ...]:
    """Return a class with everything it derives from, in the order of attribute look-up."""
    if isinstance(cls, Class):
        return cls.mro
    return (cls,)


def _linear(machine: Machine, made: Class) -> tuple[Value, ...]:
    """C3 linearisation; where it has no answer, depth first."""
    sequences = [_above(machine, base) for base in made.bases] + [list(made.bases)]
    order: list[Value] = [made]
    while sequences := [sequence for sequence in sequences if sequence]:
        for sequence in sequences:
            head = sequence[0]
            if not any(_contains(other[1:], head) for other in sequences):
                break
        else:
            head = sequences[0][0]
        order.append(head)
        sequences = [[one for one in sequence if not _is(one, head)] for sequence in sequences]
    return tuple(order)


def _above(machine: Machine, base: Value) -> list[Value]:
    """Return the lineage of a base; that of a package's layers ends with their root."""
    outside = machine.tables.outside
    if isinstance(base, External) and base.name != outside.root:
        return [base, External(outside.root)] if outside.is_subclass(base.name, outside.root) else [base]
    return list(lineage(base))


def _is(left: Value, right: Value) -> bool:
    return left is right or (isinstance(left, External) and left == right)


def _contains(sequence: Sequence[Value], value: Value) -> bool:
    return any(_is(one, value) for one in sequence)


def find(cls: Value, name: str, behind: Class | None = None) -> tuple[Value, Value]:
    """Return an attribute of a class and the class that has it; ``(ABSENT, None)`` where none has.

    An unknown base may have anything: ``(UNKNOWN, base)``. A base of a package that is not read
    answers with itself: ``(ABSENT, External)`` stands for "ask that package".
    """
    order = lineage(cls)
    if behind is not None:
        order = order[next((i for i, one in enumerate(order) if one is behind), -1) + 1 :]
    outside: Value = None
    for one in order:
        if isinstance(one, Class) and name in one.attrs:
            return one.attrs[name], one
        if isinstance(one, External) and one.name not in _BARE:
            if name in OF_PACKAGES:
                return ABSENT, one
            outside = outside or one
        if isinstance(one, Unknown | OneOf):
            return UNKNOWN, one
    return ABSENT, outside


OF_PACKAGES: set[str] = set()
"""What classes of packages that are not read are known to define; bases behind them do not matter."""


_BARE = frozenset(
    """builtins.object abc.ABC typing.Generic typing.Protocol typing.NamedTuple argparse.Namespace
    types.SimpleNamespace""".split()
)
"""Classes that give their instances no attributes."""


def is_subclass(machine: Machine, cls: Value, base: Value) -> bool | None:
    """Tell whether ``issubclass(cls, base)``; None where nobody knows."""
    if isinstance(base, tuple | list):
        answers = [is_subclass(machine, cls, one) for one in base]
        return True if True in answers else (None if None in answers else False)
    if not isinstance(base, Class | External | Builtin):
        return None
    vague = False
    for one in lineage(cls):
        if _is(one, base) or one is base:
            return True
        if isinstance(one, External) and isinstance(base, External):
            answer = machine.tables.outside.is_subclass(one.name, base.name)
            if answer:
                return True
            vague = vague or answer is None
        elif isinstance(one, Unknown | OneOf):
            vague = True
    return None if vague else False


def new_instance(machine: Machine, cls: Value) -> Instance:
    """Return an instance whose constructor has not run."""
    made = Instance(cls, site=machine.site)
    machine.heap.new(made.attrs)
    machine.heap.new(made.marks)
    if any(isinstance(one, Builtin) and one.name == "dict" for one in lineage(cls)):
        made.marks.contents = machine.heap.new({})
    return made


def instantiate(machine: Machine, cls: Class, args: Arguments) -> Value:
    """Make an instance and run its constructor."""
    if _MADE_OTHERWISE in cls.mro:
        return UNKNOWN
    key = key_of(machine, cls, args)
    copy = again(machine, key)
    if copy is not None:
        return copy
    with watching(machine, key, args) as found:
        value = _made(machine, cls, args)
        found += [value] if isinstance(value, Instance) else []
    return value


def _made(machine: Machine, cls: Class, args: Arguments) -> Value:
    maker, _ = find(cls, "__new__")
    if not isinstance(maker, Function):
        made = new_instance(machine, cls)
        construct(machine, made, args)
        return made
    value = machine.call(maker, args.after(cls))
    for one in options(value):
        if isinstance(one, Instance) and is_subclass(machine, one.cls, cls):
            construct(machine, one, args)
    return value


def construct(machine: Machine, made: Instance, args: Arguments, behind: Class | None = None) -> None:
    """Run ``__init__``, looked up behind ``behind``."""
    method, owner = find(made.cls, "__init__", behind)
    fields = _with_fields(made.cls, behind, owner)
    if fields is not None:
        _fill_fields(machine, made, fields, args)
    elif method is not ABSENT and isinstance(owner, Class):
        machine.call(method, args.after(made))
    elif isinstance(owner, External):
        machine.tables.outside.construct(machine, made, owner.name, args)
    elif owner is not None:
        made.open = True
    elif made.marks.contents is not None:
        machine.call(machine.read(made.marks.contents, "update"), args)


def _with_fields(cls: Value, behind: Class | None, owner: Value) -> Class | None:
    """Return the dataclass whose generated constructor comes before the one ``owner`` has."""
    order = lineage(cls)
    start = next((i for i, one in enumerate(order) if one is behind), -1) + 1
    for one in order[start:]:
        if one is owner:
            return one if isinstance(one, Class) and one.dataclass and "__init__" not in one.attrs else None
        if isinstance(one, Class) and one.dataclass:
            return one
    return None


def _fill_fields(machine: Machine, made: Instance, cls: Class, args: Arguments) -> None:
    machine.heap.touch(made.attrs)
    for index, name in enumerate(cls.fields):
        default, _ = find(cls, name)
        value = args.get(index, name, ABSENT)
        if value is ABSENT:
            value = _default(machine, default)
        if value is ABSENT:
            raise Raised("TypeError", f"{cls.name} needs {name}")
        made.attrs[name] = value
    unknown = set(args.keyword) - set(cls.fields)
    if unknown and cls.dataclass:
        raise Raised("TypeError", f"{cls.name} has no {', '.join(sorted(unknown))}")
    method, owner = find(cls, "__post_init__")
    if isinstance(owner, Class):
        machine.call(method, Arguments([made]))


def _default(machine: Machine, default: Value) -> Value:
    if isinstance(default, Instance) and default.cls == External("dataclasses.field"):
        if "default_factory" in default.args:
            return machine.call(default.args["default_factory"], Arguments())
        return default.args.get("default", ABSENT)
    return default


_PLAIN_DECORATORS = frozenset({"property", "staticmethod", "classmethod", "cached_property"})


def decorated(machine: Machine, decorators: list[ast.expr], made: Value, frame: Frame) -> Value:
    """Apply the decorators that change what a function or class is; others are taken to keep it."""
    for node in reversed(decorators):
        call = node.func if isinstance(node, ast.Call) else node
        name = call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "")
        if name in _PLAIN_DECORATORS:
            kind = "property" if name == "cached_property" else name
            made = Builtin(kind, _undecorated, made)
        elif name == "dataclass" and isinstance(made, Class):
            made.dataclass = True
        elif isinstance(call, ast.Attribute) and name in ("setter", "getter", "deleter"):
            return _with_accessor(frame.names.get(getattr(call.value, "id", ""), made), name, made)
        elif isinstance(made, Function | Class):
            made = _changed(machine, node, made, frame)
    return made


def _with_accessor(before: Value, word: str, made: Value) -> Value:
    """Return a property with what a decorator adds to it: ``@width.setter``."""
    if isinstance(before, Builtin) and word == "setter":
        return replace(before, setter=made)
    return replace(before, owner=made) if isinstance(before, Builtin) and word == "getter" else before


_CHANGING = frozenset({"wraps", "as_validated_field"})
"""Decorators of packages that are not read, and that change what a function takes."""

_A_LITTLE = 3000
"""Expressions and statements that reading a decorator may take; longer ones are about documentation."""


def _changed(machine: Machine, node: ast.expr, made: Function | Class, frame: Frame) -> Value:
    """Return what a decorator makes of a function or class: itself, where the decorator cannot be read."""
    try:
        with machine.at_most(_A_LITTLE):
            decorator = machine.evaluate(node, frame)
            changes = isinstance(decorator, Builtin) and decorator.name in _CHANGING
            if not (changes or isinstance(decorator, Function | Bound | Instance | Class | Partial)):
                return made
            result = machine.call(decorator, Arguments([made]))
    except (Raised, Budget):
        return made
    return result if _replaces(result, made) else made


def _replaces(result: Value, made: Function | Class) -> bool:
    """Tell whether a decorator's result is to be called in place of what was decorated."""
    if isinstance(result, Class):
        return made not in result.mro
    if isinstance(result, Builtin):
        return result.name == "field"
    if not isinstance(result, Function) or result is made:
        return False
    frame, names = result.frame, set()
    while frame is not None:
        names |= {name for name, value in frame.names.items() if value is made}
        frame = frame.outer
    if not names:
        return True
    result.attrs["__wrapped__"] = made
    return not hands_on(result, made, names)


def _undecorated(machine: Machine, args: Arguments) -> Value:
    return UNKNOWN
