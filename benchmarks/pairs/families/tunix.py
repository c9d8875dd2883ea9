"""tunix: its Flax NNX models, which load the safetensors of `transformers` checkpoints."""

from __future__ import annotations

import dataclasses
import importlib
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from configs import OF_TYPE, small
from pair import Leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TO = "nnx"
PACKAGES = ("google-tunix", "flax", "jax", "transformers", "torch")
# Module of tunix, type of transformers, sizes.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama3": ("llama3.params", "llama", {}),
    "llama3_tied": ("llama3.params", "llama", {"tie_word_embeddings": True}),
    "qwen2": ("qwen2.params", "qwen2", {}),
    "qwen3": ("qwen3.params", "qwen3", {}),
    "qwen3_tied": ("qwen3.params", "qwen3", {"tie_word_embeddings": True}),
    "qwen3_moe": ("qwen3.params", "qwen3_moe", {"head_dim": 8}),
    "gemma2": ("gemma.params_safetensors", "gemma2", {}),
    "gemma3": ("gemma3.params_safetensors", "gemma3_text", {}),
}  # fmt: skip


def pairs() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], list[Leaf]]]]:
    """Yield each model that both libraries have."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    for name, (module, model_type, sizes) in MODELS.items():
        overrides = {**OF_TYPE.get(model_type, {}), **sizes}
        build = partial(_build, CONFIG_MAPPING[model_type], overrides)
        yield name, build, partial(_convert, f"tunix.models.{module}")


def _build(config_class: Any, overrides: dict[str, Any]) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(small(config_class, **overrides), attn_implementation="eager")


def _convert(module_name: str, model: Any) -> list[Leaf]:
    import jax.numpy as jnp
    from flax import nnx

    parameters = importlib.import_module(module_name)
    library = importlib.import_module(module_name.rpartition(".")[0] + ".model")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        converted = parameters.create_model_from_safe_tensors(
            folder, _config(library, model.config), None, jnp.float32
        )
    flat = nnx.to_flat_state(nnx.state(converted, nnx.Param))
    return [Leaf(tuple(map(str, keys)), np.asarray(value[...]), "Param") for keys, value in flat]


def _config(library: Any, config: Any) -> Any:
    """Say the sizes of a configuration of `transformers` in tunix's words."""
    heads = config.num_attention_heads
    post = config.model_type == "gemma2"
    said = {
        "num_layers": config.num_hidden_layers,
        "vocab_size": config.vocab_size,
        "num_embed": config.vocab_size,
        "embed_dim": config.hidden_size,
        "hidden_dim": getattr(config, "moe_intermediate_size", config.intermediate_size),
        "num_heads": heads,
        "head_dim": getattr(config, "head_dim", None) or config.hidden_size // heads,
        "num_kv_heads": config.num_key_value_heads,
        "rope_theta": 10_000,
        "norm_eps": 1e-6,
        "weight_tying": config.tie_word_embeddings,
        "use_tied_embedding": config.tie_word_embeddings,
        "num_experts": getattr(config, "num_experts", None),
        "num_experts_per_tok": getattr(config, "num_experts_per_tok", None),
        "final_logit_softcap": None,
        "sliding_window_size": 16,
        "use_post_attn_norm": post,
        "use_post_ffw_norm": post,
    }
    fields = {field.name for field in dataclasses.fields(library.ModelConfig)}
    if "attention_types" in fields:
        said["attention_types"] = (library.AttentionType.GLOBAL,) * config.num_hidden_layers
    return library.ModelConfig(**{name: value for name, value in said.items() if name in fields})
