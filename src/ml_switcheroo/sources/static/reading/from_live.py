"""A live module as the reader of source code sees it: its classes' code, its own attributes."""

from __future__ import annotations

import ast
import enum
import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ml_switcheroo.code.library import Library, Source
from ml_switcheroo.errors import SourceError
from ml_switcheroo.layers import BASE_OF_CLASS, KIND_OF_CLASS, LAYERS, OWN, own_class, own_name
from ml_switcheroo.sources.findings import Usage
from ml_switcheroo.sources.static.python.classes import make_class
from ml_switcheroo.sources.static.python.containing import contained
from ml_switcheroo.sources.static.python.counted import whole_numbers
from ml_switcheroo.sources.static.python.frames import Class, module_frame
from ml_switcheroo.sources.static.python.limits import deep_recursion
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.own_code import module_name
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    External,
    Instance,
    Raised,
    Value,
    known,
)
from ml_switcheroo.sources.static.torch.flatten import WEIGHTS, Layer, Use, used, with_parts
from ml_switcheroo.sources.static.torch.flatten import known as known_sizes
from ml_switcheroo.sources.static.torch.following import run_forward
from ml_switcheroo.sources.static.torch.interpreter import new_machine
from ml_switcheroo.sources.static.torch.nn import name_of
from ml_switcheroo.sources.static.torch.parameter_uses import uses_of
from ml_switcheroo.sources.static.torch.rows.reading import Read, read_parts
from ml_switcheroo.sources.static.torch.use_verdicts import ParameterUses
from ml_switcheroo.sources.static.torch.values import Tensor
from ml_switcheroo.tensors import TensorSpec

__all__ = ["LiveReader", "class_of", "copied", "follow_live", "parameters_in"]


@dataclass(slots=True)
class LiveReader:
    """The modules of a live model as the reader sees them, by ``id`` of the live ones."""

    machine: Machine = field(default_factory=lambda: new_machine(Library([])))
    made: dict[int, Instance] = field(default_factory=dict)


def follow_live(model: Any, notes: list[str], reader: LiveReader | None = None) -> Mapping[int | str, Use]:
    """Follow the ``forward`` of a live model in its source, where that lies on disk.

    Args:
        model: The model.
        notes: Where it is said that it could not be followed.
        reader: What of it has been read; it is added to.

    Returns:
        What each layer is used for, by its ``id``, and each tensor of the model's own, by its name: as far as
        the source shows it.
    """
    followed = partial(_followed, model, notes, reader or LiveReader())
    return contained(f"{type(model).__name__}", followed, {}, notes)


def _followed(model: Any, notes: list[str], reader: LiveReader) -> Mapping[int | str, Use]:
    machine, made = reader.machine, reader.made
    with deep_recursion():
        root = copied(machine, model, made)
        names = {id(module): name for name, module in model.named_modules()}
        lives = [live for live, _ in _pairs(model, made)]
        layers = [_layer(live, copy, names[id(live)]) for live, copy in _pairs(model, made)]
        own = {
            id(value): (f"{names[id(live)]}.{name}".strip("."), shape)
            for live, copy in _pairs(model, made)
            for name, value in copy.attrs.items()
            if isinstance(value, Tensor) and value.role and (shape := _counted(value.shape)) is not None
        }
        known_sizes(layers)
        what = f"{type(model).__name__}.forward"
        contained(what, partial(run_forward, machine, root), None, notes)
        rows = partial(read_parts, machine, *_by_path(model, made))
        what = f"{type(model).__name__}: what its rows are for"
        read = contained(what, rows, Read({}, {}), notes)
    used_by = with_parts(used(layers, machine, own), read)
    paths = {layer.path for layer in layers}
    by_name = {name: use for name, use in used_by.items() if name not in paths}
    return {id(live): used_by[layer.path] for live, layer in zip(lives, layers, strict=True)} | by_name


