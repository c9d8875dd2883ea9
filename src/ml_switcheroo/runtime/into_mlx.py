"""Load PyTorch state dicts into live MLX modules."""

import numpy as np

from ml_switcheroo.runtime.copying import KeyMapper as BaseMapper


class KeyMapper(BaseMapper):
    """Carry PyTorch weights over to MLX: PyTorch's names, channels last."""

    TABLE = {  # noqa: RUF012
        **{kind: ("weight", ranks, "") for kind, (_, ranks, _) in BaseMapper.TABLE.items()},
        "conv": ("weight", (3, 4, 5), "out in *space -> out *space in"),
        "linear_in_out": ("weight", (2,), "in out -> out in"),
        "conv_transpose": ("weight", (3, 4, 5), "in out *space -> out *space in"),
    }
    SLOTS = {"bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}  # noqa: RUF012

    @staticmethod
    def _owns(model: object) -> bool:
        return any(base.__module__.startswith("mlx.nn") for base in type(model).__mro__)

    @classmethod
    def _leaves(cls, model: object) -> tuple:
        from mlx import nn, utils

        kinds = {nn.Linear: "linear", nn.Embedding: "embedding", nn.BatchNorm: "batch_norm"}
        kinds |= dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), "conv")
        kinds |= dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), "conv_transpose")
        kinds |= {nn.LayerNorm: "layer_norm", nn.GroupNorm: "group_norm", nn.RMSNorm: "rms_norm"}
        modules = dict(getattr(model, "named_modules", dict)())
        # PyTorch names a Sequential's children after it; MLX puts ``layers`` between.
        bare = {
            f"{path}.layers".lstrip(".")
            for path, module in modules.items()
            if isinstance(module, nn.Sequential)
        }

        def parts(path: str) -> list:
            words = path.split(".")
            return [word for i, word in enumerate(words) if ".".join(words[: i + 1]) not in bare]

        layers = {
            cls._join(parts(path)): [(kind, f"the live model's is an nn.{layer.__name__}")]
            for path, module in modules.items()
            for layer, kind in kinds.items()
            if isinstance(module, layer)
        }
        leaves = {}
        for path, value in utils.tree_flatten(getattr(model, "parameters", dict)()):
            leaves[cls._join(parts(path))] = (".".join(parts(path)), tuple(value.shape), (path, value))
        return leaves, layers

    @staticmethod
    def _value(leaf: object) -> np.ndarray:
        import mlx.core as mx

        pair: list = [leaf]
        value = pair[0][1]
        if value.dtype != mx.bfloat16:
            return np.array(value)
        import ml_dtypes

        return np.array(value.view(mx.uint16)).view(ml_dtypes.bfloat16)

    @classmethod
    def _write(cls, model: object, leaves: dict, moves: dict, state_dict: dict) -> tuple | None:
        import mlx.core as mx
        from mlx import utils

        values = []
        for key, (name, kind) in moves.items():
            path, old = leaves[key][-1]
            array = np.ascontiguousarray(cls.map_value(name, state_dict[name], kind))
            if array.dtype.name == "bfloat16":  # MLX takes its bits, not its type
                values.append((path, mx.array(array.view(np.uint16)).view(mx.bfloat16).astype(old.dtype)))
            else:
                values.append((path, mx.array(array).astype(old.dtype)))
        getattr(model, "update", dict)(utils.tree_unflatten(values))
        return None
