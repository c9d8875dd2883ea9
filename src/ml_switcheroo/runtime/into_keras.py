"""Load PyTorch state dicts into live Keras 3 models."""

from ml_switcheroo.runtime.key_mapper import KeyMapper as BaseMapper
from ml_switcheroo.runtime.live_keras import LiveKeras


class KeyMapper(LiveKeras, BaseMapper):
    """Carry PyTorch weights over to Keras: Flax's layouts, Keras's words."""

    TABLE = {  # noqa: RUF012
        **BaseMapper.TABLE,
        "conv_transpose": ("kernel", (3, 4, 5), "in out *space -> *space out in"),
        "embedding": ("embeddings", (2,), ""),
        **dict.fromkeys(BaseMapper.NORMS, ("gamma", (), "")),
        "rms_norm": ("scale", (), ""),
    }
    SLOTS = {"bias": "bias", "running_mean": "moving_mean", "running_var": "moving_variance"}  # noqa: RUF012

    @classmethod
    def _leaf(cls, word: str, slot: str) -> str:
        return "beta" if slot == "bias" and word in cls.NORMS else super()._leaf(word, slot)

    @classmethod
    def _leaves(cls, model: object) -> tuple:
        from keras import layers as nn

        kinds = {nn.Dense: "linear", nn.Embedding: "embedding", nn.BatchNormalization: "batch_norm"}
        kinds |= dict.fromkeys((nn.Conv1DTranspose, nn.Conv2DTranspose, nn.Conv3DTranspose), "conv_transpose")
        kinds |= dict.fromkeys((nn.Conv1D, nn.Conv2D, nn.Conv3D), "conv")
        kinds |= {getattr(nn, "RMSNormalization", nn.GroupNormalization): "rms_norm"}
        kinds |= {nn.LayerNormalization: "layer_norm", nn.GroupNormalization: "group_norm"}
        layers = {
            cls._join(parts): [(kind, f"the live model's is a keras.layers.{known.__name__}")]
            for parts, layer in cls._layers(model)
            for known, kind in kinds.items()
            if isinstance(layer, known)
        }
        leaves = {}
        for path, (shape, leaf) in cls._live(model).items():
            leaves[cls._join(path)] = (cls._torch_name(list(path), layers), shape, leaf)
        return leaves, layers
