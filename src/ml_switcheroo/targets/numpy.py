"""NumPy: names and layouts as PyTorch has them."""

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.recipes import Naming, Target, part

__all__ = ["TARGET"]

TARGET = Target(
    name="numpy",
    summary="arrays with PyTorch's names and layouts",
    kinds={
        kind: tuple(part(slot, slot) for slot in layer.slots)
        for kind, layer in LAYERS.items()
        if not layer.refused
    },
    naming=Naming(),
    channels="first",
)
