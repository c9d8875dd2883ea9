"""Where two models part: the first layer that differs, or what lies before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ml_switcheroo.ops import Array
from ml_switcheroo.verification.comparing import compare
from ml_switcheroo.verification.pairs import BLOCK
from ml_switcheroo.verification.readings import AS_IT_IS
from ml_switcheroo.verification.verdict import Difference, Layer, Output

__all__ = ["locate"]


def locate(
    layers: Sequence[Layer],
    outputs: Sequence[Output],
    weights: Sequence[str],
    mine: Mapping[str, Array],
    other: Mapping[str, Array],
    tolerance: float,
) -> Difference | None:
    """Return the first place that differs; None where all outputs agree.

    A layer that takes the same and gives something else is at fault itself. If its input differs although all
    layers before it agree, the fault lies between them. A block that differs proves nothing if what follows
    agrees: not every port ends its blocks at the same place.

    Args:
        layers: The layers, in order.
        outputs: The outputs of the models.
        weights: Leaves that are not what the plan gives.
        mine: What PyTorch's modules gave, by path.
        other: What the target's modules gave, by path.
        tolerance: The relative error that counts as agreement.
    """
    if all(output.agrees for output in outputs):
        return None
    for number, layer in enumerate(layers):
        if layer.takes_the_same is False and layer.kind != BLOCK:
            return _before(layer, layers[:number])
        if layer.agrees is False:
            following = [later for later in layers[number + 1 :] if later.kind != BLOCK]
            if layer.kind == BLOCK and following and following[0].takes_the_same:
                continue
            return _inside(layer, weights, _instead(layer, mine, other, tolerance))
    last = next((layer for layer in reversed(layers) if layer.agrees), None)
    text = (
        f"what follows {_names(last)}: everything up to there agrees" if last else "no layer can be compared"
    )
    return Difference(
        None, "after", text + "".join(f"; {o.note}" for o in outputs if o.note and not o.agrees)
    )


def _names(layer: Layer) -> str:
    same = layer.source == layer.target
    return layer.source if same else f"{layer.source} ({layer.target} in the target)"


def _before(layer: Layer, before: Sequence[Layer]) -> Difference:
    agreeing = [earlier for earlier in before if earlier.agrees]
    since = f"everything up to {agreeing[-1].source} agrees" if agreeing else "no layer before it is compared"
    text = (
        f"what comes before {_names(layer)}: its input already differs ({layer.input_error:.1e}), {since}"
        f"{_looks(layer)}. An activation, a Flatten, a residual or a mask between them differs"
    )
    return Difference(layer, "before", text)


def _inside(layer: Layer, weights: Sequence[str], instead: str) -> Difference:
    takes = "takes the same" if layer.takes_the_same else "takes what cannot be compared"
    text = f"{_names(layer)}, {layer.kind}: it {takes} and gives something else ({layer.error:.1e})"
    text += _looks(layer)
    wrong = [path for path in weights if _lies_in(path, layer.target)]
    if wrong:
        text += f". Its weights are not what the plan gives: {', '.join(wrong)}"
    elif layer.kind != BLOCK:
        text += ". Its weights are what the plan gives: look at its arguments (an epsilon, a padding, heads)"
    if instead:
        text += f". It gives what {instead} gives in PyTorch: are the two swapped?"
    return Difference(layer, "inside", text)


def _lies_in(path: str, module: str) -> bool:
    """Tell whether a leaf is one of a module; its path may start with a collection."""
    separator = "/" if "/" in path else "."
    return f"{separator}{module}{separator}" in f"{separator}{path}"


def _looks(layer: Layer) -> str:
    return "".join(f"; {note}" for note in layer.notes if "order" in note or "axes" in note)


def _instead(layer: Layer, mine: Mapping[str, Array], other: Mapping[str, Array], tolerance: float) -> str:
    """Return the module of PyTorch that gives what this layer gives in the target."""
    there = other.get(layer.target)
    if there is None or there.size < 2:
        return ""
    for path, array in mine.items():
        if path == layer.source or array.shape[:1] != there.shape[:1]:
            continue
        found = compare(array, there, [AS_IT_IS], tolerance)
        if found.error is not None and found.error <= tolerance:
            return path
    return ""
