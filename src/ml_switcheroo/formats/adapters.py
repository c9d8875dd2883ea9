"""``--merge``: the adapters of LoRA added to the weights that they adapt, as PEFT merges them.

An adapter is a folder with ``adapter_config.json`` and ``adapter_model.safetensors`` (or ``.bin``). The
weight becomes ``W + scale * B A``, with the scale ``lora_alpha / r``, or ``lora_alpha / sqrt(r)`` with
``use_rslora``; with ``use_dora`` each row is then brought to the length that the adapter says
(``peft/tuners/lora/layer.py``, ``dora.py``). It is computed in float32 (float64 for such weights) when it is
read, and rounded once to the dtype of W.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ml_switcheroo.errors import CheckpointError, cannot_read
from ml_switcheroo.formats.checkpoint import Array, Checkpoint, LazyTensor
from ml_switcheroo.formats.derived import DerivedTensor, with_tensors

__all__ = ["merged"]

CONFIG = "adapter_config.json"
_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_LARGEST = 1 << 22  # bytes of a configuration
_WRAPPER = "base_model.model."
_PART = re.compile(
    r"(?P<path>.+?)\.lora_(?P<part>embedding_A|embedding_B|A|B|magnitude_vector)(?P<rest>(?:\.\w+)*)"
)
_MOST = 10

_CHANGES_BASE = ("pissa", "olora", "corda", "loftq")
"""Ways to begin that change the base weights, too: the adapter does not belong to the checkpoint's."""


def merged(base: Checkpoint, adapter: str | Path, open_file: Callable[[Path], Checkpoint]) -> Checkpoint:
    """Return a checkpoint with an adapter merged into its weights.

    Args:
        base: The checkpoint that was adapted.
        adapter: The folder of the adapter, or its file of tensors with the configuration beside it.
        open_file: Opens a file of tensors.

    Raises:
        CheckpointError: The adapter cannot be read, is of another kind than LoRA, or one of its tensors
            adapts nothing in the checkpoint; all such tensors are named.
    """
    path = Path(adapter)
    file = next((path / name for name in _FILES if (path / name).is_file()), path) if path.is_dir() else path
    if file.is_dir():
        raise CheckpointError(path, f"no adapter: neither {' nor '.join(_FILES)} is in it")
    config = _config(file.parent / CONFIG)
    tensors = open_file(file)
    try:
        changed = _changed(base, tensors, config)
    except BaseException:
        tensors.close()
        raise
    return with_tensors(base, {**dict(base), **changed}, also=tensors)


def _config(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise CheckpointError(path, "too large for a configuration")
        config = json.loads(path.read_bytes())
    except OSError as error:
        cure = "Its scale is in that file: copy it too."
        raise CheckpointError(path, f"{cannot_read(path, error)}", cure=cure) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path, f"no JSON: {str(error)[:200]}") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise CheckpointError(path, f"an adapter of the type {kind!r}; LORA is merged")
    begun = str(config.get("init_lora_weights", "")).lower()
    odd = [
        word for word in ("layer_replication", "alora_invocation_tokens", "use_qalora") if config.get(word)
    ]
    odd += [f"init_lora_weights={begun}"] if begun.startswith(_CHANGES_BASE) else []
    if odd:
        cure = "Merge it with PEFT: model.merge_and_unload().save_pretrained(folder)."
        reason = f"{', '.join(odd)}: not merged, since it adapts another base"
        raise CheckpointError(path, reason, cure=cure)
    return config


def _changed(base: Checkpoint, adapter: Checkpoint, config: Mapping[str, Any]) -> dict[str, LazyTensor]:
    """Return the tensors that an adapter changes, by their names in the checkpoint."""
    layers: dict[str, dict[str, LazyTensor]] = {}
    changed: dict[str, LazyTensor] = {}
    bad: list[str] = []
    kept = {str(word) for word in config.get("modules_to_save") or ()}
    for name, tensor in adapter.items():
        short = name.removeprefix(_WRAPPER).replace(".base_layer.", ".")
        part = _PART.fullmatch(short)
        if part is not None and part["rest"] in ("", ".weight", ".default", ".default.weight"):
            layers.setdefault(part["path"], {})[part["part"]] = tensor
        elif part is None and (short in base or any(word in short.split(".") for word in kept)):
            changed[short] = tensor  # trained itself: a bias, a head, an embedding
        else:
            bad.append(f"  {name}: not a part of LoRA that is merged")
    for path, parts in layers.items():
        target = f"{path}.weight"
        if target not in base:
            bad.append(f"  {path}: the checkpoint has no {target}")
            continue
        if target in changed:
            bad.append(f"  {path}: adapted and replaced at once")
            continue
        try:
            changed[target] = _weight(path, base[target], parts, config)
        except ValueError as error:
            bad.append(f"  {path}: {error}")
    if not layers:
        bad.append("  it has no lora_A and lora_B")
    if bad:
        more = [f"  and {len(bad) - _MOST} more"] if len(bad) > _MOST else []
        head = f"{len(bad)} parts of the adapter cannot be merged into {base.path}:"
        raise CheckpointError(adapter.path, "\n".join([head, *bad[:_MOST], *more]))
    return changed


