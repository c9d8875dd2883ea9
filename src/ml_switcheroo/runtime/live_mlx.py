"""The arrays of a live MLX module: found, read and written."""

import numpy as np


class LiveMlx:
    """Find, read and write the leaves of an MLX module; it changes in place."""

    @staticmethod
    def _owns(model: object) -> bool:
        return any(base.__module__.startswith("mlx.nn") for base in type(model).__mro__)

    @classmethod
    def _live(cls, model: object) -> dict:
        """Return ``{path: (shape, (dotted path, array))}``; a path is a tuple of words."""
        from mlx import utils

        return {
            tuple(path.split(".")): (tuple(value.shape), (path, value))
            for path, value in utils.tree_flatten(getattr(model, "parameters", dict)())
        }

    @staticmethod
    def _value(leaf: object) -> np.ndarray:
        import mlx.core as mx

        pair: list = [leaf]
        value = pair[0][1]
        if value.dtype != mx.bfloat16:
            return np.array(value)
        import ml_dtypes

        return np.array(value.view(mx.uint16)).view(ml_dtypes.bfloat16)

    @staticmethod
    def _dtype(leaf: object) -> object:
        """Return the dtype of a leaf."""
        pair: list = [leaf]
        return pair[0][1].dtype

    @classmethod
    def _write(cls, model: object, values: list) -> tuple | None:
        """Put an array into each leaf; return the new model where the old one cannot change."""
        import mlx.core as mx
        from mlx import utils

        new = []
        for (path, old), array in values:
            whole = np.ascontiguousarray(array)
            if whole.dtype.name == "bfloat16":  # MLX takes its bits, not its type
                new.append((path, mx.array(whole.view(np.uint16)).view(mx.bfloat16).astype(old.dtype)))
            else:
                new.append((path, mx.array(whole).astype(old.dtype)))
        getattr(model, "update", dict)(utils.tree_unflatten(new))
        return None
