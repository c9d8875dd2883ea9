"""The arrays of a tree of dictionaries, such as Flax Linen's variables: found, and put into a new tree."""

import numpy as np


class LiveLinen:
    """Find the leaves of a tree of dictionaries; writing them makes a new tree.

    ``params`` and ``batch_stats`` at the top are left out of paths.
    """

    CHANGES = False
    COLLECTIONS = ("params", "batch_stats")

    @staticmethod
    def _owns(model: object) -> bool:
        return hasattr(model, "items") and not hasattr(model, "load_state_dict")

    @classmethod
    def _live(cls, model: object) -> dict:
        """Return ``{path: (shape, (keys, array))}``; a path is a tuple of words."""
        return {
            tuple(cls._parts(path)): (tuple(value.shape), (path, value))
            for path, value in cls._walk(model)
            if not str(value.dtype).startswith("key<")  # of a random stream
        }

    @staticmethod
    def _value(leaf: object) -> np.ndarray:
        pair: list = [leaf]
        return np.asarray(pair[0][1])

    @classmethod
    def _parts(cls, path: tuple) -> list:
        return [str(key) for key in (path[1:] if path[0] in cls.COLLECTIONS else path)]

    @classmethod
    def _walk(cls, tree: object, path: tuple = ()) -> list:
        found: list[tuple] = []
        for key, value in getattr(tree, "items", dict)():
            found += cls._walk(value, (*path, key)) if hasattr(value, "items") else [((*path, key), value)]
        return found

    @staticmethod
    def _dtype(leaf: object) -> object:
        """Return the dtype of a leaf."""
        pair: list = [leaf]
        return pair[0][1].dtype

    @classmethod
    def _write(cls, model: object, values: list) -> tuple | None:
        """Put an array into each leaf; return the new model where the old one cannot change."""
        import jax

        new = {path: array for (path, _), array in values}

        def rebuilt(tree: dict, path: tuple = ()) -> dict:
            made = {}
            for key, old in tree.items():
                at = (*path, key)
                made[key] = old
                if hasattr(old, "items"):
                    made[key] = rebuilt(old, at)
                elif at in new:
                    array = np.array(new[at], dtype=old.dtype)
                    made[key] = jax.device_put(array, getattr(old, "sharding", None))
            return type(tree)(made)

        trees: list = [model]
        made: list = [rebuilt(trees[0])]
        return made[0]
