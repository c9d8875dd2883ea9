"""What is known of packages that are not read: the standard library, torch, NumPy."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ml_switcheroo.sources.static.python.builtin import BUILTINS
from ml_switcheroo.sources.static.python.classes import new_instance
from ml_switcheroo.sources.static.python.containers import expand
from ml_switcheroo.sources.static.python.copies import COPIES
from ml_switcheroo.sources.static.python.heap import plain
from ml_switcheroo.sources.static.python.introspection import is_dataclass, signature
from ml_switcheroo.sources.static.python.lookups import LOOKUPS
from ml_switcheroo.sources.static.python.operators import binary
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    Bound,
    Builtin,
    Class,
    DefaultDict,
    External,
    Function,
    Instance,
    OpenDict,
    Partial,
    Raised,
    Repeat,
    Tensor,
    Value,
    join,
    known,
    options,
)
from ml_switcheroo.sources.static.torch import flow, nn, passing
from ml_switcheroo.sources.static.torch.shaping import rearranged

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["EXTERNALS"]

_LONGEST = 500  # characters of a pattern or text that a regular expression is tried on


class Externals(dict[str, Any]):
    """The table, with the private homes of torch's classes folded into their public ones."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return what is known under a dotted name, whatever alias it is reached by."""
        public = canonical(name)
        if public in self:
            return self[public]
        return External(public) if public != name else default


def canonical(name: str) -> str:
    """Return the public name of something in torch.

    >>> canonical("torch.nn.modules.conv.Conv2d")
    'torch.nn.Conv2d'
    """
    head, _, last = name.rpartition(".")
    if head.startswith(("torch.nn.modules", "torch.nn.parameter")) and last.lstrip("_")[:1].isupper():
        return f"torch.nn.{last}"
    if name.startswith("typing_extensions."):
        return f"typing.{last}"
    return name


def _partial(machine: Machine, args: Arguments) -> Value:
    inner = Arguments(args.positional[1:], dict(args.keyword), args.open_positional, args.open_keyword)
    return join(Partial(one, inner) for one in options(args.positional[0]))


def _first(machine: Machine, args: Arguments) -> Value:
    return args.positional[0] if args.positional else UNKNOWN


def _identity_decorator(machine: Machine, args: Arguments) -> Value:
    if args.positional and isinstance(args.positional[0], Function | Class | Bound):
        return args.positional[0]
    return Builtin("decorator", _first)


def _wraps(machine: Machine, args: Arguments) -> Value:
    def run(machine: Machine, given: Arguments) -> Value:
        wrapper = _first(machine, given)
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
    import itertools

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
    totals, total = [], 0
    for item in items:
        total = total + item
        totals.append(total)
    return machine.heap.new(totals)


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


def _pure(function: Callable[..., Any]) -> Callable[[Machine, Arguments], Value]:
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
        return found.group(*args.positional) if known(args.positional) else UNKNOWN

    made = new_instance(machine, External("re.Match"))
    made.attrs.update(
        {"group": Builtin("group", group), "groups": Builtin("groups", lambda m, a: found.groups())}
    )
    return made


def _operator(op: str) -> Callable[[Machine, Arguments], Value]:
    import ast

    return lambda machine, args: binary(machine, getattr(ast, op), args.positional[0], args.positional[1])


def _prod(machine: Machine, args: Arguments) -> Value:
    items = expand(machine, args.positional[0])
    return math.prod(items) if items is not None and known(items) and not args.keyword else UNKNOWN


def _constant(value: Value) -> Callable[[Machine, Arguments], Value]:
    return lambda machine, args: value


def _parameter(machine: Machine, args: Arguments) -> Value:
    value = args.get(0, "data")
    shape = value.shape if isinstance(value, Tensor) else None
    return Tensor(shape, "parameter", site=machine.sites[-1] if machine.sites else None)


def _nn_buffer(machine: Machine, args: Arguments) -> Value:
    value = args.get(0, "data")
    shape = value.shape if isinstance(value, Tensor) else None
    persistent = machine.truth(args.get(1, "persistent", True))
    return Tensor(shape, "buffer", persistent is not False)


def _weight_norm(mark: str) -> Callable[[Machine, Arguments], Value]:
    def run(machine: Machine, args: Arguments) -> Value:
        return _made_by(machine, args.get(0, "module"), args.get(1, "name", "weight"), mark)

    return run


def _parametrized(machine: Machine, args: Arguments) -> Value:
    """Put what makes a tensor behind what has made it before."""
    maker = args.get(2, "parametrization")
    cls = maker.cls if isinstance(maker, Instance) else None
    mark = getattr(cls, "name", "").rpartition(".")[2] or "a parametrization"
    return _made_by(machine, args.get(0, "module"), args.get(1, "tensor_name", "weight"), mark)


def _made_by(machine: Machine, layer: Value, name: Value, mark: str) -> Value:
    for one in options(layer):
        if isinstance(one, Instance):
            machine.heap.touch(one.marks)
            slot = name if isinstance(name, str) else "weight"
            before = nn.reparametrized(one)
            made = {**before, slot: f"{before[slot]}, {mark}" if slot in before else mark}
            one.marks["reparametrized"] = tuple((made_by, kept) for kept, made_by in made.items())
    return layer


