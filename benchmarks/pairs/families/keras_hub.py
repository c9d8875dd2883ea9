"""keras-hub: its backbones, which load the checkpoints of `transformers` (a folder as preset)."""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from configs import OF_TYPE, small
from pair import Leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TO = "keras"
PACKAGES = ("keras", "keras-hub", "transformers", "torch")
HEADS = ("AutoModelForImageClassification", "AutoModelForPreTraining", "AutoModelForCausalLM")
BARE = {"bart", "blip_2", "dinov2", "dinov3_vit", "esm", "metaclip_2", "paligemma", "t5gemma", "xlm_roberta"}
OVERRIDES: dict[str, dict[str, Any]] = {
    "bart": {"decoder_ffn_dim": 40, "decoder_attention_heads": 4, "decoder_layers": 3},
    "bert": {"type_vocab_size": 2},
    "paligemma": {"projection_dim": 24},
    "qwen3_moe": {"head_dim": 8},
    "roberta": {"type_vocab_size": 1},
}


def pairs() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], list[Leaf]]]]:
    """Yield each type of model that keras-hub converts, with the first head that it has."""
    import transformers
    from keras_hub.src.utils.transformers.preset_loader import TransformersPresetLoader
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    read = inspect.getsource(TransformersPresetLoader.__init__)
    for model_type in re.findall(r'"([\w-]+)"', read):
        if model_type not in CONFIG_MAPPING:
            continue
        config_class = CONFIG_MAPPING[model_type]
        name = model_type.replace("-", "_")
        heads = [getattr(transformers, head) for head in HEADS if name not in BARE]
        heads = [head for head in heads if config_class in head._model_mapping]
        build = partial(
            _build,
            [*heads, transformers.AutoModel][0],
            config_class,
            {**OF_TYPE.get(model_type, {}), **OVERRIDES.get(name, {})},
        )
        yield name, build, _convert


def _build(head: Any, config_class: Any, overrides: dict[str, Any]) -> Any:
    return head.from_config(small(config_class, **overrides), attn_implementation="eager")


def _convert(model: Any) -> list[Leaf]:
    import keras
    import keras_hub

    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads(model.config.to_json_string(use_diff=False))  # what is as by default, too
        (Path(folder) / "config.json").write_text(json.dumps(config))
        converted = keras_hub.models.Backbone.from_preset(folder, dtype="float32")
    trained = {id(weight) for weight in converted.trainable_weights}
    return [
        Leaf(
            tuple(weight.path.split("/")),
            np.array(weight),
            "trainable" if id(weight) in trained else "non_trainable",
        )
        for weight in converted.weights
        if "seed_generator" not in weight.path
    ]
