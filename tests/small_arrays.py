"""Small arrays at random, as ``f2,3`` (any numbers), ``p2`` (0.1 to 0.9), ``i5:2`` (below 5) or ``b2``."""

import numpy as np


def small_arrays(text):
    """Return an array for each word."""
    random = np.random.default_rng(3)
    return [_one(word, random) for word in text.split()]


def _one(word, random):
    kind, _, sizes = word[0], *word[1:].rpartition(":")[1:]
    shape = tuple(int(size) for size in sizes.split(",") if size)
    if kind == "i":
        return random.integers(0, int(word[1:].partition(":")[0]), shape).astype("int32")
    if kind == "b":
        return random.random(shape) > 0.4
    if kind == "p":
        return random.uniform(0.1, 0.9, shape).astype("float32")
    return random.normal(size=shape).astype("float32")
