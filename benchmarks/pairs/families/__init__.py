"""One module for each library whose converters are run; none is imported before it is asked for.

A family has `TO` (what `to=` is), `PACKAGES` (whose versions are recorded), and `pairs()`: the name of each
pair with a function that builds the PyTorch model and one that gives the converted leaves.
"""
