"""NumPy: names and layouts as PyTorch has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.recipes import REFUSED, Files, Mapper, Naming, Recipe, Target, part

__all__ = ["TARGET"]


class _AsItLies(Mapping[str, Recipe]):
    """Every kind, also of a row of your own, slot by slot."""

    def __getitem__(self, kind: str) -> Recipe:
        slots = LAYERS[kind].slots
        return REFUSED[kind] if kind in REFUSED else tuple(part(slot, slot) for slot in slots)

    def __iter__(self) -> Iterator[str]:
        return iter(LAYERS)

    def __len__(self) -> int:
        return len(LAYERS)


TARGET = Target(
    name="numpy",
    summary="arrays with PyTorch's names and layouts",
    kinds=_AsItLies(),
    naming=Naming(),
    channels="first",
    mapper=Mapper("ml_switcheroo.runtime.into_numpy"),
    files=Files(formats=("torch",)),
)
