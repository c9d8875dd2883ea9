"""Which formats are written: how their names end, who writes them, and what they can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ml_switcheroo.formats.hdf5_writer import write_hdf5
from ml_switcheroo.formats.npz_writer import write_npz
from ml_switcheroo.formats.orbax_writer import write_orbax
from ml_switcheroo.formats.safetensors_writer import write_safetensors, write_shards
from ml_switcheroo.formats.torch_writer import write_torch

__all__ = ["SUFFIXES", "WRITERS", "Format", "Writer"]

Writer = Callable[..., object]
"""Called with path, specs, leaves and metadata, and the options that its format takes."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is written.

    Attributes:
        suffix: How the names of its files end; empty where it is a folder.
        write: The function that writes it.
        options: The keyword arguments of ``write``.
        why_only: For a format that holds the leaves of some targets only (``Target.files``), what is said of
            all others; ``{targets}`` and ``{target}`` are filled in.
        write_shards: The function that writes it in several files; None where nothing does.
        of_torch: Whether PyTorch's own state dicts are written so.
    """

    suffix: str
    write: Writer
    options: tuple[str, ...] = ()
    why_only: str = ""
    write_shards: Writer | None = None
    of_torch: bool = False

    @property
    def resumable(self) -> bool:
        """Whether a run that was interrupted can go on."""
        return "resume" in self.options


WRITERS: Mapping[str, Format] = {
    "safetensors": Format(
        ".safetensors", write_safetensors, ("resume", "say"), write_shards=write_shards, of_torch=True
    ),
    "npz": Format(".npz", write_npz, of_torch=True),
    "torch": Format(
        ".pt",
        write_torch,
        ("tied",),
        why_only="a .pt file holds PyTorch's names and layouts: {targets} has these, {target} not",
        of_torch=True,
    ),
    "keras": Format(
        ".weights.h5",
        write_hdf5,
        ("layout",),
        why_only="Keras's weights are those of the target {targets}, not of {target}",
    ),
    # Orbax restores a tree of dictionaries as it is.
    "orbax": Format(
        "",
        write_orbax,
        ("separator",),
        why_only="only trees of {targets} are written as an Orbax folder, not those of {target}",
    ),
}
"""Every format that is written, by the name that ``format=`` takes."""

SUFFIXES = {row.suffix: name for name, row in WRITERS.items() if row.suffix}
"""The name of the format that each suffix means."""
