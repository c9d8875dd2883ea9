"""The model's source code, read and never executed."""

from ml_switcheroo.sources.static.reading.entry import read_layers

__all__ = ["read_layers"]
