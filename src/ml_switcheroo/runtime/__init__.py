"""What runs beside converted code: NumPy only, importable here and pasted there."""

from ml_switcheroo.runtime.key_mapper import KeyMapper

__all__ = ["KeyMapper"]
