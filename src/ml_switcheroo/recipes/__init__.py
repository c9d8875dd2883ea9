"""How a target is described: where each slot of each kind goes, and how paths are written.

Everything here is frozen data; a target is a table of it (:mod:`ml_switcheroo.targets`).
"""

from __future__ import annotations

from ml_switcheroo.recipes.compared import Compared, Difference, Lack, Padding, Wrapper
from ml_switcheroo.recipes.constructor import (
    LEFT_OUT,
    Also,
    Aside,
    Both,
    Constructor,
    Joint,
    Made,
    Name,
    Needs,
    Spelled,
)
from ml_switcheroo.recipes.own import recipe_of
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
    "LEFT_OUT",
    "REFUSED",
    "Also",
    "Aside",
    "Both",
    "Compared",
    "Constructor",
    "Difference",
    "Dropped",
    "Entry",
    "Files",
    "Form",
    "Joint",
    "Lack",
    "Live",
    "Made",
    "Mapper",
    "Name",
    "Naming",
    "Needs",
    "Padding",
    "Part",
    "Recipe",
    "Spelled",
    "Target",
    "Unsupported",
    "Wrapper",
    "part",
    "parts_of",
    "recipe_of",
]
