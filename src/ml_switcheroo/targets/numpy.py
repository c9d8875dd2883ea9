"""NumPy: names and layouts as PyTorch has them."""

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.recipes import REFUSED, Mapper, Naming, Target, part

__all__ = ["TARGET"]

TARGET = Target(
    name="numpy",
    summary="arrays with PyTorch's names and layouts",
    kinds={
        **{kind: tuple(part(slot, slot) for slot in layer.slots) for kind, layer in LAYERS.items()},
        **REFUSED,
    },
    naming=Naming(),
    channels="first",
    mapper=Mapper("ml_switcheroo.runtime.into_numpy"),
)
