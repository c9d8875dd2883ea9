"""Which formats are written: how their names end, who writes them, and what they can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ml_switcheroo.formats.hdf5_writer import write_hdf5
from ml_switcheroo.formats.npz_writer import write_npz
from ml_switcheroo.formats.orbax_writer import write_orbax
from ml_switcheroo.formats.safetensors_writer import write_safetensors, write_shards

__all__ = ["SUFFIXES", "WRITERS", "Format", "Unread", "Writer"]

Writer = Callable[..., object]
"""Called with path, specs, leaves and metadata, and the options that its format takes."""


@dataclass(frozen=True, slots=True)
class Unread:
    """The dtypes that a target's own library does not read from a format.

    Attributes:
        by: The function that reads.
        dtypes: Names of the dtypes.
    """

    by: str
    dtypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is written.

    Attributes:
        suffix: How the names of its files end; empty where it is a folder.
        write: The function that writes it.
        options: The keyword arguments of ``write``.
        targets: The targets whose leaves it can hold; empty for all.
        why_only: Why it holds only these; ``{targets}`` and ``{target}`` are filled in.
        write_shards: The function that writes it in several files; None where nothing does.
        unread: By target, the dtypes that the target's own library does not read from it.
    """

    suffix: str
    write: Writer
    options: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    why_only: str = ""
    write_shards: Writer | None = None
    unread: Mapping[str, Unread] = field(default_factory=dict)

    @property
    def resumable(self) -> bool:
        """Whether a run that was interrupted can go on."""
        return "resume" in self.options


WRITERS: Mapping[str, Format] = {
    # What MLX reads: mlx/io/safetensors.cpp, mlx/io/load.cpp
    "safetensors": Format(
        ".safetensors",
        write_safetensors,
        ("resume", "say"),
        write_shards=write_shards,
        unread={
            "mlx": Unread("mlx.core.load", ("float64", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"))
        },
    ),
    "npz": Format(
        ".npz",
        write_npz,
        unread={
            "mlx": Unread(
                "mlx.core.load",
                (
                    "complex128",
                    "float8_e4m3fn",
                    "float8_e5m2",
                    "float8_e4m3fnuz",
                    "float8_e5m2fnuz",
                    "float8_e8m0fnu",
                ),
            )
        },
    ),
    "keras": Format(
        ".weights.h5",
        write_hdf5,
        ("layout",),
        targets=("keras",),
        why_only="Keras's weights are those of the target {targets}, not of {target}",
    ),
    # Orbax restores a tree of dictionaries as it is.
    "orbax": Format(
        "",
        write_orbax,
        ("separator",),
        targets=("nnx", "linen", "jax"),
        why_only="only trees of {targets} are written as an Orbax folder, not those of {target}",
    ),
}
"""Every format that is written, by the name that ``format=`` takes."""

SUFFIXES = {row.suffix: name for name, row in WRITERS.items() if row.suffix}
"""The name of the format that each suffix means."""
