"""Functions of libraries that load or save the weights of a model without ``load_state_dict``: data."""

from __future__ import annotations

import re

__all__ = ["note_of_function"]

# The first pattern that is found in the dotted name of the function counts; the word is the note's.
_FUNCTIONS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (note, re.compile(pattern))
    for note, pattern in (
        ("loaded-by", r"^safetensors(\.torch)?\.load_model$"),
        ("saved-by", r"^safetensors(\.torch)?\.save_model$"),
        ("loaded-by", r"^torch\.distributed\.checkpoint\.state_dict\.set_(model_)?state_dict$"),
        ("saved-by", r"^torch\.distributed\.checkpoint\.state_dict\.get_(model_)?state_dict$"),
        ("loaded-in-shards", r"^torch\.distributed\.checkpoint(\.\w+)*\.load(_state_dict)?$"),
        ("saved-in-shards", r"^torch\.distributed\.checkpoint(\.\w+)*\.((async_)?save|save_state_dict)$"),
        ("loaded-by", r"^accelerate(\.\w+)*\.load_checkpoint_(in_model|and_dispatch)$"),
        ("loaded-by", r"(^|\.)accelerator\.load_state$"),
        ("saved-by", r"(^|\.)accelerator\.save_(model|state)$"),
        ("saved-by", r"(^|\.)trainer\.save_model$"),
        ("loaded-by", r"^transformers(\.\w+)*\.load_sharded_checkpoint$"),
        ("loaded-by", r"^peft(\.\w+)*\.set_peft_model_state_dict$"),
        ("loaded-by", r"^(mmengine|mmcv)(\.\w+)*\.load_(checkpoint|state_dict)$"),
        ("loaded-by", r"^timm(\.\w+)*\.load_(checkpoint|pretrained|custom_pretrained)$"),
        ("loaded-by", r"^torch\.nn\.utils(\.\w+)*\.vector_to_parameters$"),
    )
)


def note_of_function(dotted: str) -> str:
    """Return the name of the note on a function, by its dotted name; empty where there is none.

    >>> note_of_function("safetensors.torch.load_model"), note_of_function("whisper.load_model")
    ('loaded-by', '')
    """
    return next((note for note, pattern in _FUNCTIONS if pattern.search(dotted)), "")
