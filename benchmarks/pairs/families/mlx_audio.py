"""mlx-audio: models of speech, whose `sanitize` takes the tensors of a `transformers` checkpoint."""

from __future__ import annotations

import importlib
import inspect
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs import OF_TYPE, WAVES, small

from families.mlx_lm import leaves, save

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pair import Leaf

TO = "mlx"
PACKAGES = ("mlx", "mlx-audio", "transformers", "torch")
# Module of mlx-audio, class of transformers, sizes.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "whisper": (
        "stt.models.whisper", "WhisperForConditionalGeneration",
        {"num_mel_bins": 12, "decoder_attention_heads": 4, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96},
    ),
    "wav2vec2": ("stt.models.wav2vec", "Wav2Vec2Model", WAVES),
    "wav2vec2_post": (
        "stt.models.wav2vec", "Wav2Vec2Model",
        WAVES | {"feat_extract_norm": "group", "do_stable_layer_norm": False},
    ),
    "moonshine": (
        "stt.models.moonshine", "MoonshineForConditionalGeneration",
        {
            "encoder_num_hidden_layers": 2, "decoder_num_hidden_layers": 3,
            "encoder_num_attention_heads": 4, "decoder_num_attention_heads": 4,
            "encoder_num_key_value_heads": 4, "decoder_num_key_value_heads": 4,
        },
    ),
    "qwen2_audio": ("stt.models.qwen2_audio", "Qwen2AudioForConditionalGeneration", {}),
}  # fmt: skip


def pairs() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], list[Leaf]]]]:
    """Yield each model that both libraries have."""
    for name, (module, class_name, sizes) in MODELS.items():
        yield name, partial(_build, class_name, sizes), partial(_convert, f"mlx_audio.{module}")


def _build(class_name: str, overrides: dict[str, Any]) -> Any:
    import transformers

    model_class = getattr(transformers, class_name)
    config_class = model_class.config_class
    return model_class(small(config_class, **{**OF_TYPE.get(config_class.model_type, {}), **overrides}))


def _convert(module_name: str, model: Any) -> list[Leaf]:
    import mlx.core as mx

    module = importlib.import_module(module_name)
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder))
        config = json.loads((Path(folder) / "config.json").read_text())
        weights = mx.load(f"{folder}/model.safetensors")
    exact = {"dtype": mx.float32} if "dtype" in inspect.signature(module.Model).parameters else {}
    converted = module.Model(module.ModelConfig.from_dict(config), **exact)
    converted.load_weights(list(converted.sanitize(weights).items()), strict=True)
    return leaves(converted)
