"""Small `transformers` models: the default configuration of a class, with small sizes that differ."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# By the names that configurations use. What a configuration does not have is left out.
SIZES: dict[str, Any] = {
    "vocab_size": 97, "type_vocab_size": 3, "max_position_embeddings": 64, "n_positions": 64, "n_ctx": 64,
    "max_source_positions": 36, "max_target_positions": 30,
    "hidden_size": 24, "d_model": 24, "n_embd": 24, "dim": 24, "embedding_size": 16,
    "intermediate_size": 40, "ffn_dim": 40, "d_ff": 40, "d_inner": 40, "n_inner": 40, "hidden_dim": 40,
    "encoder_ffn_dim": 40, "decoder_ffn_dim": 44, "d_kv": 6, "head_dim": 8,
    "num_hidden_layers": 3, "n_layer": 3, "n_layers": 3, "num_layers": 3, "num_decoder_layers": 2,
    "encoder_layers": 3, "decoder_layers": 2,
    "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4, "num_key_value_heads": 2,
    "encoder_attention_heads": 4, "decoder_attention_heads": 3,
    "num_local_experts": 6, "num_experts": 6, "n_routed_experts": 6, "num_experts_per_tok": 2,
    "moe_intermediate_size": 28, "shared_expert_intermediate_size": 36,
    "image_size": 32, "patch_size": 8, "projection_dim": 20, "num_labels": 7, "num_channels": 3,
    "rotary_dim": 4, "sliding_window": 16, "word_embed_proj_dim": 18,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 0,
}  # fmt: skip


WAVES: dict[str, Any] = {
    "conv_dim": [12, 14], "conv_kernel": [3, 2], "conv_stride": [2, 2], "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 6, "num_conv_pos_embedding_groups": 2, "codevector_dim": 16,
    "proj_codevector_dim": 18, "num_codevectors_per_group": 8,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True,
}  # fmt: skip
CONVNEXT = {"hidden_sizes": [10, 12, 14, 16], "depths": [1, 2, 1, 1], "image_size": 64, "patch_size": 4}
# What the small sizes leave too large or contradictory, by model type.
OF_TYPE: dict[str, dict[str, Any]] = {
    "convnext": CONVNEXT,
    "convnextv2": CONVNEXT,
    "ctrl": {"dff": 40},
    "cvt": {"embed_dim": [12, 16, 24], "num_heads": [1, 2, 4], "depth": [1, 2, 2]},
    "efficientformer": {
        "hidden_sizes": [12, 16, 20, 24], "depths": [1, 1, 2, 2], "key_dim": 8, "image_size": 224,
    },
    "esm": {"vocab_size": 33, "position_embedding_type": "rotary", "pad_token_id": 1, "mask_token_id": 32},
    "flaubert": {"emb_dim": 24, "n_words": 97},
    "gpt_neo": {"num_layers": 4, "attention_types": [[["global", "local"], 2]]},
    "layoutlmv3": {"coordinate_size": 4, "shape_size": 4},
    "llama": {"head_dim": 6},
    "longformer": {"attention_window": [8, 8, 8], "max_position_embeddings": 130},
    "mobilevit": {"hidden_sizes": [12, 16, 20], "neck_hidden_sizes": [6, 8, 10, 12, 14, 16, 24]},
    "regnet": {
        "embedding_size": 10, "hidden_sizes": [12, 14, 16, 18], "depths": [1, 2, 1, 1], "groups_width": 2,
    },
    "resnet": {"embedding_size": 10, "hidden_sizes": [12, 16, 20, 24], "depths": [2, 1, 2, 1]},
    "roformer": {"embedding_size": 24},
    "wav2vec2": WAVES, "hubert": WAVES,
    "segformer": {
        "hidden_sizes": [8, 12, 16, 20], "depths": [1, 2, 1, 1], "num_attention_heads": [1, 2, 2, 4],
        "decoder_hidden_size": 18, "image_size": 64,
    },
    "swiftformer": {"embed_dims": [8, 12, 16, 20], "depths": [1, 1, 2, 1], "image_size": 64},
    "swin": {"depths": [2, 1], "num_heads": [2, 4], "embed_dim": 12, "window_size": 2, "patch_size": 4},
    "transfo-xl": {"cutoffs": [20, 40, 60], "d_embed": 24, "div_val": 1},
    "vit_mae": {
        "decoder_hidden_size": 16, "decoder_intermediate_size": 32, "decoder_num_hidden_layers": 2,
        "decoder_num_attention_heads": 4,
    },
    "xlm": {"emb_dim": 24, "n_words": 97},
    "xglm": {"attention_heads": 4},
}  # fmt: skip


def make_square() -> None:
    """Let widths be equal from now on, so that most matrices are square and most vectors of one size."""
    SIZES.update(
        dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "d_inner", "n_inner", "hidden_dim"), 24)
    )
    SIZES.update(
        {"encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "embedding_size": 24, "d_kv": 6, "head_dim": 6}
    )
    SIZES.update({"decoder_attention_heads": 4, "num_key_value_heads": 4, "moe_intermediate_size": 24})
    SIZES.update({"projection_dim": 24, "word_embed_proj_dim": 24, "shared_expert_intermediate_size": 24})


def small(config_class: type, **overrides: Any) -> Any:
    """Make a small configuration of a class; `overrides` are set whether it has them by default or not."""
    default = config_class()
    sizes: dict[str, Any] = {}
    for name, value in vars(default).items():
        if getattr(value, "model_type", ""):
            sizes[name] = small(type(value), **overrides.pop(name, {})).to_dict()
        elif name in SIZES and isinstance(value, int):
            sizes[name] = SIZES[name]
    return config_class(**{**sizes, **overrides})


# Of each kind of model the bare one, and the first of these that it has.
HEADS = (
    "FOR_PRETRAINING", "FOR_MASKED_LM", "FOR_CAUSAL_LM", "FOR_SEQ_TO_SEQ_CAUSAL_LM", "FOR_SPEECH_SEQ_2_SEQ",
    "FOR_IMAGE_CLASSIFICATION", "FOR_SEMANTIC_SEGMENTATION", "FOR_SEQUENCE_CLASSIFICATION",
)  # fmt: skip


def of_transformers(prefix: str, auto: str, constant: str) -> Iterator[tuple[str, Callable[[], Any], Any]]:
    """Yield the classes that another framework has too: name, how to build it, the other class."""
    import transformers

    module = importlib.import_module(f"transformers.models.auto.{auto}")
    tables = [
        getattr(module, f"{constant}_MODEL_{head}MAPPING_NAMES", {})
        for head in ("", *(h + "_" for h in HEADS))
    ]
    for model_type in tables[0]:
        found = [table[model_type] for table in tables if model_type in table]
        flat = [name for entry in found for name in ([entry] if isinstance(entry, str) else entry)]
        for other in list(dict.fromkeys(flat))[:2]:
            original = getattr(transformers, other.removeprefix(prefix), None)
            if original is None or not hasattr(transformers, other):
                continue
            yield other.removeprefix(prefix), partial(_build, original), getattr(transformers, other)


def _build(model_class: Any) -> Any:
    config_class = model_class.config_class
    return model_class(small(config_class, **OF_TYPE.get(config_class.model_type, {})))
