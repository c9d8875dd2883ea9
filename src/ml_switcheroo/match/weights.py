"""Every number of the matcher that was set by hand, each with what it weighs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WEIGHTS", "Weights"]


@dataclass(frozen=True, slots=True)
class Weights:
    """The numbers that decide.

    The unit is one telling word that two paths share.
    """

    # The words of a path.
    telling_word: float = 1.0
    quiet_word: float = 0.4
    filler: float = 0.1
    common_share: float = 0.7
    common_word: float = 0.1
    few_units: int = 6
    unshared: float = 0.5
    unknown_word: float = 0.05
    further_up: float = 0.5
    other_branch: float = -3.0

    # The place of a unit in the network.
    same_role: float = 2.0
    other_role: float = -0.3
    same_standing: float = 1.5
    same_path: float = 3.0
    same_end: float = 0.4
    most_ends: int = 2
    same_number: float = 0.5
    same_rank: float = 0.4
    other_number: float = -1.5
    other_depth: float = -1.5
    other_blocks: float = -0.6

    # The tensors of a unit.
    lacking_tensor: float = -1.0
    embedding: float = 0.2

    # What an assignment needs.
    enough: float = 0.5
    margin: float = 0.25
    margin_of_roles: float = 1.0
    margin_of_norms: float = 0.6
    margin_of_open_norms: float = 1.5
    margin_of_strangers: float = 1.0
    margin_of_nameless: float = 1.0
    rivals_within: float = 0.5
    open_standings: int = 2
    by_rule: float = 100.0

    # What is left over.
    left_in_block: float = -0.75
    left_kernel: float = 0.0
    left_matrix: float = 0.2

    # Blocks and layouts.
    alike_blocks: float = 0.5
    plain_list: int = 4
    witnesses: int = 2
    leaves_of_a_layer: int = 4


WEIGHTS = Weights()
