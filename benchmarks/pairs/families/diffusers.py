"""The Flax classes of diffusers 0.31, which load PyTorch checkpoints (`from_pt=True`)."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pair import Leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TO = "linen"
PACKAGES = ("diffusers", "flax", "jax", "torch")
UNET: dict[str, Any] = {
    "sample_size": 16, "block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": 20,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "attention_head_dim": 4,
}  # fmt: skip
UP = {"up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")}
CONTROL = {**UNET, "conditioning_embedding_out_channels": (8, 12, 16, 20)}
del CONTROL["sample_size"]
VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2,
    "block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8, "latent_channels": 4,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": ("UNet2DConditionModel", UNET | UP),
    "unet_linear": ("UNet2DConditionModel", UNET | UP | {"use_linear_projection": True}),
    "unet_two": ("UNet2DConditionModel", UNET | UP | {"layers_per_block": 2, "block_out_channels": (32, 32)}),
    "controlnet": ("ControlNetModel", CONTROL),
    "vae": ("AutoencoderKL", VAE),
    "vae_three": ("AutoencoderKL", VAE | {"layers_per_block": 2, "latent_channels": 3}),
}


def pairs() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], list[Leaf]]]]:
    """Yield each model that has a class in Flax."""
    for name, (class_name, sizes) in MODELS.items():
        yield name, partial(_build, class_name, sizes), partial(_convert, class_name)


def _build(class_name: str, sizes: dict[str, Any]) -> Any:
    import diffusers

    return getattr(diffusers, class_name)(**sizes)


def _convert(class_name: str, model: Any) -> list[Leaf]:
    import diffusers
    from flax.traverse_util import flatten_dict

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, safe_serialization=False)
        flax_class = getattr(diffusers, f"Flax{class_name}")
        _, parameters = flax_class.from_pretrained(folder, from_pt=True)
    return [
        Leaf(tuple(map(str, keys)), np.asarray(value))
        for keys, value in sorted(flatten_dict(parameters).items())
    ]
