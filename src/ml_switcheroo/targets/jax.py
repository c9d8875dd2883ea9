"""The flat tree with Flax's names that ``KeyMapper.from_torch`` returns: ``layers_0.fc1.kernel``.

What Flax has a layer for that holds the same tensors gets Flax's names and layouts. What Flax holds
in other pieces (recurrent layers, attention) keeps PyTorch's: a flat dictionary has no layers.
"""

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.ops import Flip
from ml_switcheroo.recipes import Files, Mapper, Naming, Target, part
from ml_switcheroo.targets.flax_kinds import KINDS

__all__ = ["TARGET"]

_AS_IT_IS = ("bilinear", "rnn", "lstm", "gru", "rnn_cell", "lstm_cell", "gru_cell")
_IN_ATTENTION = (slot for slot in LAYERS["mha"].slots if not slot.startswith("out_proj"))

TARGET = Target(
    name="jax",
    summary="a flat dictionary with Flax's names and layouts",
    kinds={
        **KINDS,
        **{kind: tuple(part(slot, slot) for slot in LAYERS[kind].slots) for kind in _AS_IT_IS},
        "mha": (
            *(part(slot, slot) for slot in _IN_ATTENTION),
            part("out_proj.weight", "out_proj.kernel", "out in -> in out"),
            part("out_proj.bias", "out_proj.bias"),
        ),
        "conv_transpose": (
            part("weight", "kernel", "*space in out", Flip("in out *space")),
            part("bias", "bias"),
        ),
        "instance_norm": KINDS["batch_norm"],
        "prelu": (part("weight", "scale"),),
    },
    naming=Naming(join_digits=True),
    channels="last",
    mapper=Mapper("ml_switcheroo.runtime.key_mapper", "ml_switcheroo.runtime.live_nnx"),
    files=Files(("orbax",)),
)
