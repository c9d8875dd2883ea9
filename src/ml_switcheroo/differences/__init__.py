"""Same weights, other output: what a live model must agree in beside its weights, and does not."""

from ml_switcheroo.differences.attributes import by_attributes
from ml_switcheroo.differences.computing import by_computing
from ml_switcheroo.differences.padding import PERHAPS
from ml_switcheroo.differences.pools import by_pools
from ml_switcheroo.differences.wrapping import said_of_wrappers

__all__ = ["by_attributes", "by_computing", "by_pools", "is_difference", "said_of_wrappers"]


def is_difference(note: str) -> bool:
    """Tell whether a note of a plan says that the two models surely differ beside their weights."""
    return " in the target" in note and " in PyTorch" in note and f"({PERHAPS} " not in note
