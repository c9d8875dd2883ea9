"""Models that nobody here wrote, from small configs: of transformers, and in keras-hub and mlx-lm."""

import importlib
import runpy
from pathlib import Path

import mlx.core as mx
import numpy as np
import torch
import transformers

from models.keras import RANDOM, keras, run
from parity import Port

import keras_hub  # isort: skip - after the backend is chosen

# torchvision, which transformers imports where it finds it, needs its compiled operators to be there.
ROOT = Path(__file__).resolve().parents[2]
runpy.run_path(str(ROOT / "benchmarks" / "static.py"))["import_torchvision"]()

IDS = np.random.default_rng(0).integers(2, 12, (2, 7))
MORE_IDS = np.random.default_rng(1).integers(2, 12, (2, 5))
ONES, MORE_ONES = np.ones_like(IDS), np.ones_like(MORE_IDS)
SMALL = {
    "vocab_size": 13,
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "max_position_embeddings": 16,
}


def trained(model):
    """Give a model weights that no symmetry hides."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            scale = name.endswith("weight") and ("norm" in name.lower() or "ln_" in name)
            tensor.copy_(torch.rand_like(tensor) + 0.5 if scale else torch.randn_like(tensor) * 0.2)
    return model.eval()


def in_keras(make, inputs, output=None):
    """Make a backbone of zeros: random numbers take long to compile."""
    with keras.saving.custom_object_scope(dict.fromkeys(RANDOM, keras.initializers.Zeros)):
        model = make()

    def call(model, _):
        found = run(model, inputs)
        return found[output] if output else found

    return Port(model, call)


def bert():
    # keras-hub's BERT has the GELU by tanh.
    sizes = {**SMALL, "max_position_embeddings": 9, "hidden_act": "gelu_new"}
    del sizes["num_key_value_heads"]
    torch_model = transformers.BertModel(transformers.BertConfig(**sizes))
    types = np.array([[0] * 3 + [1] * 4] * 2)
    port = in_keras(
        lambda: keras_hub.models.BertBackbone(13, 2, 3, 12, 20, dropout=0, max_sequence_length=9),
        {"token_ids": IDS, "segment_ids": types, "padding_mask": ONES},
        "sequence_output",
    )
    return torch_model, port, {"input_ids": IDS, "token_type_ids": types}, "last_hidden_state"


def gpt2():
    config = transformers.GPT2Config(
        vocab_size=13,
        n_positions=9,
        n_embd=12,
        n_layer=2,
        n_head=3,
        n_inner=20,
        bos_token_id=1,
        eos_token_id=2,
    )
    port = in_keras(
        lambda: keras_hub.models.GPT2Backbone(13, 2, 3, 12, 20, dropout=0, max_sequence_length=9),
        {"token_ids": IDS, "padding_mask": ONES},
    )
    return transformers.GPT2Model(config), port, {"input_ids": IDS}, "last_hidden_state"


def llama():
    """The backbone holds the head, which is not tied; its output is that before the head."""
    config = transformers.LlamaConfig(**SMALL, rms_norm_eps=1e-5)
    port = in_keras(
        lambda: keras_hub.models.LlamaBackbone(13, 2, 3, 12, 20, 1, layer_norm_epsilon=1e-5),
        {"token_ids": IDS, "padding_mask": ONES},
    )
    inputs = {"input_ids": IDS, "output_hidden_states": True}
    return transformers.LlamaForCausalLM(config), port, inputs, "hidden_states"


def t5():
    config = transformers.T5Config(
        vocab_size=13,
        d_model=12,
        d_kv=4,
        d_ff=20,
        num_layers=2,
        num_heads=3,
        feed_forward_proj="relu",
        dropout_rate=0.0,
    )
    port = in_keras(
        lambda: keras_hub.models.T5Backbone(
            *(13, 2, 3, 12, 20),
            key_value_dim=4,
            activation="relu",
            use_gated_activation=False,
            dropout=0,
        ),
        {
            "encoder_token_ids": IDS,
            "encoder_padding_mask": ONES,
            "decoder_token_ids": MORE_IDS,
            "decoder_padding_mask": MORE_ONES,
        },
        "decoder_sequence_output",
    )
    inputs = {"input_ids": IDS, "decoder_input_ids": MORE_IDS}
    return transformers.T5Model(config), port, inputs, "last_hidden_state"


def whisper():
    config = transformers.WhisperConfig(
        vocab_size=13,
        num_mel_bins=8,
        d_model=12,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=3,
        decoder_attention_heads=3,
        encoder_ffn_dim=20,
        decoder_ffn_dim=20,
        max_source_positions=6,
        max_target_positions=9,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    sound = np.random.default_rng(2).normal(size=(2, 8, 12)).astype(np.float32)
    port = in_keras(
        lambda: keras_hub.models.WhisperBackbone(
            *(13, 2, 3, 12, 20),
            num_mels=8,
            dropout=0,
            max_encoder_sequence_length=12,
            max_decoder_sequence_length=9,
        ),
        {
            "encoder_features": sound.transpose(0, 2, 1),
            "decoder_token_ids": MORE_IDS,
            "decoder_padding_mask": MORE_ONES,
        },
        "decoder_sequence_output",
    )
    inputs = {"input_features": sound, "decoder_input_ids": MORE_IDS}
    return transformers.WhisperModel(config), port, inputs, "last_hidden_state"


def clip():
    text = {**SMALL, "max_position_embeddings": 9, "eos_token_id": 12, "bos_token_id": 1, "pad_token_id": 0}
    del text["num_key_value_heads"]
    vision = {
        "hidden_size": 8,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 8,
        "patch_size": 4,
    }
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=6)
    images = np.random.default_rng(3).normal(size=(2, 3, 8, 8)).astype(np.float32)
    ids = np.concatenate([IDS[:, :-1], np.full((2, 1), 12)], axis=1)
    port = in_keras(
        lambda: keras_hub.models.CLIPBackbone(
            keras_hub.models.CLIPVisionEncoder(4, 8, 2, 2, 24, image_shape=(8, 8, 3)),
            keras_hub.models.CLIPTextEncoder(13, 12, 12, 2, 3, 20, max_sequence_length=9),
            6,
        ),
        {"images": images.transpose(0, 2, 3, 1), "token_ids": ids},
        "vision_logits",
    )
    # keras-hub counts the positions in a variable that its presets fill.
    for variable in port.model.weights:
        if variable.path.endswith("position_ids"):
            variable.assign(np.arange(5, dtype=np.int32)[None])
    inputs = {"input_ids": ids, "pixel_values": images}
    return transformers.CLIPModel(config), port, inputs, "logits_per_image"


KERAS_HUB = {function.__name__: function for function in (bert, gpt2, llama, t5, whisper, clip)}

MLX_LM = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM, SMALL),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM, SMALL),
    "gpt2": (
        transformers.GPT2Config,
        transformers.GPT2LMHeadModel,
        {
            "vocab_size": 13,
            "n_positions": 16,
            "n_embd": 12,
            "n_layer": 2,
            "n_head": 3,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
    ),
}


def in_mlx_lm(name):
    """Return the torch model and the one of mlx-lm with the same config."""
    config_class, model_class, sizes = MLX_LM[name]
    config = config_class(**sizes)
    module = importlib.import_module(f"mlx_lm.models.{name}")
    told = {**config.to_dict(), "rope_theta": 10000.0, "n_ctx": 16}
    model = module.Model(module.ModelArgs.from_dict(told))
    return model_class(config), Port(model, lambda model, ids: np.array(model(mx.array(ids))))
