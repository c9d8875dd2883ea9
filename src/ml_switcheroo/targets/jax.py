"""The flat tree with Flax's names that ``KeyMapper.from_torch`` returns: ``layers_0.fc1.kernel``."""

from ml_switcheroo.recipes import Naming, Target
from ml_switcheroo.targets.flax_kinds import KINDS

TARGET = Target(
    name="jax",
    summary="a flat dictionary with Flax's names and layouts",
    kinds=KINDS,
    naming=Naming(join_digits=True),
    channels="last",
)
