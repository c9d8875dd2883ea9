"""Models of litgpt for ``benchmarks/static.py``: copy this file to its root."""

from litgpt import adapter, adapter_v2, lora, model
from litgpt.config import Config


def pythia():
    return model.GPT(Config.from_name("pythia-14m"))


def llama():
    return model.GPT(Config.from_name("Llama-3.2-1B"))


def mixtral():
    return model.GPT(Config.from_name("Mixtral-8x7B-v0.1", n_layer=2))


def gemma():
    return model.GPT(Config.from_name("Gemma-2-2b", n_layer=3))


def qwen():
    return model.GPT(Config.from_name("Qwen3-0.6B", n_layer=3))


def falcon():
    return model.GPT(Config.from_name("falcon-7b", n_layer=3))


def phi():
    return model.GPT(Config.from_name("phi-2", n_layer=3))


def direct():
    return model.GPT(
        Config(
            block_size=64,
            n_layer=2,
            n_head=4,
            n_embd=32,
            vocab_size=50,
            norm_class_name="RMSNorm",
            mlp_class_name="LLaMAMLP",
            intermediate_size=64,
        )
    )


def with_lora():
    return lora.GPT(
        lora.Config.from_name("pythia-14m", lora_r=4, lora_query=True, lora_value=True, lora_projection=True)
    )


def with_adapter():
    return adapter.GPT(adapter.Config.from_name("pythia-14m"))


def with_adapter2():
    return adapter_v2.GPT(adapter_v2.Config.from_name("pythia-14m"))
