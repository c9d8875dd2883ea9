"""What runs beside converted code: NumPy only, importable here and pasted there."""
