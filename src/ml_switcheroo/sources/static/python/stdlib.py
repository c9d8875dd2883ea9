"""What is known of the standard library, whose source is not read."""

from __future__ import annotations

import ast
import functools
import itertools
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ml_switcheroo.sources.static.python.builtin import BUILTINS
from ml_switcheroo.sources.static.python.classes import new_instance
from ml_switcheroo.sources.static.python.containers import expand
from ml_switcheroo.sources.static.python.copies import COPIES
from ml_switcheroo.sources.static.python.frames import Class, Function
from ml_switcheroo.sources.static.python.heap import plain
from ml_switcheroo.sources.static.python.introspection import is_dataclass, signature
from ml_switcheroo.sources.static.python.lookups import LOOKUPS
from ml_switcheroo.sources.static.python.mappings import DefaultDict, OpenDict
from ml_switcheroo.sources.static.python.operators import binary
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    Bound,
    Builtin,
    External,
    Partial,
    Raised,
    Repeat,
    Value,
    join,
    known,
    options,
)

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["STDLIB", "as_it_is", "builtins_of", "first", "product", "pure"]

_LONGEST = 500  # characters of a pattern or text that a regular expression is tried on


def _partial(machine: Machine, args: Arguments) -> Value:
    inner = Arguments(args.positional[1:], dict(args.keyword), args.open_positional, args.open_keyword)
    return join(Partial(one, inner) for one in options(args.positional[0]))


def first(machine: Machine, args: Arguments) -> Value:
    """Return the first argument: of what changes nothing that the reader looks at."""
    return args.positional[0] if args.positional else UNKNOWN


def as_it_is(machine: Machine, args: Arguments) -> Value:
    """Return what is decorated, or a decorator that does."""
    if args.positional and isinstance(args.positional[0], Function | Class | Bound):
        return args.positional[0]
    return Builtin("decorator", first)


def _wraps(machine: Machine, args: Arguments) -> Value:
    def run(machine: Machine, given: Arguments) -> Value:
        wrapper = first(machine, given)
        if isinstance(wrapper, Function) and args.positional:
            wrapper.attrs["__wrapped__"] = args.positional[0]
        return wrapper

    return Builtin("wraps", run)


def _reduce(machine: Machine, args: Arguments) -> Value:
    items = expand(machine, args.positional[1])
    if items is None or not plain(items):
        return UNKNOWN
    items = [*args.positional[2:3], *items]
    if not items:
        raise Raised("TypeError", "reduce() of an empty iterable")
    return functools.reduce(lambda a, b: machine.call(args.positional[0], Arguments([a, b])), items)


def _chain(machine: Machine, args: Arguments) -> Value:
    found: list[Value] = []
    for value in args.positional:
        items = expand(machine, value)
        found.extend([Repeat(UNKNOWN)] if items is None else items)
    return machine.heap.new(found)


def _chain_from(machine: Machine, args: Arguments) -> Value:
    items = expand(machine, args.positional[0])
    return _chain(machine, Arguments(list(items))) if items is not None and plain(items) else UNKNOWN


def _product(machine: Machine, args: Arguments) -> Value:
    columns = [expand(machine, value) for value in args.positional]
    if any(column is None or not plain(column) for column in columns) or args.keyword:
        return UNKNOWN
    return machine.heap.new(list(itertools.islice(itertools.product(*(c or () for c in columns)), 10_000)))


def _repeat(machine: Machine, args: Arguments) -> Value:
    times = args.get(1, "times")
    value = args.positional[0]
    return machine.heap.new([value] * times) if isinstance(times, int) and 0 <= times < 10_000 else UNKNOWN


def _accumulate(machine: Machine, args: Arguments) -> Value:
    items = expand(machine, args.positional[0])
    if items is None or not known(items) or len(args.positional) > 1:
        return UNKNOWN
    numbers = [item for item in items if isinstance(item, int | float)]
    if len(numbers) < len(items):
        return UNKNOWN
    return machine.heap.new(list(itertools.accumulate(numbers)))


def _defaultdict(machine: Machine, args: Arguments) -> Value:
    if args.open_positional or args.open_keyword:
        return machine.heap.new(OpenDict())
    made = machine.heap.new(DefaultDict())
    made.factory = args.positional[0] if args.positional else None
    machine.call(machine.read(made, "update"), Arguments(args.positional[1:], args.keyword))
    return made


def _deque(machine: Machine, args: Arguments) -> Value:
    if args.get(1, "maxlen") is not None or args.open_positional or args.open_keyword:
        return UNKNOWN
    items = expand(machine, args.positional[0]) if args.positional else []
    return machine.heap.new([Repeat(UNKNOWN)] if items is None else list(items))


