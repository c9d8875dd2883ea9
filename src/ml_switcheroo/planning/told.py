"""What ``layers=`` says, or in its place the configuration that lies beside the checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import SourceError
from ml_switcheroo.progress import beginning
from ml_switcheroo.sources.classify import classify
from ml_switcheroo.sources.findings import Finding, Knowledge
from ml_switcheroo.sources.stated import from_table, kind_named
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Told", "told_by"]


class Told:
    """What is said of the layers, read once for the names that stay.

    Attributes:
        layers: As ``layers=`` has it; None where nobody says anything.
        notes: What a person should know.
        asked: Whether somebody has asked for it: then what cannot be read is an error.
        known: What is said where there are no layers to read.
    """

    def __init__(self, layers: Any, *, notes: tuple[str, ...] = (), asked: bool = True) -> None:
        self.layers = layers
        self.notes = notes
        self.asked = asked
        self.known = Knowledge(notes=notes)
        self._said: list[tuple[Mapping[str, TensorSpec], Knowledge]] = []

    def of(self, specs: Mapping[str, TensorSpec]) -> Knowledge:
        """Return what is said of these tensors."""
        if self.layers is None:
            return self.known
        found = next((said for known, said in self._said if known == specs), None)
        try:
            found = found if found is not None else _from_layers(self.layers, specs)
        except SourceError as error:
            if self.asked:
                raise
            return Knowledge(notes=(_unread(error),))
        return replace(found, notes=(*self.notes, *found.notes))

    def count(self, specs: Mapping[str, TensorSpec]) -> int:
        """Count the tensors that are found; none where no class of a file fits these names."""
        try:
            knowledge = _from_layers(self.layers, specs)
        except SourceError:
            return 0  # said when the source is read for good
        self._said.append((specs, knowledge))
        return sum(len(owner.tensors) for owner in classify(specs, [knowledge]) if owner.possible)


def told_by(layers: Any, state: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> Told:
    """Return what ``layers=`` says; without it, what the configuration beside a checkpoint does.

    A configuration whose class makes none of the tensors says nothing of them. Weights of the bare model may
    lie beside the configuration of one with a head (``gpt2``): then the bare one is what they are.

    Args:
        layers: As :func:`make_plan` takes it.
        state: The checkpoint.
        specs: The specs of its tensors.
    """
    named = _OF_TRANSFORMERS.fullmatch(layers) if isinstance(layers, str) else None
    config = _beside(state) if layers is None or named else None
    if config is None:
        told = Told(layers)
        if layers is None and _is_adapter(state):
            told.known = Knowledge(_of_adapter(specs))
        return told
    if named:
        return Told(f"{config}:{named[1]}")
    from ml_switcheroo.sources.static.reading.configured import base_class, configured

    try:
        made = configured(config)
    except SourceError as error:
        return Told(None, notes=(_unread(error),), asked=False)
    bare = base_class(config)
    for name in dict.fromkeys([made.name, *([bare] if bare else [])]):
        told = Told(f"{config}:{name}", asked=False)
        told.notes = (f"{config.name} says that this is {name} of {made.package}, whose source was read.",)
        if _fits(told, specs):
            return told
    why = [note for _, known in told._said for note in known.notes if "could not be followed" in note]
    note = f"{config.name} says that this is {made.name} of {made.package}, which makes none of the tensors."
    note = f"{config.name}: {why[0]}" if why else note
    return Told(None, notes=(f"{note} {_BY_TENSORS}",), asked=False)


def _is_adapter(state: Mapping[str, Any]) -> bool:
    """Tell whether a checkpoint is what PEFT saves of LoRA by itself."""
    path = getattr(state, "path", None)
    if not isinstance(path, Path) or not path.name.startswith("adapter_model."):
        return False
    config = path.parent / "adapter_config.json"
    return config.is_file() and b'"LORA"' in config.read_bytes()


_CLASSES = {2: "Linear", 3: "Conv1d", 4: "Conv2d", 5: "Conv3d"}
"""The classes of torch.nn that PEFT makes of LoRA's parts, by their number of axes."""


def _of_adapter(specs: Mapping[str, TensorSpec]) -> dict[str, Finding]:
    """Return what the parts of LoRA are; those of embeddings are tensors by themselves."""
    found: dict[str, Finding] = {}
    for name, spec in specs.items():
        path, _, slot = name.rpartition(".")
        reason = "a part of LoRA, as adapter_config.json says"
        if path.endswith((".lora_A", ".lora_B")) and slot == "weight" and len(spec.shape) in _CLASSES:
            found[path] = Finding(kind_named(_CLASSES[len(spec.shape)]), "static", reason)
    return found


def _fits(told: Told, specs: Mapping[str, TensorSpec]) -> bool:
    """Tell whether a model makes any of the tensors, with a wrapper before their names or without."""
    inner: Mapping[str, TensorSpec] = specs
    while inner:
        if told.count(inner):
            return True
        heads = {name.partition(".")[0] for name in inner}
        if len(heads) != 1:
            return False
        inner = {name.partition(".")[2]: spec for name, spec in inner.items() if "." in name}
    return False


_BY_TENSORS = "What the layers are is taken from the tensors alone."


def _unread(error: SourceError) -> str:
    text = " ".join(str(error).split("\n")).rstrip(".")
    return f"{text}. {_BY_TENSORS}"


_OF_TRANSFORMERS = re.compile(r"transformers(?:\.\w+)*:(\w+)")
"""A class of transformers: what its constructor takes is in the configuration."""

_SAVED = re.compile(
    r"(model|pytorch_model|diffusion_pytorch_model)([-.][\w.-]+)?\.(safetensors|bin)(\.index\.json)?"
)
"""The files that are saved together with a configuration."""


def _beside(state: Mapping[str, Any]) -> Path | None:
    """Return the configuration beside a checkpoint; None where there is none, or it is of something else."""
    path = getattr(state, "path", None)
    if not isinstance(path, Path) or not _SAVED.fullmatch(path.name):
        return None
    config = path.parent / "config.json"
    return config if config.is_file() else None


def _from_layers(layers: Any, specs: Mapping[str, TensorSpec]) -> Knowledge:
    """Ask what ``layers=`` names: a table, source code or a live module."""
    if isinstance(layers, Mapping):
        said = from_table(layers)
        if not said.classes:
            return said
        from ml_switcheroo.sources.named import with_uses

        return with_uses(said, specs)
    beginning(f"reading {layers}" if isinstance(layers, str | Path) else "reading the model")
    # Imported where it is asked: the readers of code are half of all modules.
    if isinstance(layers, str | Path):
        from ml_switcheroo.sources import static

        return static.read_layers(str(layers), specs)
    from ml_switcheroo.sources import live

    return live.read_module(layers, specs)