def parameters_in(
    modules: Iterable[tuple[str, Any]], specs: Mapping[str, TensorSpec], reader: LiveReader
) -> ParameterUses:
    """Return what the source of live modules does with their parameters, where it lies on disk.

    Args:
        modules: The modules with their paths, the outermost first.
        specs: The checkpoint.
        reader: What of them has been read; it is added to.
    """
    with deep_recursion():
        pairs = [(path, live, copied(reader.machine, live, reader.made)) for path, live in modules]
        found = uses_of(reader.machine.library, [(path, copy) for path, _, copy in pairs], specs, {})
    for path, live, copy in pairs:
        name = f"{path}.weight" if path else "weight"
        if copy.base in KIND_OF_CLASS and name in specs and name not in found.uses and _hidden(live, copy):
            found.uses[name] = Usage((), "", type(live).__module__, type(live).__qualname__, sure=False)
    return found


def _hidden(live: Any, copy: Instance) -> bool:
    """Tell whether a module has a ``forward`` of its own that cannot be read."""
    if "forward" in vars(live):
        return True
    method = getattr(type(live), "forward", None)
    return copy.cls is UNKNOWN and not getattr(method, "__module__", "torch").startswith("torch")


def _by_path(
    model: Any, made: Mapping[int, Instance]
) -> tuple[dict[str, list[Instance]], dict[str, list[Tensor]], dict[str, TensorSpec]]:
    """Return the modules by path, the tensors that classes of the user's own keep, and all shapes."""
    modules: dict[str, list[Instance]] = {}
    own: dict[str, list[Tensor]] = {}
    specs: dict[str, TensorSpec] = {}
    for path, live in model.named_modules():
        if (copy := made.get(id(live))) is None:
            continue
        modules[path] = [copy]
        for slot, tensor in live._parameters.items():
            name = f"{path}.{slot}" if path else slot
            if tensor is not None:
                specs[name] = TensorSpec(tuple(tensor.shape), str(tensor.dtype))
            if isinstance(value := copy.attrs.get(slot), Tensor):
                own[name] = [value]
    return modules, own, specs


def _counted(shape: tuple[Value, ...] | None) -> tuple[int, ...] | None:
    sizes = whole_numbers(shape) if shape is not None else None
    return tuple(sizes) if sizes is not None else None


def _pairs(model: Any, made: Mapping[int, Instance]) -> list[tuple[Any, Instance]]:
    return [(module, made[id(module)]) for module in model.modules() if id(module) in made]


def _layer(live: Any, copy: Instance, path: str) -> Layer:
    kind = BASE_OF_CLASS.get(copy.base, "")
    tensors = (getattr(live, own_name(copy.base, slot), None) for slot in WEIGHTS)
    shape = next((tuple(tensor.shape) for tensor in tensors if tensor is not None), ())
    return Layer((copy,), path, kind, shape, getattr(live, "groups", 1))


def copied(machine: Machine, live: Any, made: dict[int, Instance]) -> Instance:
    """Return a live module as the reader sees it; ``made`` gets all, by the ``id`` of the live ones."""
    if id(live) in made:
        return made[id(live)]
    copy = Instance(class_of(machine, type(live)))
    made[id(live)] = copy
    if type(live).__module__.partition(".")[0] == "einops" and isinstance(
        getattr(live, "pattern", None), str
    ):
        sizes = {name: size for name, size in dict(live.axes_lengths).items() if known(size)}
        given = Arguments([live.pattern], sizes)
        layer = machine.tables.externals.get(f"einops.layers.torch.{type(live).__name__}", UNKNOWN)
        copy.marks.calls = machine.call(layer, given)
    children = {
        name: copied(machine, child, made) for name, child in live._modules.items() if child is not None
    }
    if copy.base in ("Sequential", "ModuleList") or _torch_name(type(live)) in ("Sequential", "ModuleList"):
        copy.items = [children.pop(str(place)) for place in range(len(children)) if str(place) in children]
    copy.base = _torch_name(type(live))
    copy.args = _arguments(live, copy.base)
    plain = {name: value for name, value in vars(live).items() if not name.startswith("_") and known(value)}
    copy.attrs.update(plain)
    copy.attrs.update(
        {name: one for name, value in vars(live).items() if (one := _listed(machine, value, made))}
    )
    if _is_hooked(live):
        copy.marks.hooked = True
    copy.attrs.update(_members(machine, vars(live)))
    copy.attrs.update(children)
    copy.attrs.update({name: None for name, child in live._modules.items() if child is None})
    tensors = {**live._parameters, **live._buffers}
    slots = LAYERS[KIND_OF_CLASS[copy.base]].slots if copy.base in KIND_OF_CLASS else {}
    for name, tensor in tensors.items():
        if name not in slots or (copy.base in OWN and name in live._buffers):
            role = "parameter" if name in live._parameters else "buffer"
            copy.attrs[name] = None if tensor is None else Tensor(tuple(tensor.shape), role)
    copy.open = True  # what has no plain value is there all the same
    return copy


