"""A live module as the reader of source code sees it: its classes' code, its own attributes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import SourceError
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS
from ml_switcheroo.sources.static.entry import deep_recursion
from ml_switcheroo.sources.static.files import Library
from ml_switcheroo.sources.static.flatten import Use, answer_of, image_behind, image_of, run_forward, settled
from ml_switcheroo.sources.static.interpreter import new_machine
from ml_switcheroo.sources.static.machine import Machine
from ml_switcheroo.sources.static.nn import name_of
from ml_switcheroo.sources.static.rows.reading import read_parts
from ml_switcheroo.sources.static.splits import split_of
from ml_switcheroo.sources.static.values import (
    UNKNOWN,
    Class,
    External,
    Instance,
    Tensor,
    Value,
    known,
)
from ml_switcheroo.tensors import TensorSpec

__all__ = ["follow_live"]


def follow_live(model: Any) -> Mapping[int, Use]:
    """Follow the ``forward`` of a live model in its source, where that lies on disk.

    Returns:
        What each linear is used for, by ``id`` of the live linear, as far as the source shows it.
    """
    machine = new_machine(Library([]))
    made: dict[int, Instance] = {}
    with deep_recursion():
        root = _mirror(machine, model, made)
        ended = run_forward(machine, root)
    channels = {id(copy): _channels(live) for live, copy in _pairs(model, made)}
    paths = {id(made[id(module)]): name for name, module in model.named_modules() if id(module) in made}
    with deep_recursion():
        read = read_parts(machine, *_mirrored(model, made))
    found = {}
    for live, copy in _pairs(model, made):
        answers = [answer_of(given, paths, channels) for given in copy.marks.get("inputs", ())]
        same = bool(answers) and all(answer == answers[0] for answer in answers)
        flatten = answers[0] if same else image_behind(copy, paths)
        name = paths[id(copy)]
        parts = read.parts.get(f"{name}.weight" if name else "weight")
        use = Use(flatten, image_of(copy, paths), split_of(copy, ended), parts=parts)
        found[id(live)] = settled(use, getattr(live, "in_features", 0), paths, channels)
    for name, tensor in model.named_parameters():
        if name in read.parts and id(tensor) not in found:
            found[id(tensor)] = Use(parts=read.parts[name])
    return found


def _mirrored(
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


def _pairs(model: Any, made: Mapping[int, Instance]) -> list[tuple[Any, Instance]]:
    return [(module, made[id(module)]) for module in model.modules() if id(module) in made]


def _channels(live: Any) -> int:
    """Return how many channels a live layer puts out; 0 where it says nothing."""
    for name in ("out_channels", "num_features"):
        if isinstance(size := getattr(live, name, None), int):
            return size
    return 0


def _mirror(machine: Machine, live: Any, made: dict[int, Instance]) -> Instance:
    if id(live) in made:
        return made[id(live)]
    copy = Instance(_class(machine, type(live)))
    made[id(live)] = copy
    children = {
        name: _mirror(machine, child, made) for name, child in live._modules.items() if child is not None
    }
    if copy.torch in ("Sequential", "ModuleList") or _torch_name(type(live)) in ("Sequential", "ModuleList"):
        copy.items = [children.pop(str(place)) for place in range(len(children)) if str(place) in children]
    copy.torch = _torch_name(type(live))
    copy.args = _arguments(live, copy.torch)
    copy.marks["out"] = getattr(live, "out_features", getattr(live, "nf", None))
    plain = {name: value for name, value in vars(live).items() if not name.startswith("_") and known(value)}
    copy.attrs.update(plain)
    copy.attrs.update(children)
    copy.attrs.update({name: None for name, child in live._modules.items() if child is None})
    tensors = {**live._parameters, **live._buffers}
    slots = LAYERS[KIND_OF_CLASS[copy.torch]].slots if copy.torch in KIND_OF_CLASS else {}
    for name, tensor in tensors.items():
        if name not in slots:
            copy.attrs[name] = None if tensor is None else Tensor(tuple(tensor.shape), "parameter")
    copy.open = True  # what has no plain value is there all the same
    return copy


def _torch_name(cls: type) -> str:
    for one in cls.__mro__:
        if one.__module__.startswith("torch.nn."):
            name = name_of(f"torch.nn.{one.__name__}")
            return "" if name == "Module" else name
    return ""


def _class(machine: Machine, cls: type) -> Value:
    """Return the class as its source says; what lies nowhere on disk is unknown."""
    if cls.__module__.partition(".")[0] == "torch":
        return External(f"torch.nn.{cls.__name__}")
    module = sys.modules.get(cls.__module__)
    try:
        path = inspect.getsourcefile(module) if module is not None else None
    except TypeError:  # a module that has no file
        path = None
    if path is None or "<" in cls.__qualname__ or "." in cls.__qualname__ or not Path(path).is_file():
        return UNKNOWN
    try:
        found = machine.module_name(machine.library.file(Path(path)), cls.__name__)
    except SourceError:
        return UNKNOWN
    return found if isinstance(found, Class) else UNKNOWN


def _arguments(live: Any, torch: str) -> dict[str, Value]:
    names = (
        LAYERS[KIND_OF_CLASS[torch]].args
        if torch in KIND_OF_CLASS
        else ("output_size", "start_dim", "end_dim", "dim", "unflattened_size")
    )
    found = {}
    for name in names:
        value = getattr(live, name, None)
        if isinstance(value, bool | int | float | str) or (isinstance(value, tuple) and known(value)):
            found[name] = value
    return found
