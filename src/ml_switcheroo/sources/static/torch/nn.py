"""What ``torch.nn`` does, as far as a module's tree is concerned."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS, OWN, STATELESS, own_class
from ml_switcheroo.sources.static.python.classes import lineage
from ml_switcheroo.sources.static.python.containers import expand, store_item
from ml_switcheroo.sources.static.python.frames import Class
from ml_switcheroo.sources.static.python.heap import plain
from ml_switcheroo.sources.static.python.operators import LARGEST
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Builtin,
    External,
    Instance,
    Maybe,
    Raised,
    Repeat,
    Value,
    options,
)
from ml_switcheroo.sources.static.torch.composites import MADE_OF, compose, composite_parameters
from ml_switcheroo.sources.static.torch.nn_methods import METHODS, as_parameter
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["construct", "is_subclass", "member", "name_of", "operate", "reparametrized", "row_of", "slot"]

CONTAINERS = {
    "Sequential": "sequential",
    "ModuleList": "list",
    "ModuleDict": "dict",
    "ParameterList": "list",
    "ParameterDict": "dict",
}
"""How a container of torch.nn is named in ``Knowledge.containers``."""

_BASES = {
    "NonDynamicallyQuantizableLinear": ("Linear",),
    **{f"Conv{n}d": ("_ConvNd",) for n in "123"},
    **{f"ConvTranspose{n}d": ("_ConvTransposeNd", "_ConvNd") for n in "123"},
    **{f"BatchNorm{n}d": ("_BatchNorm", "_NormBase") for n in "123"},
    "SyncBatchNorm": ("_BatchNorm", "_NormBase"),
    **{f"InstanceNorm{n}d": ("_InstanceNorm", "_NormBase") for n in "123"},
    **dict.fromkeys(("RNN", "LSTM", "GRU"), ("RNNBase",)),
    **{f"{name}Cell": ("RNNCellBase",) for name in ("RNN", "LSTM", "GRU")},
    "ReLU6": ("Hardtanh",),
    "AdaptiveAvgPool1d": ("_AdaptiveAvgPoolNd",),
    "AdaptiveAvgPool2d": ("_AdaptiveAvgPoolNd",),
    "AdaptiveAvgPool3d": ("_AdaptiveAvgPoolNd",),
}
_DEFAULTS: dict[str, Any] = {
    "bias": True,
    "affine": True,
    "elementwise_affine": True,
    "track_running_stats": True,
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "groups": 1,
    "padding_mode": "zeros",
    "output_padding": 0,
    "eps": 1e-5,
    "momentum": 0.1,
    "inplace": False,
    "p": 0.5,
    "training": UNKNOWN,
    "in_channels": UNKNOWN,
}
_SPATIAL = frozenset({"kernel_size", "stride", "padding", "dilation", "output_padding"})
_WINDOW = ("kernel_size", "stride", "padding")


def name_of(external: str) -> str:
    """Return the class of torch.nn that a dotted name means: ``Conv2d``; empty for anything else."""
    head, _, last = external.rpartition(".")
    return last if head == "torch.nn" and last.lstrip("_")[:1].isupper() else ""


def is_subclass(name: str, base: str) -> bool | None:
    """Tell whether one class of a package that is not read derives from another; by dotted names."""
    if name == base or base == "builtins.object":
        return True
    mine, wanted = name_of(name), name_of(base)
    if mine and wanted:
        return wanted == "Module" or wanted in _BASES.get(mine, ())
    if mine or wanted or base.startswith("builtins.") or name.startswith("builtins."):
        return False
    return None


def parameters_of(name: str) -> tuple[str, ...]:
    """Return the names of a constructor's parameters, in order, as far as they are known."""
    kind = KIND_OF_CLASS.get(name)
    if kind is not None:
        return tuple(one for one, known in LAYERS[kind].of_class(name).items() if not known.keyword)
    if name in MADE_OF:
        return composite_parameters(name)
    if "Pool" in name and not name.startswith("Adaptive"):
        return _WINDOW
    single = {"Flatten": ("start_dim", "end_dim"), "Unflatten": ("dim", "unflattened_size")}
    if name.startswith("Adaptive"):
        return ("output_size",)
    if name.startswith(("Dropout", "AlphaDropout")):
        return ("p", "inplace")
    return single.get(name, ("inplace",) if name in STATELESS else ())


