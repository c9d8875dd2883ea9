"""A Flatten before a layer: its input axis is ``(c h w)`` in PyTorch, ``(h w c)`` channels-last."""

from __future__ import annotations

from collections.abc import Mapping

from ml_switcheroo.axes import parse
from ml_switcheroo.errors import AxesError
from ml_switcheroo.recipes import Target
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tensors import TensorSpec

__all__ = ["flattened"]

# The axis of each kind that a Flatten before it makes.
_AXIS: Mapping[str, str] = {
    "linear": "in",
    "linear_in_out": "in",
    "batch_norm": "channel",
    "layer_norm": "*channel",
    "rms_norm": "*channel",
}


def flattened(
    finding: Finding,
    target: Target,
    source: str,
    result: str,
    spec: TensorSpec,
    sizes: dict[str, int],
    notes: list[str],
) -> tuple[str, str]:
    """Permute the axis behind a Flatten where the target is channels-last; else return both as they are.

    Raises:
        AxesError: The axis is no multiple of the channels.
    """
    flatten, axis = finding.flatten, _AXIS.get(finding.kind, "")
    groups = parse(source).groups
    if flatten is None or flatten.channels == 1 or target.channels == "first" or (axis,) not in groups:
        return source, result
    if axis.startswith("*") and len(spec.shape) != 1:
        return source, result
    size = spec.shape[groups.index((axis,))]
    if size == flatten.channels:
        return source, result
    if size % flatten.channels:
        raise AxesError(
            f"the input axis is {size}, no multiple of the {flatten.channels} channels that are"
            f" flattened before it ({flatten.of} {flatten.where})"
        )
    origin = " ".join(word for word in (f"from {flatten.of}" if flatten.of else "", flatten.where) if word)
    notes.append(
        f"a Flatten stands before this {'Linear' if axis == 'in' else 'layer'} ({origin}): its input axis"
        f" (c h w) becomes (h w c), c={flatten.channels}, because {target.name} is channels-last"
    )
    sizes["c"] = flatten.channels
    return _replaced(source, axis, "(c *space)"), _replaced(result, axis, "(*space c)")


def _replaced(axes: str, axis: str, by: str) -> str:
    return " ".join(by if word == axis else word for word in axes.split())
