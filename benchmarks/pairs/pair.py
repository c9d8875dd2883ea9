"""Write one pair: a PyTorch state dict, and the tree that somebody else's converter made of it.

Every number of the source occurs once, so that what a leaf is made of can be read off its values. The
conversion is run twice, over different numbers: what comes out the same both times is not the checkpoint's.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import torch

STEP = 2.0**-20  # numbers of the first run lie in 0..1, of the second in 1..2, each exact in float32


@dataclass(frozen=True)
class Leaf:
    """One array of the converted tree, as its framework names it."""

    keys: tuple[str, ...]
    value: np.ndarray
    collection: str = "params"
    axis_names: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return "/".join(self.keys)


def write_pair(
    folder: Path,
    build: Callable[[], torch.nn.Module],
    convert: Callable[[torch.nn.Module], Iterable[Leaf]],
    meta: dict[str, Any],
) -> dict[str, int]:
    """Convert a model, trace each leaf to its tensors, and write all of it to `folder`.

    Args:
        folder: Made if it is not there.
        build: Makes the PyTorch model, the same one at every call.
        convert: Gives the leaves that the converter makes of that model's weights.
        meta: What to say of the pair: `to`, `how`, `versions`.

    Returns:
        How many leaves there are of each relation to the source.
    """
    (model, origin, leaves), (_, _, again) = (_run(build, convert, start) for start in (0.0, 1.0))
    source = {name: tensor.numpy() for name, tensor in saved(model).items()}
    second = {leaf.path: leaf.value for leaf in again}
    provenance = {}
    for leaf in leaves:
        if np.array_equal(leaf.value, second[leaf.path], equal_nan=leaf.value.dtype.kind == "f"):
            provenance[leaf.path] = {"kind": "invented", "from": [], "op": "invented"}
        else:
            provenance[leaf.path] = origin.of(leaf.value)
    kinds = [entry["kind"] for entry in provenance.values()]
    used = {name for entry in provenance.values() for name in entry["from"]}
    if not used:
        raise ValueError("the converter moved nothing")
    if all(np.array_equal(leaf.value, leaf.value.astype(np.float16)) for leaf in leaves):
        raise ValueError("the converter rounds all numbers to float16")
    counts = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    modules = _modules(model)
    tied = {entry["name"]: entry["tied_to"] for entry in modules["tensors"] if entry["tied_to"]}
    meta = {
        **meta,
        "source_class": type(model).__name__,
        "provenance_kinds": counts,
        "not_from_source": [path for path, entry in provenance.items() if entry["kind"] == "invented"],
        "unused_source": [name for name in source if name not in used and name not in tied],
        "tied_source": list(tied),
    }
    spec = [
        {
            "path": leaf.path,
            "keys": leaf.keys,
            "shape": leaf.value.shape,
            "dtype": str(leaf.value.dtype),
            "collection": leaf.collection,
            **({"axis_names": leaf.axis_names} if leaf.axis_names else {}),
        }
        for leaf in leaves
    ]
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "source.safetensors", source)
    _save(folder / "reference.safetensors", {leaf.path: leaf.value for leaf in leaves})
    for name, content in {
        "source_modules": modules, "target_spec": spec, "provenance": provenance, "meta": meta
    }.items():  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1))
    return counts


def _run(build, convert, start):
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    with contextlib.suppress(NotImplementedError), torch.device("meta"):
        _weigh(build())  # no memory for a model that is too large
    model = build().float().eval()
    origin = Origin(fill(model, start))
    leaves = list(convert(model))
    if len({leaf.path for leaf in leaves}) != len(leaves):
        raise ValueError("two leaves have one path")
    return model, origin, leaves


def fill(model: torch.nn.Module, start: float) -> dict[str, tuple[int, ...]]:
    """Write numbers from `start` on into all floating tensors of a model, none of them twice.

    Returns:
        The shape of each tensor that was filled, in the order of the numbers; of tied tensors, the first.
    """
    import torch

    seen, shapes, count = set(), {}, 0
    with torch.no_grad():
        for name, tensor in saved(model).items():
            if not tensor.is_floating_point() or tensor.data_ptr() in seen or not tensor.numel():
                continue
            seen.add(tensor.data_ptr())
            numbers = torch.arange(count, count + tensor.numel(), dtype=torch.float64) * STEP + start
            tensor.copy_(numbers.reshape(tensor.shape))
            shapes[name] = tuple(tensor.shape)
            count += tensor.numel()
    return shapes


def saved(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return what a checkpoint of a model holds: `transformers` leaves out tables that are computed."""
    left_out = getattr(model, "_keys_to_ignore_on_save", None) or ()
    return {name: tensor for name, tensor in model.state_dict().items() if name not in left_out}


