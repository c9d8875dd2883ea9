"""What the Flax targets share: leaves by Flax's names, channels last.

Source: the parameter sections of https://flax.readthedocs.io/en/latest/api_reference/.
"""

from __future__ import annotations

from collections.abc import Mapping

from ml_switcheroo.recipes import Dropped, Part, part

__all__ = ["KINDS"]

KINDS: Mapping[str, tuple[Part | Dropped, ...]] = {
    "linear": (part("weight", "kernel", "in out"), part("bias", "bias")),
    "conv": (part("weight", "kernel", "*space in out"), part("bias", "bias")),
    "batch_norm": (
        part("weight", "scale"),
        part("bias", "bias"),
        part("running_mean", "mean", collection="batch_stats"),
        part("running_var", "var", collection="batch_stats"),
        Dropped("num_batches_tracked", "Flax's BatchNorm has a fixed momentum and keeps no counter"),
    ),
    "layer_norm": (part("weight", "scale"), part("bias", "bias")),
    "group_norm": (part("weight", "scale"), part("bias", "bias")),
    "embedding": (part("weight", "embedding"),),
    "parameter": (part("", ""),),
    "buffer": (part("", "", collection="buffers"),),
}
