"""Flax Linen: variable trees with collections, ``params/layers_0/fc1/kernel``."""

from ml_switcheroo.recipes import Naming, Target
from ml_switcheroo.targets.flax_kinds import KINDS

TARGET = Target(
    name="linen",
    summary="Flax Linen variables",
    kinds=KINDS,
    naming=Naming("/", join_digits=True, sequential="layers", collections=True),
    channels="last",
)
