"""mlx-embeddings: encoders, whose `sanitize` takes the tensors of a `transformers` checkpoint."""

from __future__ import annotations

import pkgutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs import OF_TYPE, small

from families.mlx_lm import leaves, save

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pair import Leaf

TO = "mlx"
PACKAGES = ("mlx", "mlx-embeddings", "transformers", "torch")
HEADS = ("AutoModel", "AutoModelForMaskedLM", "AutoModelForSequenceClassification")


def pairs() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], list[Leaf]]]]:
    """Yield each model type that both libraries have, with each of the heads."""
    import mlx_embeddings.models
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    known = {name.replace("-", "_"): config_class for name, config_class in CONFIG_MAPPING.items()}
    for info in pkgutil.iter_modules(mlx_embeddings.models.__path__):
        config_class = known.get(info.name)
        for head in HEADS:
            if config_class in getattr(transformers, head)._model_mapping:
                name = f"{info.name}_{head.removeprefix('AutoModel') or 'Model'}"
                yield name, partial(_build, head, config_class, OF_TYPE.get(info.name, {})), _convert


def _build(head: str, config_class: Any, overrides: dict[str, Any]) -> Any:
    import transformers

    config = small(config_class, **overrides)
    return getattr(transformers, head).from_config(config, attn_implementation="eager")


def _convert(model: Any) -> list[Leaf]:
    from mlx_embeddings.utils import load_model

    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder))
        return leaves(load_model(Path(folder), path_to_repo="patch8-32"))