def _weigh(model: torch.nn.Module) -> None:
    count = sum(tensor.numel() for tensor in model.state_dict().values())
    if count * STEP > 1:
        raise ValueError(f"{count} numbers are too many to be told apart: make the model smaller")


class Origin:
    """Where in a state dict each number comes from."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self.shapes = list(shapes.items())  # of the tensors that were filled, in order
        self.starts = np.cumsum([0, *(math.prod(shape) for shape in shapes.values())])

    def of(self, value: np.ndarray) -> dict[str, Any]:
        """Say which tensors a leaf is made of, and how."""
        if value.dtype.kind != "f":
            return {"kind": "computed", "from": [], "op": "computed"}
        for shift in (0.0, 1.0, -1.0):
            places = (value.astype(np.float64) - shift) / STEP
            if np.isfinite(places).all() and (places == np.round(places)).all():
                found = places.astype(np.int64).ravel()
                if (found >= 0).all() and (found < self.starts[-1]).all():
                    return self._traced(value.shape, found, f"{shift:+.0f}" if shift else "")
        return {"kind": "computed", "from": [], "op": "computed"}

    def _traced(self, shape, found, shift):
        which = np.searchsorted(self.starts, found, side="right") - 1
        order = list(dict.fromkeys(which.tolist()))
        names = [self.shapes[index][0] for index in order]
        if len(order) > 1:
            return {"kind": "joined", "from": names, "op": "joined" + shift}
        op = _operation(self.shapes[order[0]][1], shape, found - self.starts[order[0]])
        return {"kind": "single", "from": names, "op": op + shift}


def _operation(before, after, within):
    size = math.prod(before)
    if len(within) != size:
        return "slice" if len(within) < size else "repeated"
    positions = np.arange(size).reshape(before)
    for axes in itertools.permutations(range(len(before))):
        turned = positions.transpose(axes)
        if np.array_equal(turned.ravel(), within):
            name = "copy" if list(axes) == sorted(axes) else "T" + "".join(map(str, axes))
            return name if turned.shape == after else name + "+reshape"
    return "other"


def _modules(model: torch.nn.Module) -> dict[str, Any]:
    state = saved(model)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    first: dict[tuple[int, tuple[int, ...]], str] = {}
    tensors = []
    for name, tensor in state.items():
        place = (tensor.data_ptr(), tuple(tensor.shape))
        other = first.setdefault(place, name) if tensor.numel() else name
        kind = "param" if name in parameters else "buffer"
        dtype = str(tensor.dtype).removeprefix("torch.")
        tied = None if other == name else other
        tensors.append(
            {"name": name, "shape": list(tensor.shape), "dtype": dtype, "kind": kind, "tied_to": tied}
        )
    modules = [
        {
            "path": path,
            "class": type(module).__name__,
            "attrs": {key: value for key, value in vars(module).items() if _plain(key, value)},
            "tensors": [
                name
                for name, _ in itertools.chain(
                    module.named_parameters(recurse=False), module.named_buffers(recurse=False)
                )
                if f"{path}.{name}".lstrip(".") in state
            ],
        }
        for path, module in model.named_modules(remove_duplicate=False)
    ]
    return {"modules": modules, "tensors": tensors}


def _plain(key: str, value: Any) -> bool:
    if key.startswith("_") or key == "training":
        return False
    if isinstance(value, (tuple, list)):
        return all(isinstance(item, int) for item in value)
    return isinstance(value, (bool, int, float)) and (not isinstance(value, float) or math.isfinite(value))


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    from safetensors.numpy import save_file

    save_file({name: array.copy(order="C") for name, array in arrays.items()}, path)
