"""Models of minGPT for ``benchmarks/static.py``: copy this file to its root."""

from mingpt.model import GPT


def nano():
    config = GPT.get_default_config()
    config.model_type, config.vocab_size, config.block_size = "gpt-nano", 50, 16
    return GPT(config)
