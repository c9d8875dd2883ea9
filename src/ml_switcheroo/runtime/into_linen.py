"""Load PyTorch state dicts into the variables of Flax Linen: each load makes a new tree."""

import numpy as np

from ml_switcheroo.runtime.copying import KeyMapper as BaseMapper


class KeyMapper(BaseMapper):
    """Carry PyTorch weights over to trees of dictionaries, such as Linen's variables.

    ``params`` and ``batch_stats`` at the top are left out of names; ``layers_0`` is PyTorch's ``layers.0``.
    """

    COLLECTIONS = ("params", "batch_stats")

    @staticmethod
    def _owns(model: object) -> bool:
        return hasattr(model, "items") and not hasattr(model, "load_state_dict")

    @staticmethod
    def _answer(model: object, made: object, report: tuple, with_report: bool) -> tuple:
        # What is no converted model changed in place: the name stays bound to it.
        return BaseMapper._answer(model, model if made is None else made, report, with_report)

    @classmethod
    def to_torch(cls, model: object, kinds: dict | None = None) -> dict:
        """Refuse what a tree of dictionaries cannot show: PyTorch's names. Other objects are asked."""
        if cls._owns(model):
            cure = "use ml_switcheroo.to_torch(tree, like=a PyTorch state dict, to=...)"
            raise TypeError(f"a tree of dictionaries does not show PyTorch's names and kinds: {cure}")
        return super().to_torch(model, kinds)

    @classmethod
    def _leaves(cls, model: object) -> tuple:
        leaves = {}
        for path, value in cls._walk(model):
            parts = cls._parts(path)
            if not str(value.dtype).startswith("key<"):  # of a random stream
                leaves[cls._join(parts)] = (cls._as_torch(parts), tuple(value.shape), (path, value))
        return leaves, {}

    @classmethod
    def _parts(cls, path: tuple) -> list:
        return [str(key) for key in (path[1:] if path[0] in cls.COLLECTIONS else path)]

    @classmethod
    def _as_torch(cls, parts: list) -> str:
        back = {leaf: slot for slot, leaf in cls.SLOTS.items()}
        slot = back.get(parts[-1], "weight" if parts[-1] in ("kernel", "scale", "embedding") else parts[-1])
        return ".".join([*parts[:-1], slot])

    @staticmethod
    def _value(leaf: object) -> np.ndarray:
        pair: list = [leaf]
        return np.asarray(pair[0][1])

    @classmethod
    def _walk(cls, tree: object, path: tuple = ()) -> list:
        found: list[tuple] = []
        for key, value in getattr(tree, "items", dict)():
            found += cls._walk(value, (*path, key)) if hasattr(value, "items") else [((*path, key), value)]
        return found

    @classmethod
    def _write(cls, model: object, leaves: dict, moves: dict, state_dict: dict) -> tuple:
        import jax

        new = {}
        for key, (name, kind) in moves.items():
            new[leaves[key][-1][0]] = cls.map_value(name, state_dict[name], kind)

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
        result: list = [rebuilt(trees[0])]
        return result[0]
