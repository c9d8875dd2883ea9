"""mlx-vlm: models of images and text, whose `sanitize` takes the tensors of a `transformers` checkpoint."""

from __future__ import annotations

import pkgutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs import OF_TYPE, small

from families.mlx_lm import leaves, save

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pair import Leaf

TO = "mlx"
PACKAGES = ("mlx", "mlx-vlm", "transformers", "torch")
TEXT: dict[str, Any] = {"text_config": {"head_dim": 6}}
TURNED = {"type": "mrope", "rope_type": "default", "mrope_section": [1, 1, 2]}
# What the small sizes leave contradictory.
OVERRIDES: dict[str, dict[str, Any]] = {
    "aya_vision": {"text_config": {"head_dim": 6}, "vision_config": {"vision_use_head": False}},
    "idefics3": TEXT,
    "internvl": {"text_config": {"head_dim": 6}},
    "lfm2_vl": {"vision_config": {"vision_use_head": False}},
    "llava": TEXT,
    "llava_next": TEXT,
    "llava_onevision": {"vision_config": {"vision_use_head": False}},
    "mistral3": {"text_config": {"head_dim": 6, "rope_theta": 10000.0}},
    "paligemma": {"vision_config": {"vision_use_head": False}, "projection_dim": 24},
    "qwen2_vl": {
        "text_config": {"rope_scaling": TURNED, "head_dim": 8},
        "vision_config": {"embed_dim": 20, "hidden_size": 24, "depth": 3, "mlp_ratio": 2},
    },
    "qwen2_5_vl": {
        "text_config": {"rope_scaling": TURNED, "head_dim": 8},
        "vision_config": {"out_hidden_size": 24, "depth": 3},
    },
    "qwen3_vl": {
        "text_config": {"rope_scaling": TURNED, "head_dim": 8},
        "vision_config": {"out_hidden_size": 24, "depth": 3, "deepstack_visual_indexes": [0, 1]},
    },
    "qwen3_vl_moe": {
        "text_config": {"rope_scaling": TURNED, "head_dim": 8},
        "vision_config": {"out_hidden_size": 24, "depth": 3, "deepstack_visual_indexes": [0, 1]},
    },
    "smolvlm": TEXT,
}


def pairs() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], list[Leaf]]]]:
    """Yield each model type that both libraries have."""
    import mlx_vlm.models
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    heads = (transformers.AutoModelForImageTextToText, transformers.AutoModel)
    for info in pkgutil.iter_modules(mlx_vlm.models.__path__):
        if not info.ispkg or info.name not in CONFIG_MAPPING:
            continue
        config_class = CONFIG_MAPPING[info.name]
        head = next((head for head in heads if config_class in head._model_mapping), None)
        if head is not None and config_class not in transformers.AutoModelForCausalLM._model_mapping:
            overrides = {**OF_TYPE.get(info.name, {}), **OVERRIDES.get(info.name, {})}
            yield info.name, partial(_build, head, config_class, overrides), _convert


def _build(head: Any, config_class: Any, overrides: dict[str, Any]) -> Any:
    return head.from_config(small(config_class, **overrides), attn_implementation="eager")


def _convert(model: Any) -> list[Leaf]:
    from mlx_vlm.utils import load_model

    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder))
        return leaves(load_model(Path(folder)))
