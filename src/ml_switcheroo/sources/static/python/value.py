"""The type of a value: anything. What a value is has to be asked before it is used."""

__all__ = ["Value"]

Value = object
