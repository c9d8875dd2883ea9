"""What a live ``torch.nn.Module`` says of its own tensors.

Torch is never imported here: whoever has a module has torch. Modules on the meta device do as well
as any: nothing is read but classes, attributes and names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from ml_switcheroo.computed import Computed, pools_in
from ml_switcheroo.computed.live import computed_in
from ml_switcheroo.errors import UsageError, described
from ml_switcheroo.layers import (
    ELSEWHERE,
    KIND_OF_CLASS,
    LAYERS,
    OWN,
    kind_of,
    load_offered_layers,
    own_class,
)
from ml_switcheroo.sources.findings import Finding, Knowledge
from ml_switcheroo.sources.static.python.containing import contained
from ml_switcheroo.sources.static.reading.from_live import LiveReader, follow_live, parameters_in
from ml_switcheroo.sources.static.reading.own_rows import lacking_slots, refuse_base, refuse_row
from ml_switcheroo.sources.static.torch.flatten import steps_flattened, used_as
from ml_switcheroo.sources.static.torch.use_verdicts import turned_as, written_as
from ml_switcheroo.tensors import TensorSpec

__all__ = ["read_module", "unwrapped"]

_CONTAINERS: Mapping[str, str] = MappingProxyType(
    {
        "Sequential": "sequential",
        "ModuleList": "list",
        "ModuleDict": "dict",
        "ParameterList": "list",
        "ParameterDict": "dict",
    }
)

_WRAPPERS: Mapping[str, str] = MappingProxyType(
    {
        "DataParallel": "module",
        "DistributedDataParallel": "module",
        "OptimizedModule": "_orig_mod",
        "FullyShardedDataParallel": "_fsdp_wrapped_module",
        "CheckpointWrapper": "_checkpoint_wrapped_module",
    }
)
"""Modules of torch that stand around another one, and the name they keep it under."""


def read_module(model: Any, specs: Mapping[str, TensorSpec]) -> Knowledge:
    """Read what the layers of a live model are.

    A module counts as what its exact class is; a subclass of a torch layer counts as that layer.
    Wrappers (``DataParallel``, ``torch.compile``, FSDP ...) are seen through, whether or not the
    checkpoint's names mention them.

    Args:
        model: A ``torch.nn.Module``, on any device, meta included.
        specs: The checkpoint: shape and dtype by tensor name.

    Returns:
        What the module says, of names the checkpoint has.

    Raises:
        UsageError: ``model`` is no torch module.
    """
    if not any(_name(cls) == "Module" for cls in type(model).__mro__):
        raise UsageError(f"layers= is {described(model)}; expected a torch.nn.Module, its source or a table")
    load_offered_layers()
    owners = {name.rpartition(".")[0] for name in specs}
    paths = {
        ".".join(parts[:end])
        for name in owners
        for parts in [name.split(".")]
        for end in range(len(parts) + 1)
    }
    walked, reader = list(_walk(model, ("",))), LiveReader()
    parameters = parameters_in(walked, specs, reader)
    failed: list[str] = []
    uses = follow_live(unwrapped(model), failed, reader)
    said: dict[str, tuple[Finding, ...]] = {}
    containers: dict[str, str] = {}
    owned: set[str] = set()
    for path, module in walked:
        if path not in paths:
            continue
        cls, kind = _kind(module)
        if cls in _CONTAINERS:
            containers[path] = _CONTAINERS[cls]
        slots = LAYERS[kind].slots if kind else {}
        _agrees_with_row(path, module, cls)
        if kind and path not in owned and (path in owners or any("." in slot for slot in slots)):
            finding = Finding(
                kind, "live", _reason(module, cls), args=MappingProxyType(_arguments(module, kind))
            )
            finding = turned_as(finding, parameters.turned.get(path))
            use = uses.get(id(module))
            said[path] = used_as(finding, use) if use else (finding,)
            if use is not None:
                failed += steps_flattened(path, kind, use)
            owned.update(_join(path, slot.rpartition(".")[0]) for slot in slots if "." in slot)
        for slot, _, own_kind in _tensors(module):
            name = _join(path, slot)
            if name not in specs:
                continue
            in_layer = kind and LAYERS[kind].slot(slot) is not None
            own = not (in_layer or _rowless(module) or _reparametrizes(path))
            if path not in owned and own:
                finding = Finding(own_kind, "live", f"a {own_kind} of {type(module).__qualname__}")
                said[name] = used_as(finding, uses[name]) if name in uses else (finding,)
    what = f"{type(model).__name__}: what it computes without weights"
    read = partial(computed_in, _walk(model, ("",)))
    computed: dict[str, tuple[Computed, ...]] = contained(what, read, {}, failed)
    return Knowledge(
        MappingProxyType({key: possible[0] for key, possible in said.items() if len(possible) == 1}),
        MappingProxyType({key: possible for key, possible in said.items() if len(possible) > 1}),
        containers=MappingProxyType(containers),
        tied=_tied(model, specs),
        notes=(*_notes(said, specs), *failed, *parameters.notes),
        computed=MappingProxyType(computed),
        pools=MappingProxyType(pools_in(walked, "torch")),
        uses=MappingProxyType(parameters.uses),
        more=MappingProxyType(parameters.more),
        written=MappingProxyType(written_as(parameters, "live")),
    )


def _agrees_with_row(path: str, module: Any, cls: str) -> None:
    """Raise where a row of your own has slots that the module does not have.

    Raises:
        UsageError: It names both.
    """
    there = {**module._parameters, **module._buffers} if cls in OWN else {}
    lacking = lacking_slots(cls, there) if cls in OWN else []
    if lacking:
        refuse_row(cls, path, lacking, list(there))
    inherited = type(module).forward.__module__ if cls in OWN else ""
    if inherited.startswith("torch.nn."):
        bases = [_name(one) for one in type(module).__mro__]
        refuse_base(cls, path, next((name for name in bases if name in KIND_OF_CLASS), ""))


def _tied(model: Any, specs: Mapping[str, TensorSpec]) -> tuple[tuple[str, ...], ...]:
    """Return the names that are one tensor, where the checkpoint has one of them at least.

    Inside of wrappers a module has several paths; only names that the checkpoint has count there.
    """
    wrapped = any(_inside(module) for module in model.modules())
    tensors: dict[int, list[str]] = {}
    for path, module in _walk(model, ("",)):
        for slot, tensor, _ in _tensors(module):
            name = _join(path, slot)
            if name in specs or not wrapped:
                tensors.setdefault(id(tensor), []).append(name)
    groups = (tuple(dict.fromkeys(names)) for names in tensors.values())
    return tuple(names for names in groups if len(names) > 1 and not specs.keys().isdisjoint(names))


def _name(cls: type) -> str:
    """Return the name of a class of torch, or of another package that the table has; else nothing."""
    known = cls.__module__.partition(".")[0] == "torch" or f"{cls.__module__}.{cls.__name__}" in ELSEWHERE
    return cls.__name__ if known else ""


def _join(path: str, part: str) -> str:
    return f"{path}.{part}" if path and part else path or part


def _walk(module: Any, paths: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield every module with each path that may stand for it; shared modules come once a path."""
    inside = next(
        (_WRAPPERS[name] for cls in type(module).__mro__ if (name := _name(cls)) in _WRAPPERS), None
    )
    if inside is not None and getattr(module, inside, None) is not None:
        both = (*paths, *(_join(path, inside) for path in paths))
        yield from _walk(getattr(module, inside), both)
        return
    for path in paths:
        yield path, module
    for name, child in module.named_children() if not _shares(module) else module._modules.items():
        if child is not None:
            yield from _walk(child, tuple(_join(path, name) for path in paths))


