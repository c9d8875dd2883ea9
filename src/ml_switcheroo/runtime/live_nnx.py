"""The variables of a live Flax NNX model: found, read and written."""

import numpy as np


class LiveNnx:
    """Find, read and write the leaves of an NNX module; it changes in place."""

    @staticmethod
    def _owns(model: object) -> bool:
        return any(base.__module__.startswith("flax.nnx") for base in type(model).__mro__)

    @classmethod
    def _live(cls, model: object) -> dict:
        """Return ``{path: (shape, variable)}``; a path is a tuple of words."""
        from flax import nnx

        # State of these kinds is none that PyTorch has a tensor for.
        other = (nnx.RngState, nnx.Cache, nnx.Intermediate)
        return {
            path: (tuple(node.get_value().shape), node)
            for path, node in cls._nodes(model).items()
            if isinstance(node, nnx.Variable) and not isinstance(node, other)
        }

    @classmethod
    def _nodes(cls, model: object) -> dict:
        """Return what is in a model by path; what two names have, as PyTorch does, under both."""
        from flax import nnx

        nodes = {tuple(map(str, path)): node for path, node in nnx.iter_graph(model)}
        todo: list[tuple] = [((), model, ())]
        while todo:
            path, node, above = todo.pop()
            nodes[path] = node
            below = () if isinstance(node, nnx.Variable) else nnx.iter_children(node)
            inside = (*above, id(node))
            todo += [((*path, str(key)), child, inside) for key, child in below if id(child) not in inside]
        return nodes

    @staticmethod
    def _value(leaf: object) -> np.ndarray:
        """Return the value of a leaf, as ``_live`` lists it."""
        return np.asarray(getattr(leaf, "get_value")())  # noqa: B009

    @staticmethod
    def _dtype(leaf: object) -> object:
        """Return the dtype of a leaf."""
        return getattr(leaf, "get_value")().dtype  # noqa: B009

    @classmethod
    def _write(cls, model: object, values: list) -> tuple | None:
        """Put an array into each leaf; return the new model where the old one cannot change."""
        import jax

        for variable, array in values:
            old = variable.get_value()
            variable.set_value(jax.device_put(array.astype(old.dtype), getattr(old, "sharding", None)))
        return None
