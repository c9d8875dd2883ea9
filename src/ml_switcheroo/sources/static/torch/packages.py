"""What is known of torch, einops and NumPy by name, and what the machine asks about unread packages."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_switcheroo.layers import ELSEWHERE, KIND_OF_CLASS, STATELESS, own_class
from ml_switcheroo.sources.static.python.classes import OF_PACKAGES, new_instance
from ml_switcheroo.sources.static.python.containers import expand
from ml_switcheroo.sources.static.python.introspection import SMALL_CLASSES
from ml_switcheroo.sources.static.python.stdlib import STDLIB, as_it_is, builtins_of, first, product, pure
from ml_switcheroo.sources.static.python.tables import Outside
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    Builtin,
    External,
    Instance,
    Value,
    options,
)
from ml_switcheroo.sources.static.torch import flow, nn, passing
from ml_switcheroo.sources.static.torch.shaping import rearranged
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["EXTERNALS", "OUTSIDE", "Externals"]


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


def _constant(value: Value) -> Callable[[Machine, Arguments], Value]:
    return lambda machine, args: value


def _parameter(machine: Machine, args: Arguments) -> Value:
    value = args.get(0, "data")
    shape = value.shape if isinstance(value, Tensor) else None
    return Tensor(shape, "parameter", site=machine.site)


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
            slot = name if isinstance(name, str) else "weight"
            before = nn.reparametrized(one)
            made = {**before, slot: f"{before[slot]}, {mark}" if slot in before else mark}
            marks = machine.heap.touch(one.marks)
            marks.reparametrized = tuple((made_by, kept) for kept, made_by in made.items())
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
    if nn.name_of(name) or own_class(owner, last):
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


_TORCH_NAMES = frozenset(
    {"Module", "Sequential", "ModuleList", "ModuleDict", "Parameter", "functional", "init"}
)


def _exports(module: str, name: str) -> bool:
    return module == "torch.nn" and (name in KIND_OF_CLASS or name in STATELESS or name in _TORCH_NAMES)


def _stands_for(path: Path, name: str) -> str:
    """Return the row that a class outside of torch has in the table of layers."""
    return f"torch.nn.{name}" if ".".join((*path.with_suffix("").parts[-2:], name)) in ELSEWHERE else ""


OUTSIDE = Outside(
    call=_call,
    construct=nn.construct,
    call_instance=passing.forward,
    member=nn.member,
    is_subclass=nn.is_subclass,
    is_layer=lambda name: bool(nn.name_of(name)),
    exports=_exports,
    stands_for=_stands_for,
    root="torch.nn.Module",
    called=("__call__", "forward"),
    keyed=frozenset(("ModuleDict", "ParameterDict")),
    sliced_with_names=frozenset(("Sequential",)),
    apart=("torch.", "numpy."),
)
EXTERNALS: dict[str, Any] = Externals(STDLIB)
EXTERNALS.update(
    {
        "torch.nn.Parameter": Builtin("Parameter", _parameter),
        "torch.nn.UninitializedParameter": Builtin("Parameter", _parameter),
        "torch.nn.Buffer": Builtin("Buffer", _nn_buffer),
        "torch.nn.modules.utils._pair": Builtin("_pair", _pair),
        "torch.nn.init._no_grad_": UNKNOWN,
    }
)
_FUNCTIONS: dict[str, Callable[[Machine, Arguments], Value]] = {
    "einops.layers.torch.Rearrange": lambda machine, args: _einstein("Rearrange", args, drops=False),
    "einops.layers.torch.Reduce": lambda machine, args: _einstein("Reduce", args, drops=True),
    "numpy.prod": product,
    "numpy.sqrt": pure(math.sqrt),
    "torch.jit.annotate": lambda machine, args: args.get(1, "the_value", UNKNOWN),
    "torch.jit.script": first,
    "torch.jit.ignore": as_it_is,
    "torch.jit.is_scripting": _constant(False),
    "torch.jit.is_tracing": _constant(False),
    "torch.compile": first,
    "torch.nn.utils.weight_norm": _weight_norm("weight_norm"),
    "torch.nn.utils.spectral_norm": _weight_norm("spectral_norm"),
    "torch.nn.utils.parametrizations.weight_norm": _weight_norm("_WeightNorm"),
    "torch.nn.utils.parametrizations.spectral_norm": _weight_norm("_SpectralNorm"),
    "torch.nn.utils.parametrizations.orthogonal": _weight_norm("_Orthogonal"),
    "torch.nn.utils.parametrize.register_parametrization": _parametrized,
    "torch.nn.utils.remove_weight_norm": first,
    # A SyncBatchNorm computes and keeps what the BatchNorm does.
    "torch.nn.SyncBatchNorm.convert_sync_batchnorm": first,
}
EXTERNALS.update(builtins_of(_FUNCTIONS))
OF_PACKAGES.update(
    """__init__ __call__ __getattr__ __setattr__ __getitem__ __setitem__ __len__ __iter__ forward training
    add_module register_module register_buffer register_parameter named_children children modules
    named_modules parameters buffers named_parameters named_buffers get_submodule get_parameter get_buffer
    load_state_dict state_dict zero_grad apply to to_empty cuda cpu half float double bfloat16 eval train
    requires_grad_ share_memory append extend insert pop update keys values items register_forward_hook
    register_forward_pre_hook""".split()
)
# What torch.nn.Module and its containers define.
SMALL_CLASSES.update("device dtype layout memory_format finfo iinfo".split())
