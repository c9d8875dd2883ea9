"""What a program computes: of a model's source, of a traced target, and how both correspond.

Both sides are drawn with the same few primitives (``primitives``), so that what is said of one can be said of
the other. A model's source is drawn by reading it (``of_source``), a target by tracing it (``of_jax``).
"""