def _listed(machine: Machine, value: Any, made: dict[int, Instance]) -> list[Value]:
    """Return a plain list of modules, as the reader sees them; an empty one for anything else."""
    listed = isinstance(value, list | tuple) and all(_is_module(one) for one in value)
    return [copied(machine, one, made) for one in value] if listed else []


def _is_module(value: Any) -> bool:
    return any(
        cls.__name__ == "Module" and cls.__module__.startswith("torch.nn.") for cls in type(value).__mro__
    )


def _is_hooked(live: Any) -> bool:
    """Tell whether a module has hooks; those of torch, which make up weights, are known by their tensors."""
    hooks = [*live._forward_hooks.values(), *live._forward_pre_hooks.values()]
    return any(not type(one).__module__.startswith("torch.nn.utils") for one in hooks)


def _members(machine: Machine, attributes: Mapping[str, Any]) -> dict[str, Value]:
    """Return the attributes that are members of an enumeration, as its source has them."""
    found = {name: value for name, value in attributes.items() if isinstance(value, enum.Enum)}
    classes = {name: class_of(machine, type(value)) for name, value in found.items()}
    return {
        name: machine.read(classes[name], value.name)
        for name, value in found.items()
        if isinstance(classes[name], Class)
    }


def _torch_name(cls: type) -> str:
    for one in cls.__mro__:
        if own := own_class(one.__module__, one.__name__):
            return own
        if one.__module__.startswith("torch.nn.") and one.__module__ != "torch.nn.utils.parametrize":
            name = name_of(f"torch.nn.{one.__name__}")
            return "" if name == "Module" else name
    return ""


def class_of(machine: Machine, cls: type) -> Value:
    """Return the class as its source says; what lies nowhere on disk is unknown."""
    if cls.__module__ == "torch.nn.utils.parametrize":
        cls = cls.__mro__[1]  # the class that a parametrization has derived from
    if cls.__module__.partition(".")[0] == "torch":
        return External(f"torch.nn.{cls.__name__}")
    module = sys.modules.get(cls.__module__)
    try:
        path = inspect.getsourcefile(module) if module is not None else None
    except TypeError:  # a module that has no file
        path = None
    if path is None or not Path(path).is_file():
        return UNKNOWN
    try:
        source = machine.library.file(Path(path))
        nested = cls.__qualname__ != cls.__name__
        found = _inner(machine, source, cls) if nested else module_name(machine, source, cls.__name__)
    except (SourceError, Raised):
        return UNKNOWN
    return found if isinstance(found, Class) else UNKNOWN


def _inner(machine: Machine, source: Source, cls: type) -> Value:
    """Return a class that is made in a function or another class, as far as the module's names tell."""
    body: list[ast.stmt] = source.tree.body
    made: ast.stmt | None = None
    for part in cls.__qualname__.split("."):
        if part != "<locals>":
            inside = (node for one in body for node in ast.walk(one))
            named = [node for node in inside if isinstance(node, _NAMED) and node.name == part]
            if len(named) != 1:
                return UNKNOWN
            made = named[0]
            body = made.body
    return make_class(machine, made, module_frame(source)) if isinstance(made, ast.ClassDef) else UNKNOWN


_NAMED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

_ARGUMENTS = (
    *("output_size", "start_dim", "end_dim", "dim", "unflattened_size", "kernel_size", "stride", "padding"),
    *("dilation", "ceil_mode", "upscale_factor", "downscale_factor", "scale_factor", "size"),
)


def _arguments(live: Any, torch: str) -> dict[str, Value]:
    names = LAYERS[KIND_OF_CLASS[torch]].args if torch in KIND_OF_CLASS else _ARGUMENTS
    found: dict[str, Value] = {}
    for name in names:
        value = getattr(live, name, None)
        if isinstance(value, bool | int | float | str) or (isinstance(value, tuple) and known(value)):
            found[name] = value
    return found
