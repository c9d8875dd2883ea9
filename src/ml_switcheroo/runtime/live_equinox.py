"""The arrays of an Equinox module: found, read, and put into a new module."""

import numpy as np


class LiveEquinox:
    """Find and read the leaves of an Equinox module; writing them makes a new module."""

    CHANGES = False

    @staticmethod
    def _owns(model: object) -> bool:
        return any(base.__module__.startswith("equinox") for base in type(model).__mro__)

    @classmethod
    def _live(cls, model: object) -> dict:
        """Return ``{path: (shape, (place, array))}``; a path is a tuple of words."""
        import equinox as eqx
        import jax

        return {
            cls._words(path): (tuple(value.shape), (at, value))
            for at, (path, value) in enumerate(jax.tree_util.tree_leaves_with_path(model))
            if eqx.is_array(value) and not jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key)
        }

    @staticmethod
    def _words(path: tuple) -> tuple:
        return tuple(str(getattr(key, "name", getattr(key, "idx", getattr(key, "key", key)))) for key in path)

    @staticmethod
    def _value(leaf: object) -> np.ndarray:
        pair: list = [leaf]
        return np.asarray(pair[0][1])

    @staticmethod
    def _dtype(leaf: object) -> object:
        """Return the dtype of a leaf."""
        pair: list = [leaf]
        return pair[0][1].dtype

    @classmethod
    def _write(cls, model: object, values: list) -> tuple | None:
        """Put an array into each leaf; return the new model where the old one cannot change."""
        import jax

        new, tree = jax.tree_util.tree_flatten(model)
        for (at, old), array in values:
            made = np.array(array, dtype=old.dtype).reshape(old.shape)
            new[at] = jax.device_put(made, getattr(old, "sharding", None))
        return jax.tree_util.tree_unflatten(tree, new)
