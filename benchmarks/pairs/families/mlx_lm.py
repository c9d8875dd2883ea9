"""mlx-lm: its model classes, whose `sanitize` takes the tensors of a `transformers` checkpoint."""

from __future__ import annotations

import importlib
import json
import pkgutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from configs import small
from pair import Leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TO = "mlx"
PACKAGES = ("mlx", "mlx-lm", "transformers", "torch")


LATENT: dict[str, Any] = {
    "kv_lora_rank": 14, "q_lora_rank": 18, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 10,
    "n_routed_experts": 6, "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
}  # fmt: skip
# What the small sizes leave too large or contradictory, or mlx-lm asks for beyond the configuration.
OVERRIDES: dict[str, dict[str, Any]] = {
    "apertus": {"mlp_bias": False, "post_norm": False, "qk_norm": True},
    "cohere2": {"head_dim": 6},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 40, "moe_num_experts": 6, "moe_top_k": 2},
    },
    "deepseek_v2": {**LATENT, "rope_scaling": {"type": "yarn", "rope_type": "yarn", "factor": 2.0}},
    "deepseek_v3": LATENT,
    "dots1": LATENT,
    "falcon_h1": {
        "head_dim": 6, "mamba_d_ssm": 48, "mamba_n_heads": 6, "mamba_d_head": 8,
        "mamba_d_state": 10,
    },
    "exaone4": {"head_dim": 8, "sliding_window_pattern": "LLG"},
    "gemma3": {"vocab_size": 97},
    "glm4_moe": {**LATENT, "head_dim": 8},
    "gpt_bigcode": {"n_inner": 44},
    "gpt_neox": {"intermediate_size": 96},
    "granitemoehybrid": {
        "mamba_n_heads": 6, "mamba_d_head": 8, "mamba_d_state": 10, "mamba_n_groups": 2,
        "shared_intermediate_size": 36, "layer_types": ["mamba", "attention", "mamba"],
    },
    "helium": {"head_dim": 6},
    "hunyuan_v1_dense": {"head_dim": 8, "rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0}},
    "jamba": {
        "attn_layer_period": 3, "attn_layer_offset": 1, "expert_layer_period": 2, "mamba_dt_rank": 5,
        "mamba_d_state": 10, "num_hidden_layers": 4, "use_mamba_kernels": False,
    },
    "lfm2": {"block_dim": 24, "full_attn_idxs": [1], "layer_types": ["conv", "full_attention", "conv"]},
    "longcat_flash": {
        **LATENT, "ffn_hidden_size": 40, "expert_ffn_hidden_size": 28, "zero_expert_num": 2, "num_layers": 2,
        "attention_method": "MLA", "zero_expert_type": "identity", "mla_scale_q_lora": True,
        "mla_scale_kv_lora": True,
    },
    "mamba2": {"num_heads": 6, "head_dim": 8, "n_groups": 2, "state_size": 10, "intermediate_size": 48},
    "minimax": {"shared_intermediate_size": 40, "rotary_dim": 4},
    "nemotron": {"num_key_value_heads": 2},
    "olmo3": {"num_hidden_layers": 4},
    "phimoe": {"lm_head_bias": True, "attention_bias": True},
    "qwen3_moe": {"head_dim": 8},
    "qwen3_next": {
        "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 6,
        "linear_value_head_dim": 5, "num_hidden_layers": 4,
    },
    "recurrent_gemma": {"head_dim": 6, "num_key_value_heads": 1},
}  # fmt: skip


def pairs() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], list[Leaf]]]]:
    """Yield each model type that both libraries have."""
    import mlx_lm.models
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    for info in pkgutil.iter_modules(mlx_lm.models.__path__):
        if info.name not in CONFIG_MAPPING:
            continue
        config_class = CONFIG_MAPPING[info.name]
        if config_class in AutoModelForCausalLM._model_mapping:
            overrides = OVERRIDES.get(info.name, {})
            yield info.name, partial(_build, config_class, overrides), partial(_convert, info.name)


def _build(config_class: Any, overrides: dict[str, Any]) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(small(config_class, **overrides), attn_implementation="eager")


def _convert(model_type: str, model: Any) -> list[Leaf]:
    from mlx_lm.utils import load_model

    importlib.import_module(f"mlx_lm.models.{model_type}")
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder))
        return leaves(load_model(Path(folder))[0])


def save(model: Any, folder: Path) -> None:
    """Save a model of `transformers` with its whole configuration, what is as by default too."""
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(json.loads(model.config.to_json_string(use_diff=False))))


def leaves(model: Any) -> list[Leaf]:
    """Return the parameters of a model of MLX, in float32."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    return [
        Leaf(
            tuple(path.split(".")),
            np.array(value.astype(mx.float32) if mx.issubdtype(value.dtype, mx.floating) else value),
            "parameters",
        )
        for path, value in tree_flatten(model.parameters())
    ]