def _shares(module: Any) -> bool:
    """Tell whether two names of a module hold the same child (``named_children`` drops one)."""
    children = [id(child) for child in module._modules.values() if child is not None]
    return len(children) != len(set(children))


def _kind(module: Any) -> tuple[str, str]:
    """Return the torch class that a module is or derives from, and its kind; empty where none."""
    scripted = _scripted(module)
    if scripted:
        name = scripted.rpartition(".")[2]
        return name, kind_of(scripted) or ""
    for cls in type(module).__mro__:
        if own := own_class(cls.__module__, cls.__name__):
            return own, KIND_OF_CLASS[own]
        name = _name(cls)
        kind = kind_of(f"{cls.__module__}.{name}") if name else None
        if kind or name in _CONTAINERS:
            return name, kind or ""
        if (
            name
            and name != "Module"
            and name.lstrip("_") == name
            and cls.__module__.startswith("torch.nn.modules")
        ):
            return name, ""
    return "", ""


def _scripted(module: Any) -> str:
    """Return the class of torch.nn that a module was before torch.jit.script; empty for any other."""
    if not any(_name(cls) == "RecursiveScriptModule" for cls in type(module).__mro__):
        return ""
    parts = module._c._type().qualified_name().split(".")
    name = ".".join(part for part in parts[1:] if not part.startswith("___torch_mangle_"))
    return name if name.startswith("torch.nn.") else ""