def _einstein(name: str, args: Arguments, *, drops: bool) -> Value:
    """Make a layer of einops: it keeps no tensors."""
    pattern = args.get(0, "pattern")

    def run(machine: Machine, given: Arguments) -> Value:
        value = given.get(0, "input")
        if machine.follower is None:
            return rearranged(machine, value, pattern, args.keyword, drops=drops)
        arguments = Arguments([value, pattern], args.keyword)
        return UNKNOWN if drops else machine.follower.function(machine, "rearrange", arguments)

    return Builtin(name, run)


def _pair(machine: Machine, args: Arguments) -> Value:
    items = expand(machine, args.positional[0])
    return tuple(items) if items is not None else (args.positional[0], args.positional[0])


# What the machine itself asks for ---------------------------------------------------------


def _call(machine: Machine, name: str, args: Arguments) -> Value:
    owner, _, last = name.rpartition(".")
    if last == "__init__" and nn.name_of(owner):
        return _constructed(machine, owner, args)
    if name == "builtins.object":
        return new_instance(machine, External(name))
    if nn.name_of(name):
        made = new_instance(machine, External(name))
        nn.construct(machine, made, name, args)
        return made
    if name.startswith(("torch.", "einops.", "numpy.")):
        return flow.function(machine, name, args)
    return machine.follower.foreign(machine, name, args) if machine.follower else flow.unfollowed(args)


def _constructed(machine: Machine, name: str, args: Arguments) -> Value:
    """Run ``nn.Module.__init__(self, ...)``."""
    if args.positional and isinstance(args.positional[0], Instance):
        inner = Arguments(args.positional[1:], args.keyword, args.open_positional, args.open_keyword)
        nn.construct(machine, args.positional[0], name, inner)
    return None


def _is_subclass(name: str, base: str) -> bool | None:
    return nn.is_subclass(name, base)


EXTERNALS: dict[str, Any] = Externals()
EXTERNALS.update(
    {
        "call": Builtin("call", _call),
        "construct": Builtin("construct", nn.construct),
        "forward": Builtin("forward", passing.forward),
        "is_subclass": Builtin("is_subclass", _is_subclass),
        "member": Builtin("member", nn.member),
        "tensor": Builtin("tensor", flow.attribute),
        "typing.TYPE_CHECKING": False,
        "sys.version_info": (3, 11, 0, "final", 0),
        "sys.platform": "linux",
        "math.pi": math.pi,
        "math.inf": math.inf,
        "math.e": math.e,
        "torch.nn.Parameter": Builtin("Parameter", _parameter),
        "torch.nn.UninitializedParameter": Builtin("Parameter", _parameter),
        "torch.nn.Buffer": Builtin("Buffer", _nn_buffer),
        "collections.OrderedDict": BUILTINS["dict"],
        "torch.nn.modules.utils._pair": Builtin("_pair", _pair),
        "torch.nn.init._no_grad_": UNKNOWN,
    }
)
_FUNCTIONS: dict[str, Callable[[Machine, Arguments], Value]] = {
    "einops.layers.torch.Rearrange": lambda machine, args: _einstein("Rearrange", args, drops=False),
    "einops.layers.torch.Reduce": lambda machine, args: _einstein("Reduce", args, drops=True),
    "functools.partial": _partial,
    "functools.reduce": _reduce,
    "functools.wraps": _wraps,
    "functools.lru_cache": _identity_decorator,
    "functools.cache": _identity_decorator,
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
    "math.prod": _prod,
    "numpy.prod": _prod,
    "numpy.sqrt": _pure(math.sqrt),
    "typing.cast": lambda machine, args: args.positional[1],
    "torch.jit.annotate": lambda machine, args: args.get(1, "the_value", UNKNOWN),
    "torch.jit.script": _first,
    "torch.jit.ignore": _identity_decorator,
    "torch.jit.is_scripting": _constant(False),
    "torch.jit.is_tracing": _constant(False),
    "torch.compile": _first,
    "torch.nn.utils.weight_norm": _weight_norm("weight_norm"),
    "torch.nn.utils.spectral_norm": _weight_norm("spectral_norm"),
    "torch.nn.utils.parametrizations.weight_norm": _weight_norm("_WeightNorm"),
    "torch.nn.utils.parametrizations.spectral_norm": _weight_norm("_SpectralNorm"),
    "torch.nn.utils.parametrizations.orthogonal": _weight_norm("_Orthogonal"),
    "torch.nn.utils.parametrize.register_parametrization": _parametrized,
    "torch.nn.utils.remove_weight_norm": _first,
    # A SyncBatchNorm computes and keeps what the BatchNorm does.
    "torch.nn.SyncBatchNorm.convert_sync_batchnorm": _first,
    **{
        f"math.{name}": _pure(getattr(math, name))
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
EXTERNALS.update({name: Builtin(name.rpartition(".")[2], run) for name, run in _FUNCTIONS.items()})
