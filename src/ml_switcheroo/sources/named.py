"""What the source of a class says that ``layers=`` only names: ``{"model.norm": "Qwen3NextRMSNorm"}``."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ml_switcheroo.code.library import Library
from ml_switcheroo.errors import SourceError
from ml_switcheroo.sources import static
from ml_switcheroo.sources.findings import Knowledge, Usage
from ml_switcheroo.tensors import TensorSpec

__all__ = ["is_found", "with_uses"]

_LIBRARIES = ("transformers", "diffusers", "timm")
"""Where a class is looked for that is named without its module, if they are installed."""

_DRAFTS = "modular_"
"""How transformers names files that its modules are generated from; nothing imports them."""

_MOST = 8  # definitions of one name; more of them name nothing


def is_found(word: str) -> bool:
    """Tell whether a class that is named has a source to be read."""
    module, _, name = word.rpartition(".")
    if not module:
        return name in _defined()
    source = Library(()).module(module)
    return source is not None and name in source.bindings


def with_uses(said: Knowledge, specs: Mapping[str, TensorSpec]) -> Knowledge:
    """Add what the own ``forward`` of named classes of norms does to their scales, where it is exact.

    The class is looked up by its dotted name, or by its bare one in the libraries that people take models
    from, as far as they are installed; nothing is imported. Several classes of one name have to agree.

    Args:
        said: What a table says: ``classes`` by path, as they were written.
        specs: The checkpoint.
    """
    own: dict[str, dict[str, TensorSpec]] = {}
    for name, spec in specs.items():
        path, _, slot = name.rpartition(".")
        if path in said.classes:
            own.setdefault(path, {})[slot] = spec
    uses: dict[str, Usage] = {}
    for path, tensors in own.items():
        if all(slot in _SCALES and len(spec.shape) == 1 for slot, spec in tensors.items()):
            found = _uses_of(said.classes[path], tuple(sorted(tensors.items(), key=lambda pair: pair[0])))
            uses.update((f"{path}.{slot}", use) for slot, use in found.items())
    return replace(said, uses=MappingProxyType(uses))


_SCALES = frozenset({"weight", "scale", "gamma", "bias", "beta"})


@functools.lru_cache(maxsize=256)
def _uses_of(word: str, tensors: tuple[tuple[str, TensorSpec], ...]) -> Mapping[str, Usage]:
    """Return what a class does to its tensors, by slot; nothing where its sources do not agree."""
    found = [_read(place, dict(tensors)) for place in _places(word)]
    if not found or any(_done(one) != _done(found[0]) for one in found):
        return {}
    return {slot: use for slot, use in found[0].items() if use.ops and use.own}


def _done(uses: Mapping[str, Usage]) -> dict[str, tuple[Any, ...]]:
    return {slot: use.ops for slot, use in uses.items()}


def _read(place: str, tensors: Mapping[str, TensorSpec]) -> Mapping[str, Usage]:
    try:
        return static.read_layers(place, tensors).uses
    except SourceError:
        return {}


def _places(word: str) -> Iterator[str]:
    """Yield ``module:Class`` of everything that a class name can mean."""
    module, _, name = word.rpartition(".")
    if module:
        yield f"{module}:{name}"
        return
    files = _defined().get(name, ())
    if len(files) <= _MOST:
        yield from (f"{file}:{name}" for file in files)


@functools.cache
def _defined() -> Mapping[str, tuple[str, ...]]:
    """Return the files of the libraries that define a class, by its name."""
    found: dict[str, list[str]] = {}
    for library in _LIBRARIES:
        spec = importlib.util.find_spec(library)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            for file in sorted(Path(folder).rglob("*.py")):
                if file.name.startswith(_DRAFTS):
                    continue
                for name in re.findall(rb"^class (\w+)", file.read_bytes(), re.MULTILINE):
                    found.setdefault(name.decode(), []).append(_module(file, Path(folder)))
    return {name: tuple(files) for name, files in found.items()}


def _module(file: Path, library: Path) -> str:
    """Return the dotted name that a file of a library is imported by."""
    parts = file.relative_to(library.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
