"""Load PyTorch state dicts into the parameters of Haiku: each load makes a new tree."""

from ml_switcheroo.runtime.into_linen import KeyMapper as TreeMapper
from ml_switcheroo.runtime.live_haiku import LiveHaiku


class KeyMapper(LiveHaiku, TreeMapper):
    """Carry PyTorch weights over to Haiku's parameters: ``net/~/fc1`` is PyTorch's ``fc1``."""

    TABLE = {  # noqa: RUF012
        **{kind: (row[0].replace("kernel", "w"), *row[1:]) for kind, row in TreeMapper.TABLE.items()},
        "conv_transpose": ("w", (3, 4, 5), "in out *space -> *space out in, mirrored"),
        "embedding": ("embeddings", (2,), ""),
    }

    @classmethod
    def _leaf(cls, word: str, slot: str) -> str:
        named = {"bias": "offset" if word in cls.NORMS else "b"}
        return named.get(slot) or super()._leaf(word, slot)

    @staticmethod
    def _tree(leaves: dict) -> dict:
        tree: dict = {}
        for key, value in leaves.items():
            owner, _, leaf = f"part.{key}".rpartition(".")
            tree.setdefault(owner.replace(".", "/"), {})[leaf] = value
        return tree

    @classmethod
    def _as_torch(cls, parts: list) -> str:
        back = {"w": "weight", "b": "bias", "scale": "weight", "offset": "bias", "embeddings": "weight"}
        return ".".join([*parts[:-1], back.get(parts[-1], parts[-1])])
