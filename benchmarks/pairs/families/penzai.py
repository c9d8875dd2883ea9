"""penzai: its converters of `transformers` models in memory, with the layers one by one and stacked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from configs import OF_TYPE, small
from pair import Leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TO = "jax"
PACKAGES = ("penzai", "jax", "transformers", "torch")
OVERRIDES: dict[str, dict[str, Any]] = {
    "gemma": {"head_dim": 6},
    "gemma2": {"head_dim": 6, "query_pre_attn_scalar": 6},
    "gpt_neox": {"intermediate_size": 96},
    "llama": {"rope_scaling": None},
    "mistral": {"sliding_window": 16, "head_dim": 6},
}


def pairs() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], list[Leaf]]]]:
    """Yield each converter, both ways."""
    from penzai.models.transformer import variants
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    for model_type, overrides in OVERRIDES.items():
        module = getattr(variants, model_type, None)
        converter = getattr(module, f"{model_type}_from_huggingface_model", None)
        if converter is not None:
            sizes = {**OF_TYPE.get(model_type, {}), **overrides}
            build = partial(_build, CONFIG_MAPPING[model_type], sizes)
            yield model_type, build, partial(_convert, converter, stacked=False)
            yield f"{model_type}_stacked", build, partial(_convert, converter, stacked=True)


def _build(config_class: Any, overrides: dict[str, Any]) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(small(config_class, **overrides), attn_implementation="eager")


def _convert(converter: Any, model: Any, *, stacked: bool) -> list[Leaf]:
    from penzai import pz

    converted = converter(model, use_layer_stack=stacked)
    parameters = pz.select(converted).at_instances_of((pz.Parameter, pz.ParameterSlot, pz.ParameterValue))
    found = {}
    for parameter in parameters.get_sequence():
        array = parameter.value
        names = tuple(array.named_shape)
        value = np.asarray(array.unwrap(*names))
        found[parameter.label] = Leaf((str(parameter.label),), value, "Parameter", names)
    return list(found.values())
