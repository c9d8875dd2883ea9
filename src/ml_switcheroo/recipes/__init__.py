"""How a target is described: where each slot of each kind goes, and how paths are written.

Everything here is frozen data; a target is a table of it (:mod:`ml_switcheroo.targets`).
"""

from __future__ import annotations

from ml_switcheroo.recipes.compared import Compared, Difference, Lack, Padding, Wrapper
from ml_switcheroo.recipes.parts import (
    REFUSED,
    Dropped,
    Entry,
    Form,
    Part,
    Recipe,
    Unsupported,
    part,
    parts_of,
)
from ml_switcheroo.recipes.target import Files, Live, Mapper, Naming, Target

__all__ = [
    "REFUSED",
    "Compared",
    "Difference",
    "Dropped",
    "Entry",
    "Files",
    "Form",
    "Lack",
    "Live",
    "Mapper",
    "Naming",
    "Padding",
    "Part",
    "Recipe",
    "Target",
    "Unsupported",
    "Wrapper",
    "part",
    "parts_of",
]