def _namespace(name: str) -> Callable[[Machine, Arguments], Value]:
    def run(machine: Machine, args: Arguments) -> Value:
        made = new_instance(machine, External(name))
        made.attrs.update(args.keyword)
        return UNKNOWN if args.open_keyword or args.positional else made

    return run


def pure(function: Callable[..., Any]) -> Callable[[Machine, Arguments], Value]:
    """Return what runs a function without effects, where its arguments are known."""

    def run(machine: Machine, args: Arguments) -> Value:
        def inner(*values: Value) -> Value:
            if args.open_positional or args.open_keyword or not known(values) or not known(args.keyword):
                return UNKNOWN
            try:
                return function(*values, **args.keyword)
            except (TypeError, ValueError, ArithmeticError) as error:
                raise Raised(type(error).__name__, str(error)) from error

        return machine.spread(inner, *args.positional)

    return run


def _regular(function: Callable[..., Any]) -> Callable[[Machine, Arguments], Value]:
    """Run a regular expression over short, known text; a match counts as its groups."""

    def run(machine: Machine, args: Arguments) -> Value:
        values = args.positional
        if not known(values) or args.keyword or any(isinstance(v, str) and len(v) > _LONGEST for v in values):
            return UNKNOWN
        try:
            found = function(*values)
        except (TypeError, re.error) as error:
            raise Raised("error", str(error)) from error
        if isinstance(found, re.Match):
            return _match(machine, found)
        return machine.heap.new(found) if isinstance(found, list) else found

    return run


def _match(machine: Machine, found: re.Match[str]) -> Value:
    def group(machine: Machine, args: Arguments) -> Value:
        names = [one for one in args.positional if isinstance(one, int | str)]
        return found.group(*names) if len(names) == len(args.positional) else UNKNOWN

    made = new_instance(machine, External("re.Match"))
    made.attrs.update(
        {"group": Builtin("group", group), "groups": Builtin("groups", lambda m, a: found.groups())}
    )
    return made


def _operator(op: str) -> Callable[[Machine, Arguments], Value]:
    return lambda machine, args: binary(machine, getattr(ast, op), args.positional[0], args.positional[1])


def product(machine: Machine, args: Arguments) -> Value:
    """Return the product of known numbers."""
    items = expand(machine, args.positional[0])
    numbers = [item for item in items or () if isinstance(item, int | float)]
    sure = items is not None and len(numbers) == len(items) and not args.keyword
    return math.prod(numbers) if sure else UNKNOWN


_FUNCTIONS: dict[str, Callable[[Machine, Arguments], Value]] = {
    "functools.partial": _partial,
    "functools.reduce": _reduce,
    "functools.wraps": _wraps,
    "functools.lru_cache": as_it_is,
    "functools.cache": as_it_is,
    **COPIES,
    "collections.defaultdict": _defaultdict,
    "collections.deque": _deque,
    "dataclasses.is_dataclass": is_dataclass,
    **LOOKUPS,
    "inspect.signature": signature,
    "itertools.chain": _chain,
    "itertools.chain.from_iterable": _chain_from,
    "itertools.product": _product,
    "itertools.repeat": _repeat,
    "itertools.accumulate": _accumulate,
    **{name: _namespace(name) for name in ("argparse.Namespace", "types.SimpleNamespace")},
    "math.prod": product,
    "typing.cast": lambda machine, args: args.positional[1],
    **{
        f"math.{name}": pure(getattr(math, name))
        for name in "ceil floor sqrt log log2 log10 exp pow gcd isqrt cos sin tan fabs isclose trunc".split()
    },
    **{
        f"re.{name}": _regular(getattr(re, name))
        for name in ("match", "search", "findall", "split", "sub", "fullmatch")
    },
    **{
        f"operator.{name}": _operator(op)
        for name, op in {"mul": "Mult", "add": "Add", "sub": "Sub", "floordiv": "FloorDiv"}.items()
    },
}


def builtins_of(functions: dict[str, Callable[[Machine, Arguments], Value]]) -> dict[str, Value]:
    """Return functions as values of the program, by dotted name."""
    return {name: Builtin(name.rpartition(".")[2], run) for name, run in functions.items()}


STDLIB: dict[str, Value] = {
    "typing.TYPE_CHECKING": False,
    "sys.version_info": (3, 11, 0, "final", 0),
    "sys.platform": "linux",
    "math.pi": math.pi,
    "math.inf": math.inf,
    "math.e": math.e,
    "collections.OrderedDict": BUILTINS["dict"],
    **builtins_of(_FUNCTIONS),
}
"""By dotted name."""
