"""The variables of a live Keras 3 model: found, read and written."""

import numpy as np


class LiveKeras:
    """Find, read and write the leaves of a Keras model; it changes in place.

    A layer is found by the attribute that holds it, in a functional or Sequential model by its name or
    its place.
    """

    @staticmethod
    def _owns(model: object) -> bool:
        return any(base.__module__.startswith("keras.") for base in type(model).__mro__)

    @classmethod
    def _live(cls, model: object) -> dict:
        """Return ``{path: (shape, variable)}``; a path is a tuple of words."""
        # Keras keeps what a layer owns itself apart from what its children own.
        return {
            (*parts, variable.name): (tuple(variable.shape), variable)
            for parts, layer in cls._layers(model)
            for variable in [*layer._trainable_variables, *layer._non_trainable_variables]
            if "seed" not in variable.name
        }

    @classmethod
    def _layers(cls, model: object) -> list:
        """Return every layer with its path; what two names have, as PyTorch does, under both."""
        if not getattr(model, "built", True):
            raise TypeError("the Keras model has no variables yet: build it, or call it once, before loading")
        found = []
        todo: list[tuple] = [((), model, ())]
        while todo:
            parts, layer, above = todo.pop()
            if id(layer) not in above:
                found.append((parts, layer))
                inside = (*above, id(layer))
                todo += [((*parts, *names), child, inside) for names, child in cls._children(layer)]
        return found

    @classmethod
    def _children(cls, layer: object) -> list:
        """Return the layers right below one, each with the segments of its name."""
        import keras

        if isinstance(layer, keras.Sequential):
            return [([str(i)], child) for i, child in enumerate(layer.layers)]
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
            return [(child.name.split("."), child) for child in layer.layers]
        found = []
        for name, value in vars(layer).items():
            for names, child in cls._items(name, value) if not name.startswith("_") else ():
                if isinstance(child, keras.layers.Layer):
                    found.append((names, child))
        return found

    @staticmethod
    def _items(name: str, value: object) -> list:
        if isinstance(value, list | tuple):
            return [([name, str(i)], child) for i, child in enumerate(value)]
        if isinstance(value, dict):
            return [([name, str(key)], child) for key, child in value.items()]
        return [([name], value)]

    @staticmethod
    def _value(leaf: object) -> np.ndarray:
        import keras

        return np.asarray(keras.ops.convert_to_numpy(getattr(leaf, "value")))  # noqa: B009

    @staticmethod
    def _dtype(leaf: object) -> object:
        """Return the dtype of a leaf."""
        return getattr(leaf, "dtype")  # noqa: B009

    @classmethod
    def _write(cls, model: object, values: list) -> tuple | None:
        """Put an array into each leaf; return the new model where the old one cannot change."""
        for variable, array in values:
            variable.assign(np.array(array))
        return None
