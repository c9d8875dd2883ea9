"""NumPy: names and layouts as PyTorch has them."""

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.recipes import Naming, Target, part

TARGET = Target(
    name="numpy",
    summary="arrays with PyTorch's names and layouts",
    kinds={kind: tuple(part(slot, slot) for slot in layer.slots) for kind, layer in LAYERS.items()},
    naming=Naming(),
    channels="first",
)
