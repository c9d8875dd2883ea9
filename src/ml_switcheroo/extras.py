"""What brings a package that is imported only where it is needed: the extras of this one."""

from __future__ import annotations

__all__ = ["EXTRAS", "how_to_install"]

EXTRAS = {
    "jax": "nnx",
    "flax": "nnx",
    "equinox": "equinox",
    "haiku": "haiku",
    "keras": "keras",
    "tensorflow": "tensorflow",
    "h5py": "keras",
    "mlx": "mlx",
    "orbax": "orbax",
    "tensorstore": "orbax",
}
"""Module -> the extra in ``pyproject.toml`` that installs it."""


def how_to_install(module: str) -> str:
    """Return the command that installs a module; empty if it is not known.

    >>> how_to_install("flax.nnx")
    "pip install 'ml-switcheroo[nnx]'"
    """
    package = module.partition(".")[0]
    if package in EXTRAS:
        return f"pip install 'ml-switcheroo[{EXTRAS[package]}]'"
    return "pip install torch" if package == "torch" else ""