def _weight(
    path: str, base: LazyTensor, parts: Mapping[str, LazyTensor], config: Mapping[str, Any]
) -> DerivedTensor:
    """Return an adapted weight.

    Raises:
        ValueError: A part is missing, or the shapes do not fit.
    """
    embedding = "embedding_A" in parts
    inner, outer = (parts.get(f"embedding_{side}" if embedding else side) for side in "AB")
    if inner is None or outer is None:
        raise ValueError("lora_A and lora_B have to be there, both")
    if base.dtype.kind not in "fV" or not str(base.spec.dtype).startswith(("float", "bfloat")):
        raise ValueError(f"its weight is {base.spec!r}: quantised?")
    rank = inner.shape[0] if inner.ndim else 0
    said = _of_layer(config, "r", "rank_pattern", path)
    if rank != said or outer.ndim < 2 or outer.shape[1] != rank or any(size != 1 for size in outer.shape[2:]):
        raise ValueError(
            f"lora_A {list(inner.shape)} and lora_B {list(outer.shape)} are not of the rank {said}"
        )
    alpha = _of_layer(config, "lora_alpha", "alpha_pattern", path)
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    shape = (outer.shape[0], *inner.shape[1:])
    turned = _is_turned(base.shape, shape, bool(config.get("fan_in_fan_out")) or embedding)
    length = parts.get("magnitude_vector")
    if (length is not None) != bool(config.get("use_dora")):
        raise ValueError("use_dora and its lora_magnitude_vector do not go together")
    if length is not None and (embedding or len(shape) != 2 or length.size != shape[0]):
        raise ValueError("DoRA is merged for linear layers alone")
    return DerivedTensor(base.spec, partial(_compute, base, inner, outer, scale, turned, length))


def _is_turned(base: tuple[int, ...], shape: tuple[int, ...], said: bool) -> bool:
    """Tell whether a weight is stored as "in out"; where both orders fit, the configuration says it."""
    plain, turned = base == shape, len(shape) == 2 and base == shape[::-1]
    if not plain and not turned:
        raise ValueError(f"B A is {list(shape)}, the weight {list(base)}")
    return said if plain and turned else turned


def _of_layer(config: Mapping[str, Any], word: str, patterns: str, path: str) -> float:
    """Return a number of the configuration, or that of the first pattern that a module matches."""
    table = config.get(patterns) or {}
    found = config.get(word)
    for pattern, value in table.items() if isinstance(table, dict) else ():
        try:
            if re.match(rf"(.*\.)?({pattern})$", path):
                found = value
                break
        except re.error as error:
            raise ValueError(f"{patterns}: {pattern!r} is no pattern: {error}") from None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"{word} is {found!r}, not a number")
    return found


def _compute(
    base: LazyTensor,
    inner: LazyTensor,
    outer: LazyTensor,
    scale: float,
    turned: bool,
    length: LazyTensor | None,
) -> Array:
    wide = np.dtype(np.float64 if base.spec.dtype == "float64" else np.float32)
    a, b = (tensor.read().astype(wide) for tensor in (inner, outer))
    change: Array = b.reshape(b.shape[0], -1) @ a.reshape(a.shape[0], -1)
    change *= wide.type(scale)
    change = change.reshape(b.shape[0], *a.shape[1:])
    weight = base.read().astype(wide)
    weight = (weight.T if turned else weight) + change
    if length is not None:
        norms = np.sqrt((weight * weight).sum(axis=1, keepdims=True))
        weight *= length.read().astype(wide).reshape(-1, 1) / norms
    return np.ascontiguousarray(weight.T if turned else weight).astype(base.dtype)
