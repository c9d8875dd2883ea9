"""Quantised weights: recognised by the names, dtypes and shapes of a module's tensors, computed on request.

What a quantised layer keeps are codes and scales. Taken for weights, they would be copied bit for bit, and
wrong without a word. One row says how a scheme is recognised, and what to do. The formulas are those of its
makers:

* fp8, a scale for each block: DeepSeek-V3, ``inference/kernel.py``, ``weight_dequant``; one for each tensor
  or channel: compressed-tensors, ``quantization/lifecycle/forward.py``.
* AWQ: ``awq/utils/packing_utils.py`` (the order of eight codes in a word), ``awq/modules/linear/gemm.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats.checkpoint import Array, Checkpoint, LazyTensor
from ml_switcheroo.formats.derived import DerivedTensor, with_tensors
from ml_switcheroo.tensors import TensorSpec

__all__ = ["SCHEMES", "Scheme", "dequantised", "find_quantised", "refuse_named_quantised", "refuse_quantised"]

Specs = Mapping[str, TensorSpec]
"""The tensors of one module, by slot: ``weight``, ``weight.absmax``, ``qzeros``."""

Weights = Mapping[str, LazyTensor]

_ORIGINAL = "Take the checkpoint that it was made from"


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one way to quantise a layer is recognised, and what to do.

    Attributes:
        name: What people call it.
        tell: Whether a module's tensors are of this scheme.
        cure: What to do about it; empty where ``--dequantise`` computes the weights.
        owned: The slots that belong to it; the others, such as a bias, stay what they are.
        spec: The shape of the weight, where it can be computed; it is float32.
        compute: Returns the weight, from the tensors by slot.
    """

    name: str
    tell: Callable[[Specs], bool]
    cure: str
    owned: frozenset[str]
    spec: Callable[[Specs], tuple[int, ...]] | None = None
    compute: Callable[[Weights], Array] | None = None


def _is(specs: Specs, slot: str, *dtypes: str, rank: int | None = None) -> bool:
    spec = specs.get(slot)
    return spec is not None and spec.dtype in dtypes and (rank is None or len(spec.shape) == rank)


_FLOATS = ("float16", "bfloat16", "float32")
_FP8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
_INTS = ("int32", "uint32")


def _packed(specs: Specs, axis: int) -> bool:
    """Tell whether there are words of codes, zeros and scales, several codes to a word along one axis."""
    if not (_is(specs, "qweight", *_INTS, rank=2) and _is(specs, "scales", *_FLOATS, rank=2)):
        return False
    words, scales = specs["qweight"].shape, specs["scales"].shape
    return (words[1] < scales[1]) == (axis == 1)


# fp8 --------------------------------------------------------------------------------------


def _fp8_scale(specs: Specs) -> str:
    return next((slot for slot in ("weight_scale_inv", "weight_scale") if slot in specs), "")


def _is_fp8(specs: Specs) -> bool:
    slot = _fp8_scale(specs)
    return _is(specs, "weight", *_FP8) and bool(slot) and _is(specs, slot, *_FLOATS)


def _fp8_shape(specs: Specs) -> tuple[int, ...]:
    shape, scale = specs["weight"].shape, specs[_fp8_scale(specs)].shape
    if _block_of(shape, scale) is None:
        raise UsageError(
            f"scales of {list(scale)} for a weight of {list(shape)}: neither one, one for each"
            " row, nor one for each block of 128"
        )
    return shape


