"""Load PyTorch state dicts into live Keras 3 models."""

import numpy as np

from ml_switcheroo.runtime.copying import KeyMapper as BaseMapper


class KeyMapper(BaseMapper):
    """Carry PyTorch weights over to Keras: Flax's layouts, Keras's words.

    A layer is found by the attribute that holds it, in a functional or Sequential model by its name or
    its place.
    """

    TABLE = {  # noqa: RUF012
        **BaseMapper.TABLE,
        "conv_transpose": ("kernel", (3, 4, 5), "in out *space -> *space out in"),
        "embedding": ("embeddings", (2,), ""),
        **dict.fromkeys(BaseMapper.NORMS, ("gamma", (), "")),
    }
    SLOTS = {"bias": "bias", "running_mean": "moving_mean", "running_var": "moving_variance"}  # noqa: RUF012

    @classmethod
    def _leaf(cls, word: str, slot: str) -> str:
        return "beta" if slot == "bias" and word in cls.NORMS else super()._leaf(word, slot)

    @staticmethod
    def _owns(model: object) -> bool:
        return any(base.__module__.startswith("keras.") for base in type(model).__mro__)

    @classmethod
    def _leaves(cls, model: object) -> tuple:
        from keras import layers as nn

        kinds = {nn.Dense: "linear", nn.Embedding: "embedding", nn.BatchNormalization: "batch_norm"}
        kinds |= dict.fromkeys((nn.Conv1DTranspose, nn.Conv2DTranspose, nn.Conv3DTranspose), "conv_transpose")
        kinds |= dict.fromkeys((nn.Conv1D, nn.Conv2D, nn.Conv3D), "conv")
        kinds |= {nn.LayerNormalization: "layer_norm", nn.GroupNormalization: "group_norm"}
        if not getattr(model, "built", True):
            raise TypeError("the Keras model has no variables yet: build it, or call it once, before loading")
        leaves: dict[str, tuple] = {}
        layers: dict[str, list] = {}
        todo: list[tuple] = [([], model)]
        seen: set[int] = set()
        while todo:
            parts, layer = todo.pop()
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            for known, kind in kinds.items():
                if isinstance(layer, known):
                    layers[cls._join(parts)] = [
                        (kind, f"the live model's is a keras.layers.{known.__name__}")
                    ]
            # Keras keeps what a layer owns itself apart from what its children own.
            for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
                if "seed" not in variable.name:
                    path = [*parts, variable.name]
                    leaves[cls._join(path)] = (cls._torch_name(path, layers), tuple(variable.shape), variable)
            todo += [([*parts, *names], child) for names, child in cls._children(layer)]
        return leaves, layers

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

    @classmethod
    def _write(cls, model: object, leaves: dict, moves: dict, state_dict: dict) -> tuple | None:
        new = {key: cls.map_value(name, state_dict[name], kind) for key, (name, kind) in moves.items()}
        for key, array in new.items():
            leaves[key][-1].assign(np.array(array))
        return None
