"""Checkpoints with PyTorch's names and another framework's layout: they must not be permuted once more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.tensors import TensorSpec

__all__ = ["refuse_foreign", "refuse_turned"]

_KERNEL = (4, 5)  # the ranks of kernels of two and three spatial axes; those of one show too little


def refuse_foreign(specs: Mapping[str, TensorSpec], where: str = "the checkpoint") -> None:
    """Raise where the kernels of a checkpoint are laid out as another framework's.

    A kernel's spatial sizes are nearly always equal, and its bias is as long as its output axis:
    ``out in h w`` in PyTorch, ``out h w in`` in MLX, ``h w in out`` in Flax and Keras. One kernel that can
    only be PyTorch's settles it the other way.

    Raises:
        UsageError: Some kernels can only be laid out otherwise, and none only as PyTorch's are.
    """
    against: list[tuple[str, str]] = []
    for name, found in _kernels(specs):
        if found == {"PyTorch"}:
            return
        if "PyTorch" not in found and found:
            against.append((name, " or ".join(sorted(found))))
    if against:
        listed = "\n".join(
            f"  {name} {specs[name]}: as {layout} keeps it" for name, layout in against[:_MOST]
        )
        module = against[0][0].rpartition(".")[0]
        raise UsageError(
            f"{where} has PyTorch's names, but not its layout ({len(against)} kernels):\n{listed}\n"
            f'{_CURE} If a kernel is PyTorch\'s after all, say so: Kind("{module}", "conv").'
        )


def _kernels(specs: Mapping[str, TensorSpec]) -> Iterator[tuple[str, set[str]]]:
    """Yield each kernel with the frameworks whose layout it can have."""
    for name, spec in specs.items():
        path, _, slot = name.rpartition(".")
        if slot not in ("weight", "kernel") or len(spec.shape) not in _KERNEL:
            continue
        bias = specs.get(f"{path}.bias" if path else "bias")
        length = bias.shape[0] if bias is not None and len(bias.shape) == 1 else None
        outward, last = length in (None, spec.shape[0]), length in (None, spec.shape[-1])
        layouts = {
            "PyTorch": (spec.shape[2:], outward or length == spec.shape[1]),  # a transposed one is in out
            "MLX": (spec.shape[1:-1], outward),
            "Flax and Keras": (spec.shape[:-2], last),
        }
        yield name, {word for word, (space, fits) in layouts.items() if len(set(space)) == 1 and fits}


def refuse_turned(model: Any, specs: Mapping[str, TensorSpec], where: str = "the checkpoint") -> None:
    """Raise where tensors have the sizes that a live module has, in another order.

    Raises:
        UsageError: Some have; all of them are listed.
    """
    lines = [
        f"  {name} {specs[name]}: {list(tensor.shape)} in the module"
        for name, tensor in model.state_dict().items()
        if name in specs and _turned(tuple(tensor.shape), specs[name].shape)
    ]
    if lines:
        more = [f"  ... and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
        raise UsageError(
            "\n".join(
                [f"{where} does not have the layout of the PyTorch module:", *lines[:_MOST], *more, _CURE]
            )
        )


_MOST = 10
_CURE = "Convert the PyTorch checkpoint that it was made from, or load it into its own framework as it is."


def _turned(wanted: tuple[int, ...], found: tuple[int, ...]) -> bool:
    return wanted != found and sorted(wanted) == sorted(found)
