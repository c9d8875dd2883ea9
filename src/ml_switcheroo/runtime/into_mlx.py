"""Load PyTorch state dicts into live MLX modules."""

from ml_switcheroo.runtime.key_mapper import KeyMapper as BaseMapper
from ml_switcheroo.runtime.live_mlx import LiveMlx


class KeyMapper(LiveMlx, BaseMapper):
    """Carry PyTorch weights over to MLX: PyTorch's names, channels last."""

    TABLE = {  # noqa: RUF012
        **{kind: ("weight", ranks, "") for kind, (_, ranks, _) in BaseMapper.TABLE.items()},
        "conv": ("weight", (3, 4, 5), "out in *space -> out *space in"),
        "bilinear": ("weight", (3,), "out in1 in2 -> out in2 in1"),
        "linear_in_out": ("weight", (2,), "in out -> out in"),
        "conv_transpose": ("weight", (3, 4, 5), "in out *space -> out *space in"),
    }
    SLOTS = {"bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}  # noqa: RUF012

    @classmethod
    def _leaves(cls, model: object) -> tuple:
        from mlx import nn

        kinds = {nn.Linear: "linear", nn.Embedding: "embedding", nn.BatchNorm: "batch_norm"}
        kinds |= dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), "conv")
        kinds |= dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), "conv_transpose")
        kinds |= {nn.LayerNorm: "layer_norm", nn.GroupNorm: "group_norm", nn.RMSNorm: "rms_norm"}
        modules = {
            tuple(filter(None, path.split("."))): module
            for path, module in getattr(model, "named_modules", dict)()
        }
        # PyTorch names a Sequential's children after it; MLX puts ``layers`` between.
        bare = {(*path, "layers") for path, module in modules.items() if isinstance(module, nn.Sequential)}
        layers = {
            cls._join(cls._without(bare, path)): [(kind, f"the live model's is an nn.{layer.__name__}")]
            for path, module in modules.items()
            for layer, kind in kinds.items()
            if isinstance(module, layer)
        }
        leaves = {}
        for path, (shape, leaf) in cls._live(model).items():
            parts = cls._without(bare, path)
            leaves[cls._join(parts)] = (".".join(parts), shape, leaf)
        return leaves, layers
