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
    def _part(cls, model: object, part: str) -> object:
        """Return a part as a tree of its own."""
        if not part or not cls._owns(model):
            return super()._part(model, part)
        return cls._tree({key: value for key, (_, value) in cls._inside(model, part).items()})

    @classmethod
    def _with_part(cls, model: object, part: str, new: object) -> object:
        if not part or not cls._owns(model):
            return super()._with_part(model, part, new)
        made = {cls._join(path): leaf[1] for path, (_, leaf) in cls._live(new).items()}
        return cls._write(model, [(leaf, made[key]) for key, leaf in cls._inside(model, part).items()])

    @classmethod
    def _inside(cls, model: object, part: str) -> dict:
        """Return ``{key below a part: leaf}``; the parts of a list are ``blocks_0``, ``blocks_1``."""
        leaves = {cls._join(path): leaf for path, (_, leaf) in cls._live(model).items()}
        path = cls._join(part.split("."))
        below = {key[len(path) :]: leaf for key, leaf in leaves.items() if key.startswith(path)}
        found = {key[1:]: leaf for key, leaf in below.items() if key[0] == "."}
        found = found or {
            key[1:]: leaf for key, leaf in below.items() if key[0] == "_" and key[1:2].isdecimal()
        }
        if not found:
            parts = ", ".join(sorted({key.rpartition(".")[0] for key in leaves}))
            raise RuntimeError(f"the tree has no part {part!r}, nothing was written; there are: {parts}")
        return found

    @staticmethod
    def _tree(leaves: dict) -> dict:
        """Return a tree of the leaves of a part."""
        tree: dict = {}
        for key, value in leaves.items():
            owner, _, leaf = key.rpartition(".")
            (tree.setdefault(owner, {}) if owner else tree)[leaf] = value
        return {"params": tree}

    @classmethod
    def _leaves(cls, model: object) -> tuple:
        leaves = {}
        for path, (shape, leaf) in cls._live(model).items():
            leaves[cls._join(path)] = (cls._as_torch(list(path)), shape, leaf)
        return leaves, {}

    @classmethod
    def _named(cls, model: object) -> dict:
        leaves: dict = cls._leaves(model)[0]
        return {key: (name, shape, (), leaf) for key, (name, shape, leaf) in leaves.items()}

    @classmethod
    def _as_torch(cls, parts: list) -> str:
        back = {leaf: slot for slot, leaf in cls.SLOTS.items()}
        slot = back.get(parts[-1], "weight" if parts[-1] in ("kernel", "scale", "embedding") else parts[-1])
        return ".".join([*parts[:-1], slot])