def _block_of(shape: tuple[int, ...], scale: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return how many numbers of each axis share a scale; None where that cannot be told."""
    if int(np.prod(scale)) == 1:
        return shape
    if scale in (shape[:1], (*shape[:1], *[1] * (len(shape) - 1))):
        return (1, *shape[1:])
    if len(scale) != len(shape):
        return None
    block = tuple(1 if size == 1 else _BLOCK for size in shape)
    fits = all(-(-size // step) == count for size, step, count in zip(shape, block, scale, strict=True))
    return block if fits else None


_BLOCK = 128


def _fp8_weight(tensors: Weights) -> Array:
    weight = tensors["weight"].read().astype(np.float32)
    scale = tensors[_fp8_scale({slot: one.spec for slot, one in tensors.items()})].read().astype(np.float32)
    block = _block_of(weight.shape, scale.shape)
    assert block is not None
    if scale.ndim != weight.ndim:
        scale = scale.reshape((-1, *[1] * (weight.ndim - 1)))
    for axis, step in enumerate(block):
        if step > 1 and scale.shape[axis] > 1:
            scale = scale.repeat(step, axis)
        scale = scale[(slice(None),) * axis + (slice(weight.shape[axis]),)]
    weight *= scale
    return weight


# AWQ --------------------------------------------------------------------------------------


def _is_awq(specs: Specs) -> bool:
    return _packed(specs, axis=1) and _is(specs, "qzeros", *_INTS, rank=2) and "g_idx" not in specs


def _awq_shape(specs: Specs) -> tuple[int, ...]:
    words, zeros, scales = (specs[slot].shape for slot in ("qweight", "qzeros", "scales"))
    groups, width = scales
    if words[1] * 8 != width or zeros != (groups, words[1]) or not groups or words[0] % groups:
        raise UsageError(
            f"qweight {list(words)}, qzeros {list(zeros)} and scales {list(scales)}: not those of 4 bits"
        )
    return width, words[0]


_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Which four bits of a word hold the code of each of eight neighbours."""


def _codes(words: Array) -> Array:
    """Return the codes of four bits in words along the last axis, as bytes."""
    shifts = np.array(_ORDER, np.uint32) * 4
    codes = (words.view(np.uint32)[..., None] >> shifts) & np.uint32(15)
    return codes.astype(np.uint8).reshape(*words.shape[:-1], -1)


def _awq_weight(tensors: Weights) -> Array:
    words, zeros, scales = (
        np.ascontiguousarray(tensors[slot].read()) for slot in ("qweight", "qzeros", "scales")
    )
    group = words.shape[0] // scales.shape[0]
    weight = _codes(words).astype(np.float32)  # in out
    grouped = weight.reshape(scales.shape[0], group, -1)
    grouped -= _codes(zeros).astype(np.float32)[:, None]
    grouped *= scales.astype(np.float32)[:, None]
    return np.ascontiguousarray(weight.T)


SCHEMES: tuple[Scheme, ...] = (
    Scheme(
        "fp8 with scales",
        _is_fp8,
        "",
        frozenset({"weight", "weight_scale_inv", "weight_scale", "input_scale", "activation_scale"}),
        _fp8_shape,
        _fp8_weight,
    ),
    Scheme(
        "AWQ",
        _is_awq,
        "",
        frozenset({"qweight", "qzeros", "scales"}),
        _awq_shape,
        _awq_weight,
    ),
    Scheme(
        "GPTQ",
        lambda specs: _packed(specs, axis=0) and ("qzeros" in specs or "g_idx" in specs),
        f"{_ORIGINAL}, or dequantise it with GPTQModel: its zeros are stored in two ways that look the same.",
        frozenset({"qweight", "qzeros", "scales", "g_idx"}),
    ),
    Scheme(
        "bitsandbytes",
        lambda specs: (
            _is(specs, "weight", "uint8", "int8")
            and ("SCB" in specs or any(slot.startswith(("weight.absmax", "weight.quant")) for slot in specs))
        ),
        f"{_ORIGINAL}, or save the dequantised model: model.dequantize().save_pretrained(folder).",
        frozenset({"weight", "SCB", "weight_format"}),
    ),
    Scheme(
        "HQQ",
        lambda specs: _is(specs, "W_q", "uint8", "int8", "int16", "int32"),
        f"{_ORIGINAL}, or save what HQQLinear.dequantize() returns.",
        frozenset({"W_q"}),
    ),
    Scheme(
        "compressed-tensors",
        lambda specs: (
            _is(specs, "weight_packed", "int32", "uint8")
            or (_is(specs, "weight", "int8") and _is(specs, "weight_scale", *_FLOATS))
        ),
        f"{_ORIGINAL}, or save it decompressed: CompressedTensorsConfig(run_compressed=False).",
        frozenset({"weight", "weight_packed", "weight_scale", "weight_shape", "weight_zero_point"}),
    ),
    Scheme(
        "MLX's quantisation",
        lambda specs: _is(specs, "weight", "uint32", rank=2) and _is(specs, "scales", *_FLOATS, rank=2),
        f"{_ORIGINAL}, or convert it back with mlx_lm.convert --dequantize.",
        frozenset({"weight", "scales", "biases"}),
    ),
    Scheme(
        "quanto",
        lambda specs: "weight._data" in specs and "weight._scale" in specs,
        f"{_ORIGINAL}, or save the dequantised model.",
        frozenset({"weight._data", "weight._scale", "input_scale", "output_scale"}),
    ),
    Scheme(
        "MXFP4",
        lambda specs: any(
            slot.endswith("_blocks")
            and _is(specs, slot, "uint8")
            and _is(specs, f"{slot.removesuffix('_blocks')}_scales", "uint8")
            for slot in specs
        ),
        f"{_ORIGINAL}, or load it with transformers' Mxfp4Config(dequantize=True) and save that.",
        frozenset(),
    ),
)
"""In the order in which they are tried."""


def _modules(specs: Specs) -> dict[str, dict[str, TensorSpec]]:
    """Return the tensors of each module by slot; what lies below a ``weight`` counts to its module."""
    found: dict[str, dict[str, TensorSpec]] = {}
    for name, spec in specs.items():
        path, _, slot = name.rpartition(".")
        if path == "weight" or path.endswith(".weight"):
            path, slot = path.removesuffix("weight").removesuffix("."), f"weight.{slot}"
        found.setdefault(path, {})[slot] = spec
    return found


def find_quantised(specs: Specs) -> dict[str, Scheme]:
    """Return the quantised modules of a checkpoint with their scheme, by path.

    >>> spec = TensorSpec
    >>> words, scales = spec((64, 4), "int32"), spec((1, 32), "float16")
    >>> found = find_quantised({"fc.qweight": words, "fc.qzeros": spec((1, 4), "int32"), "fc.scales": scales})
    >>> found["fc"].name
    'AWQ'
    >>> find_quantised({"fc.weight": spec((3, 3), "float32"), "fc.scales": spec((3, 3), "float32")})
    {}
    """
    found: dict[str, Scheme] = {}
    for path, own in _modules(specs).items():
        scheme = next((one for one in SCHEMES if one.tell(own)), None)
        if scheme is not None:
            found[path] = scheme
    return found


def refuse_quantised(specs: Specs, where: str, said: Iterable[str] = ()) -> None:
    """Raise where a checkpoint holds codes instead of weights.

    Args:
        specs: The tensors.
        where: What the checkpoint is called.
        said: Tensors of which somebody says what becomes of them.

    Raises:
        UsageError: Some modules are quantised; it names the schemes, how many modules, and what to do.
    """
    left = dict(specs)
    for name in said:
        left.pop(name, None)
    modules: dict[str, list[str]] = {}
    schemes = {}
    for path, scheme in find_quantised(left).items():
        modules.setdefault(scheme.name, []).append(path)
        schemes[scheme.name] = scheme
    if not modules:
        return
    lines = [f"  {name}: {_listed(paths)}" for name, paths in modules.items()]
    cures = dict.fromkeys(
        schemes[name].cure or "--dequantise (dequantise=True) computes the weights, in float32."
        for name in modules
    )
    head = f"{where} is quantised: it holds codes and scales in the place of weights"
    raise UsageError("\n".join([head, *lines]), cure="\n".join(cures))


def refuse_named_quantised(state: object, specs: Specs) -> None:
    """Raise where the configuration beside a checkpoint says that it is quantised, and it holds integers.

    Raises:
        UsageError: Both are so, and no scheme was recognised by its tensors.
    """
    path = getattr(state, "path", None)
    codes = [name for name, spec in specs.items() if len(spec.shape) > 1 and "int" in spec.dtype]
    config = path.parent / "config.json" if isinstance(path, Path) else None
    if not codes or config is None or not config.is_file() or config.stat().st_size > _LARGEST:
        return
    try:
        said = json.loads(config.read_bytes())["quantization_config"]["quant_method"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    raise UsageError(
        f"{path} is quantised by {said}, as config.json says: {_listed(codes)} are codes",
        cure=f"{_ORIGINAL}.",
    )


_LARGEST = 1 << 23  # bytes of a configuration


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{', '.join(paths[:3])}{more}"


def dequantised(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint with the weights that the codes and scales stand for, in float32.

    Each is computed when it is read: fp8 codes times the scale of their block, rounded once; AWQ's codes
    minus their zero, times the scale of their group, which float32 holds exactly.

    Raises:
        CheckpointError: A module is quantised otherwise, or its scales do not fit; all such are named.
        UsageError: Nothing is quantised.
    """
    found = find_quantised(checkpoint.specs)
    if not found:
        raise UsageError(
            f"{checkpoint.path}: nothing in it is quantised; leave out --dequantise (dequantise=)"
        )
    bad: list[str] = []
    replaced: dict[str, DerivedTensor | None] = {}
    modules = _modules(checkpoint.specs)
    for path, scheme in found.items():
        prefix = f"{path}." if path else ""
        own = {slot: f"{prefix}{slot}" for slot in modules[path] if slot in scheme.owned}
        try:
            if scheme.spec is None or scheme.compute is None:
                raise UsageError(f"{scheme.name}: {scheme.cure}")
            shape = scheme.spec(modules[path])
        except UsageError as error:
            bad.append(f"  {path}: {error}")
            continue
        tensors = {slot: checkpoint[name] for slot, name in own.items()}
        replaced |= dict.fromkeys(own.values())
        first = next(iter(own.values()))
        made = DerivedTensor(TensorSpec(shape, "float32"), partial(scheme.compute, tensors))
        replaced[first] = made
    if bad:
        more = [f"  and {len(bad) - 10} more"] if len(bad) > 10 else []
        raise CheckpointError(
            checkpoint.path, "\n".join([f"{len(bad)} modules cannot be dequantised:", *bad[:10], *more])
        )
    return with_tensors(checkpoint, _in_place(checkpoint, replaced))


def _in_place(checkpoint: Checkpoint, replaced: Mapping[str, DerivedTensor | None]) -> dict[str, LazyTensor]:
    """Return all tensors, each computed one under the name ``weight``, where its first part was."""
    tensors: dict[str, LazyTensor] = {}
    for name, tensor in checkpoint.items():
        if name not in replaced:
            tensors[name] = tensor
        elif (made := replaced[name]) is not None:
            path = name.rpartition(".")[0]
            tensors[f"{path}.weight" if path else "weight"] = made
    return tensors