def construct(machine: Machine, made: Instance, external: str, args: Arguments) -> None:
    """Run the constructor of a class that is not read."""
    name, own = name_of(external), row_of(machine, made, external)
    if own:
        _construct_own(made, own, args)
    if not name:
        # What Python itself has for bases brings no children along.
        made.open = made.open or not external.startswith(
            ("builtins.", "abc.", "typing.", "enum.", "collections.")
        )
        return
    if name == "Module":
        return
    made.base = own or name
    machine.heap.touch(made.attrs)
    if name in ("Sequential", "ModuleList", "ParameterList"):
        _fill_list(machine, made, name, args)
    elif name in ("ModuleDict", "ParameterDict"):
        if args.positional and args.positional[0] is not None:
            METHODS["update"](machine, Arguments([made, args.positional[0]]))
        elif args.open_positional:
            made.open = True
    else:
        names = parameters_of(name)
        made.args = {
            n: v for n, v in zip(names, args.positional, strict=False) if not isinstance(v, Repeat | Maybe)
        }
        made.args.update(args.keyword)
        if args.open_keyword or args.open_positional:
            made.args_open = True
        if name in MADE_OF:
            compose(machine, made)


def _construct_own(made: Instance, own: str, args: Arguments) -> None:
    """Note what a class with a row of your own is, and its arguments, where only the row has them."""
    made.base, made.args_open = own, True
    if OWN[own].arguments and isinstance(made.cls, External):
        made.args_open = args.open_keyword or args.open_positional
        made.args = {**dict(zip(parameters_of(own), args.positional, strict=False)), **args.keyword}


def row_of(machine: Machine, made: Instance, external: str = "") -> str:
    """Return the class that a row of your own has been given for: its own, or one that it derives from.

    Args:
        machine: The machine that reads the class.
        made: The instance.
        external: The class of it that is not read, by its dotted name.
    """
    for one in lineage(made.cls) if OWN else ():
        if isinstance(one, Class) and one.source is not None:
            for known_as in machine.library.names(one.source):
                if own := own_class(known_as, one.name):
                    return own
    module, _, name = external.rpartition(".")
    return own_class(module, name) if module else ""


def _fill_list(machine: Machine, made: Instance, name: str, args: Arguments) -> None:
    made.items = machine.heap.new(list[Value]())
    single = args.positional[0] if len(args.positional) == 1 else None
    if name == "Sequential":
        if args.open_positional:
            made.open = True
        if isinstance(single, dict):
            for key, value in single.items():
                store_item(machine, made.attrs, key, value)
            return
        items: list[Value] | None = args.positional
    else:
        items = [] if not args.positional else expand(machine, args.positional[0])
    if items is None:
        made.open = True
        return
    held: list[Value] = [as_parameter(item) for item in items] if name == "ParameterList" else items
    made.items.extend(held)


def reparametrized(made: Instance) -> dict[str, str]:
    """Return the tensors of a layer that others make up, such as by weight_norm, and by what."""
    marks = options(made.marks.reparametrized)
    return {name: mark for one in marks if isinstance(one, tuple) for mark, name in one}


def slot(made: Instance, name: str) -> Value:
    """Return a tensor of a torch layer, the same one each time; ABSENT where it has none such."""
    if isinstance(own := made.attrs.get(name), Tensor):
        return own
    kind = KIND_OF_CLASS.get(made.base)
    found = LAYERS[kind].slot(name) if kind else None
    own = found is not None and found.whole
    if not own and not (kind is None and made.base and name in ("weight", "bias")):
        return ABSENT
    if name == "bias" and made.args.get("bias", True) in (False, None):
        return None
    if name not in made.slots:
        made.slots[name] = Tensor(None, "parameter", site=made.site, of=made)
    return made.slots[name]


