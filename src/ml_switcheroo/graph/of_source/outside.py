"""Functions of packages that are not read: those of torch that draw, and those that only ask something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_switcheroo.graph.of_source.calling import drawn_in, lower, undrawn
from ml_switcheroo.graph.of_source.drawn import Device, Drawn, Lost, Unlowered, inside
from ml_switcheroo.graph.of_source.dtypes import FLOAT, by_name, limits, promoted, torch_name
from ml_switcheroo.graph.of_source.layers.transformers import square_mask
from ml_switcheroo.graph.of_source.making import construct
from ml_switcheroo.graph.of_source.operations.table import FUNCTIONS, METHODS
from ml_switcheroo.sources.static.python.classes import new_instance
from ml_switcheroo.sources.static.python.frames import Function
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    Bound,
    Builtin,
    External,
    Instance,
    Value,
    known,
)
from ml_switcheroo.sources.static.torch.nn import name_of
from ml_switcheroo.sources.static.torch.packages import EXTERNALS, OUTSIDE, Externals
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.graph.of_source.machine import Drawer

__all__ = ["PYTHON", "called", "externals"]


def called(machine: Any, name: str, args: Arguments) -> Value:
    """Return what a function gives whose code is not read."""
    owner, _, last = name.rpartition(".")
    if name == "builtins.object":
        return OUTSIDE.call(machine, name, args)
    if name_of(name):
        made = new_instance(machine, External(name))
        construct(machine, made, name, args)
        return made
    if last == "__init__" and name_of(owner):
        if args.positional and isinstance(args.positional[0], Instance):
            construct(machine, args.positional[0], owner, Arguments(args.positional[1:], args.keyword))
        return None
    if name in _TOLD:
        return _TOLD[name](machine, *args.positional, **args.keyword)
    if owner == "torch.nn.init":
        return args.positional[0] if args.positional else UNKNOWN
    if name.startswith("numpy."):
        return _of_numpy(machine, name, args)
    return _operation(machine, name, args)


def _operation(machine: Drawer, name: str, args: Arguments) -> Value:
    """Return what an operation gives; while a model is made, of parameters what the reader says."""
    owner, _, last = name.rpartition(".")
    row = FUNCTIONS.get(name) or _in_place(name) or _of_tensor(owner, last)
    if row is not None and (machine.strict or not undrawn(args)):
        found = lower(machine, row, args, last)
        if not isinstance(found, Lost) or machine.strict:
            return found
    if not machine.strict:
        return OUTSIDE.call(machine, name, args)
    if owner.startswith("torch.") and last.startswith(_HARMLESS):
        return UNKNOWN
    given = list(drawn_in(args))
    lost = next((one for one in given if isinstance(one, Lost)), None)
    if given or owner.startswith(("torch", "einops")):
        return lost or machine.lost(f"{name} is not known", *(one.node for one in given))
    return UNKNOWN


_HARMLESS = ("is_", "set_", "get_", "_assert", "no_grad", "record_function")


def _in_place(name: str) -> Any:
    return FUNCTIONS.get(name.removesuffix("_")) if name.endswith("_") and not name.endswith("__") else None


def _of_tensor(owner: str, last: str) -> Any:
    """Return the row of ``torch.Tensor.add``: a method that is called as a function."""
    return METHODS.get(last) or METHODS.get(last.removesuffix("_")) if owner == "torch.Tensor" else None


def _of_numpy(machine: Drawer, name: str, args: Arguments) -> Value:
    """Return what NumPy itself gives, of numbers that are known."""
    last = name.rpartition(".")[2]
    given = list(inside([args.positional, args.keyword]))
    arrays = [machine.pen.value(one) if isinstance(one, Drawn) else one for one in given]
    plain = not any(
        (isinstance(one, Drawn) and array is None)
        or not (isinstance(one, Drawn) or known(one) or by_name(one) or isinstance(one, list | tuple | dict))
        for one, array in zip(given, arrays, strict=True)
    )
    if last not in _NUMPY or not plain or args.open_positional or args.open_keyword:
        return (
            OUTSIDE.call(machine, name, args) if not machine.strict else machine.lost(f"{name} is not known")
        )

    def real(value: Any) -> Any:
        if isinstance(value, Drawn):
            return machine.pen.value(value)
        if isinstance(value, list | tuple):
            return type(value)(map(real, value))
        return np.dtype(by_name(value)) if isinstance(value, External | Builtin) else value

    try:
        found = getattr(np, last)(
            *map(real, args.positional), **{k: real(v) for k, v in args.keyword.items()}
        )
    except (TypeError, ValueError, AttributeError) as error:
        return machine.lost(f"{name}: {error}")
    if isinstance(found, list | tuple):
        return tuple(map(machine.pen.constant, found))
    if isinstance(found, np.ndarray):
        return machine.pen.constant(found)
    return found.item() if isinstance(found, np.generic) else found


_NUMPY = frozenset(
    """arange linspace sqrt log log2 log10 exp sin cos tan power outer concatenate stack zeros ones eye
    array asarray meshgrid ceil floor round abs minimum maximum prod sum cumsum mean float32 float64 int64
    int32 tril triu full zeros_like ones_like expand_dims arctan2 einsum transpose reshape where repeat
    tile clip""".split()
)


# ---- what is told of torch and its values


def _finfo(machine: Drawer, type: Any = None) -> Value:
    name = by_name(type) if type is not None else FLOAT
    try:
        return limits(name) if name else UNKNOWN
    except Unlowered:
        return UNKNOWN


def _tensor_class(dtype: str) -> Callable[..., Value]:
    def run(machine: Drawer, *given: Any, **_: Any) -> Value:
        row = FUNCTIONS["torch.tensor" if given and not isinstance(given[0], int) else "torch.empty"]
        return lower(machine, row, Arguments(list(given), {"dtype": torch_name(dtype)}), "Tensor")

    return run


def _result_type(machine: Drawer, *given: Any) -> Value:
    pairs = [(one.dtype, bool(one.shape)) for one in given if isinstance(one, Drawn)]
    return torch_name(
        promoted(
            pairs,
            [
                by_name(External(f"torch.{type(one).__name__}")) or FLOAT
                for one in given
                if not isinstance(one, Drawn)
            ],
        )
    )


def _broadcast_shapes(machine: Drawer, *shapes: Any) -> Value:
    return tuple(int(size) for size in np.broadcast_shapes(*shapes))


def _checkpoint(machine: Drawer, function: Any, *args: Any, **words: Any) -> Value:
    kept = {
        k: v
        for k, v in words.items()
        if k not in ("use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug")
    }
    return machine.call(function, Arguments(list(args), kept))


def _checkpoint_sequential(machine: Drawer, functions: Any, segments: Any, input: Any, **_: Any) -> Value:
    from ml_switcheroo.sources.static.python.containers import expand

    for one in expand(machine, functions) or ():
        input = machine.call(one, Arguments([input]))
    return input


def _constant(value: Value) -> Callable[..., Value]:
    return lambda machine, *args, **words: value


def _asked(name: str) -> Callable[..., Value]:
    def run(machine: Drawer, x: Any, *rest: Any) -> Value:
        if isinstance(x, Lost):
            return x
        return machine.call(machine.read(x, name), Arguments(list(rest)))

    return run


_TOLD: Mapping[str, Callable[..., Value]] = {
    **dict.fromkeys(("os.environ.get", "os.getenv"), lambda machine, name, default=None: default),
    "torch.utils._pytree.register_pytree_node": lambda machine, *args, **words: None,
    "torch.nn.Transformer.generate_square_subsequent_mask": square_mask,
    **dict.fromkeys(("torch.finfo", "torch.iinfo"), _finfo),
    "torch.Tensor": _tensor_class(FLOAT),
    "torch.FloatTensor": _tensor_class(FLOAT),
    "torch.LongTensor": _tensor_class("int64"),
    "torch.BoolTensor": _tensor_class("bool"),
    "torch.Size": lambda machine, given=(): tuple(given) if isinstance(given, list | tuple) else given,
    "torch.device": _constant(Device()),
    "torch.is_tensor": lambda machine, x: isinstance(x, Drawn | Tensor),
    "torch.is_floating_point": _asked("is_floating_point"),
    "torch.is_complex": _asked("is_complex"),
    "torch.numel": _asked("numel"),
    "torch.get_default_dtype": _constant(torch_name(FLOAT)),
    "torch.result_type": _result_type,
    "torch.promote_types": lambda machine, one, other: torch_name(
        promoted([(by_name(one) or FLOAT, True), (by_name(other) or FLOAT, True)])
    ),
    "torch.broadcast_shapes": _broadcast_shapes,
    "torch.utils.checkpoint.checkpoint": _checkpoint,
    "torch.utils.checkpoint.checkpoint_sequential": _checkpoint_sequential,
    **dict.fromkeys(
        """torch.is_grad_enabled torch.is_inference_mode_enabled torch.jit.is_scripting torch.jit.is_tracing
        torch._C._get_tracing_state torch.compiler.is_compiling torch.compiler.is_dynamo_compiling
        torch._dynamo.is_compiling torch.compiler.is_exporting torch.onnx.is_in_onnx_export
        torch.cuda.is_available torch.backends.mps.is_available torch.xpu.is_available
        torch.is_autocast_enabled         torch.is_autocast_cpu_enabled torch.overrides.has_torch_function
        torch.overrides.has_torch_function_unary torch.overrides.has_torch_function_variadic
        torch.distributed.is_available torch.distributed.is_initialized torch.is_anomaly_enabled
        torch.is_autocast_cache_enabled torch.is_inference torch.backends.cuda.flash_sdp_enabled
        torch.mps.is_available torch.npu.is_available""".split(),
        _constant(False),
    ),
    **dict.fromkeys(
        """torch.no_grad torch.enable_grad torch.inference_mode torch.set_grad_enabled torch.autocast
        torch.cuda.amp.autocast torch.amp.autocast torch.autograd.profiler.record_function torch._assert
        torch.profiler.record_function torch.manual_seed torch._check torch.set_printoptions
        torch.cuda.synchronize torch.nn.attention.sdpa_kernel torch.autograd.set_grad_enabled
        torch.compiler.cudagraph_mark_step_begin torch._C._log_api_usage_once
        torch._dynamo.mark_static_address         torch.compiler.disable torch._dynamo.graph_break""".split(),
        _constant(UNKNOWN),
    ),
}


def _signature(machine: Any, args: Arguments) -> Value:
    """Return a signature: the names of what a function takes."""
    given = args.positional[0] if args.positional else None
    function = given.function if isinstance(given, Bound) else given
    if not isinstance(function, Function):
        return EXTERNALS["inspect.signature"].run(machine, args)
    spec = function.node.args
    names = [one.arg for one in (*spec.posonlyargs, *spec.args)][isinstance(given, Bound) :]
    rest = [one.arg for one in (spec.vararg, *spec.kwonlyargs, spec.kwarg) if one is not None]
    made = new_instance(machine, External("builtins.object"))
    made.attrs["parameters"] = machine.heap.new(dict.fromkeys([*names, *rest], UNKNOWN))
    return made


def _parameter(machine: Any, args: Arguments) -> Value:
    value = args.get(0, "data")
    if not isinstance(value, Drawn):
        return EXTERNALS["torch.nn.Parameter"].run(machine, args)
    return Tensor(value.shape, "parameter", site=machine.site)


def _buffer(machine: Any, args: Arguments) -> Value:
    value, persistent = args.get(0, "data"), args.get(1, "persistent", True)
    if not isinstance(value, Drawn):
        return EXTERNALS["torch.nn.Buffer"].run(machine, args)
    return Tensor(value.shape, "buffer", persistent is not False, holds=value)


def _pattern(name: str) -> Builtin:
    """Return a layer of einops."""

    def make(machine: Any, args: Arguments) -> Value:
        def run(machine: Any, given: Arguments) -> Value:
            inner = Arguments([*given.positional, *args.positional], args.keyword)
            return lower(machine, FUNCTIONS[f"einops.{name.lower()}"], inner, name.lower())

        return Builtin(name, run)

    return Builtin(name, make)


def _python(name: str) -> Callable[[Any, Arguments], Value]:
    """Return a function of Python that also takes tensors whose values are known."""
    from ml_switcheroo.sources.static.python.builtin import BUILTINS

    usual = BUILTINS[name].run

    def run(machine: Any, args: Arguments) -> Value:
        of_one = name in ("len", "type", "hasattr", "int", "float", "bool", "str", "abs", "round")
        tensors = (
            [one for one in args.positional if isinstance(one, Drawn | Lost)]
            if of_one
            else list(drawn_in(args))
        )
        if lost := [one for one in tensors if isinstance(one, Lost)]:
            return lost[0]
        if name == "str" and args.positional and isinstance(args.positional[0], External | Builtin):
            return f"<class '{args.positional[0].name}'>"
        if not tensors:
            return usual(machine, args)
        first = args.positional[0]
        if name == "hasattr":
            there = isinstance(machine.read(first, str(args.positional[1])), Lost)
            return UNKNOWN if there else True
        if name == "type":
            return External("torch.Tensor") if isinstance(first, Drawn) else usual(machine, args)
        if name == "len":
            return first.shape[0] if isinstance(first, Drawn) and first.shape else UNKNOWN
        if name in ("int", "float", "bool") and isinstance(first, Drawn):
            array = machine.pen.value(first)
            if array is None or array.size != 1:
                return machine.lost(f"{name} of what depends on the input", first.node)
            return {"int": int, "float": float, "bool": bool}[name](array.item())
        return _on_tensors(machine, name, args)

    return run


def _on_tensors(machine: Any, name: str, args: Arguments) -> Value:
    from ml_switcheroo.sources.static.python.containers import expand

    if name in ("abs", "round"):
        return lower(machine, METHODS[name], args, name)
    if name == "pow":
        return lower(machine, METHODS["pow"], args, name)
    listed = (
        expand(machine, args.positional[0])
        if len(args.positional) == 1 or name == "sum"
        else list(args.positional)
    )
    if not listed or name not in ("sum", "max", "min"):
        return machine.lost(f"{name} of tensors")
    if name == "sum":
        total: Value = args.get(1, "start", 0)
        for one in listed:
            total = (
                one
                if total == 0 and isinstance(total, int)
                else lower(machine, METHODS["add"], Arguments([total, one]), "add")
            )
        return total
    values: list[Any] = [
        machine.pen.known(one) if isinstance(one, Drawn) and one.node in machine.pen.fixed else one
        for one in listed
    ]
    if known(values):
        return max(values) if name == "max" else min(values)
    return machine.lost(f"{name} of what depends on the input")


PYTHON = {
    name: Builtin(name, _python(name))
    for name in "len int float bool abs round pow sum max min str type hasattr".split()
}
"""Functions of Python, for tensors, too."""


def externals() -> Externals:
    """Return what is known by dotted name, for a program that is drawn."""
    found = Externals(EXTERNALS)
    found.update(
        {
            "torch.nn.Parameter": Builtin("Parameter", _parameter),
            "torch.nn.Buffer": Builtin("Buffer", _buffer),
            "einops.layers.torch.Rearrange": _pattern("Rearrange"),
            "einops.layers.torch.Reduce": _pattern("Reduce"),
            "inspect.signature": Builtin("signature", _signature),
            "torch.inf": float("inf"),
            "torch.nan": float("nan"),
            "torch.pi": float(np.pi),
            "numpy.pi": float(np.pi),
            "numpy.inf": float("inf"),
            "torch.__version__": "2.5.0",
        }
    )
    for name in ("torch.jit.is_scripting", "torch.jit.is_tracing", "numpy.prod", "numpy.sqrt"):
        found.pop(name, None)
    return found