def _rowless(module: Any) -> bool:
    """Tell whether a class of torch owns tensors that the table does not know (an unknown layout)."""
    cls, kind = _kind(module)
    return bool(cls) and not kind and cls not in _CONTAINERS


def _reason(module: Any, cls: str) -> str:
    own = type(module).__qualname__
    if cls in OWN:
        return f"{own}, by the row of {cls}"
    return f"nn.{cls}" if own == cls else f"{own}, a nn.{cls}"


def _arguments(module: Any, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {"written": True} if _kind(module)[0] in OWN else {}
    if made_by := _made_by(module):
        found["reparametrized"] = made_by
    for name in LAYERS[kind].args:
        if not hasattr(module, name):
            continue
        value = getattr(module, name)
        if name == "bias" and not isinstance(value, bool):
            found[name] = value is not None
        elif isinstance(value, bool | int | float | str) or (value is None and name == "momentum"):
            found[name] = value  # without a momentum a batch norm takes the average of all batches
        elif isinstance(value, tuple | list) and all(isinstance(item, int) for item in value):
            found[name] = tuple(value)
    return found


def _made_by(module: Any) -> tuple[tuple[str, ...], ...]:
    """Return the tensors that parametrizations make, each with the classes that do, in order."""
    lists: Any = getattr(module, "parametrizations", None)
    kept = lists.items() if _name(type(lists)) == "ModuleDict" else ()
    return tuple((name, *(type(one).__name__ for one in makers)) for name, makers in kept)


def _tensors(module: Any) -> Iterator[tuple[str, Any, str]]:
    for name, tensor in module._parameters.items():
        if tensor is not None:
            yield name, tensor, "parameter"
    for name, tensor in module._buffers.items():
        if tensor is not None and name not in module._non_persistent_buffers_set:
            yield name, tensor, "buffer"


def _reparametrizes(path: str) -> bool:
    return "parametrizations" in path.split(".")


def _notes(findings: Collection[str], specs: Mapping[str, TensorSpec]) -> tuple[str, ...]:
    if specs and not findings:
        return (f"The live module has none of the checkpoint's {len(specs)} tensors.",)
    return ()


def _inside(module: Any) -> str:
    """Return the name under which a wrapper keeps what it wraps; empty for any other module."""
    name = next((_WRAPPERS[name] for cls in type(module).__mro__ if (name := _name(cls)) in _WRAPPERS), "")
    return name if name and getattr(module, name, None) is not None else ""


def unwrapped(module: Any) -> Any:
    """Return what wrappers of torch stand around: ``DataParallel``, ``torch.compile``, FSDP."""
    while name := _inside(module):
        module = getattr(module, name)
    return module
