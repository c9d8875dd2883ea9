"""Load PyTorch state dicts into the variables of Flax Linen: each load makes a new tree."""

from ml_switcheroo.runtime.key_mapper import KeyMapper as BaseMapper
from ml_switcheroo.runtime.live_linen import LiveLinen


class KeyMapper(LiveLinen, BaseMapper):
    """Carry PyTorch weights over to trees of dictionaries: Linen's ``layers_0`` is PyTorch's ``layers.0``."""

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
        for path, (shape, leaf) in cls._live(model).items():
            leaves[cls._join(path)] = (cls._as_torch(list(path)), shape, leaf)
        return leaves, {}

    @classmethod
    def _as_torch(cls, parts: list) -> str:
        back = {leaf: slot for slot, leaf in cls.SLOTS.items()}
        slot = back.get(parts[-1], "weight" if parts[-1] in ("kernel", "scale", "embedding") else parts[-1])
        return ".".join([*parts[:-1], slot])