def member(machine: Machine, owner: Instance, external: str, name: str) -> Value:
    """Return an attribute that an instance has from a class of torch (or of another unread package)."""
    if name in METHODS:
        return Builtin(name, METHODS[name], owner)
    cls = name_of(external)
    if not cls:
        return UNKNOWN
    if made := _own(machine, owner, name):
        return made[0]
    if name == "_modules":
        return owner.attrs if owner.items is None else UNKNOWN
    if name in ("training", "_parameters", "_buffers", "dump_patches", "call_super_init") or name.startswith(
        "__"
    ):
        return UNKNOWN
    if (cls == "Module" or cls in CONTAINERS) and not owner.open:
        if name in _EVERYTHING:
            return UNKNOWN
        raise Raised("AttributeError", name)
    return UNKNOWN


_EVERYTHING = frozenset(
    """state_dict register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_load_state_dict_post_hook register_state_dict_pre_hook register_backward_hook get_parameter
    get_buffer get_extra_state set_extra_state extra_repr named_buffers compile type xpu ipu mtia
    _version _apply _call_impl _get_name _named_members _load_state_dict_post_hooks _forward_hooks
    _forward_pre_hooks _backward_hooks _non_persistent_buffers_set _is_full_backward_hook
    _state_dict_hooks _load_state_dict_pre_hooks _save_to_state_dict _hf_hook""".split()
)
"""Attributes of every module that say nothing about its tree; ``_METHODS`` has those that do."""


def _own(machine: Machine, owner: Instance, name: str) -> tuple[Value] | None:
    """Return an argument or tensor of a torch layer, wrapped; None where it has no such."""
    if not owner.base or owner.base in CONTAINERS:
        return None
    tensor = slot(owner, name)
    if tensor is not ABSENT:
        return (tensor,)
    if name in owner.args or (name in parameters_of(owner.base) and name in _DEFAULTS):
        if name not in owner.args and owner.args_open:
            return (UNKNOWN,)
        usual = LAYERS[KIND_OF_CLASS[owner.base]].defaults if owner.base in KIND_OF_CLASS else {}
        value = owner.args.get(name, usual.get(name, _DEFAULTS.get(name, UNKNOWN)))
        if name in _SPATIAL and isinstance(value, int) and owner.base[-2:] in ("1d", "2d", "3d"):
            return ((value,) * int(owner.base[-2]),)
        return (value,)
    return None


def operate(machine: Machine, op: type, left: Value, right: Value) -> Value:
    """Return what ``+`` and ``*`` make of a Sequential; NotImplemented for anything else."""
    if isinstance(left, Instance) and _is_chain(left):
        if op is ast.Add and isinstance(right, Instance) and _is_chain(right):
            return _joined(machine, left, right)
        if op is ast.Mult and isinstance(right, int) and not isinstance(right, bool):
            return _joined(machine, left, right)
    return NotImplemented


def _is_chain(value: Instance) -> bool:
    """Tell whether a value is a plain Sequential, all of whose modules are known."""
    return isinstance(value.cls, External) and value.base == "Sequential"


def _joined(machine: Machine, left: Instance, right: Instance | int) -> Value:
    """Return what ``+`` and ``*`` make of a Sequential: a new one, whose modules are numbered anew."""
    items = expand(machine, left)
    more = expand(machine, right) if isinstance(right, Instance) else []
    if items is None or more is None or left.open or (isinstance(right, Instance) and right.open):
        return UNKNOWN
    if isinstance(right, int):
        if right <= 0 or not plain(items) or right * len(items) > LARGEST:
            return UNKNOWN
        items = [*items] * right
    return machine.call(External("torch.nn.Sequential"), Arguments([*items, *more]))
