"""Every number of the matcher that was set by hand: what it weighs, and why it has this size.

Each was tried at none, half and double, and whole numbers one below and one above, on two sets. *Pack*: the
4,654 leaves that the structure fills in the conversions of ``benchmarks/matching.py``, with classes and
without. *Attacks*: 760 random networks of ``tests/match``, plain and attacked, with 8,017 leaves filled. All
of them are right at these sizes. "Loses 9" means that 9 leaves are asked for instead; a size that fills one
leaf wrong is no choice, whatever it gains.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WEIGHTS", "Weights"]


@dataclass(frozen=True, slots=True)
class Weights:
    """The numbers that decide; their unit is one telling word that two paths share.

    Attributes:
        telling_word: A word that both paths have; the unit of all others. Doubled, words outweigh numbers and
            places: 40 of the pack are lost and 2 of the attacks are wrong; halved, 88 and 80 are lost.
        quiet_word: A word that authors add and leave out as they like (``mlp``, ``out``), less than half a
            word. Halved it loses 10 of the pack; doubled nothing.
        filler: A word that nearly every path has (``layers``): enough to break a tie. Doubled it loses 4 of
            the pack.
        common_share: Over this share of a tree's units a word tells nothing in it. Half of it loses 30 of the
            pack, no bound at all loses 6.
        common_word: What is left of such a word, as a factor. No network tried tells 0 from 0.2: it only has
            to be small, so that a word in every path does not lift every score over ``enough``.
        few_units: A tree with fewer units has no common words, as a share of so few says nothing: there the
            share is taken of that many times the units. 5 and 7 change nothing; with 1, what stands in both
            of two modules tells nothing, and ties are settled by fillers.
        unshared: What a word costs that only one path has, as a factor, where the other tree uses it
            elsewhere. Half a word, since it may just be left out; a whole one loses 42 of the pack.
        unknown_word: The same for a word that the other tree never uses: a port's own names, hardly against
            it. Doubled it loses 10 of the pack.
        further_up: How much of that counts above the last segment, as a factor: other names of what a module
            stands in say less than its own. Doubled it loses 4 of the pack, at 0 it loses 2.
        other_branch: One of the two is the shortcut of a block, in trees that both have one. As heavy as the
            same path: words cannot outweigh it. No network tried needs it, since shapes tell most of them
            apart.
        same_role: Both are the same part of the network, such as the queries. Two words, because a role is
            read from a word that most often counts as well. At 0 it loses 146 of the pack; 1 and 4 change
            nothing.
        other_role: Only one of them has a role. A hint and no more: the other may be called by an unknown
            word. Without it 20 more of the attacks are filled, rightly; with it an open part is asked for.
        same_standing: Two norms stand at the same place of their block, such as before the MLP. Less than a
            role, as standings overlap. At 0 it loses 20 of the pack; halved, 2 of the attacks.
        same_path: The whole path is the same. More than any role: same names are meant to be the same module.
            At 0 it loses 130 of the pack; 1.5 and 6 change nothing.
        same_end: Each segment that two paths have in common at their ends, half of it for fillers, in order,
            which words alone do not see. At 0 it loses 18 of the attacks.
        most_ends: How many such segments count. More would repeat what the words say; 1 and 3 change nothing.
        same_number: The same number stands beside the same word (``norm1``, ``ln_1``): half a word. Halved it
            loses 6 of the attacks.
        same_rank: The same rank where one tree counts from 0 and the other from 1: a little less than the
            same number, so that a tree that has both prefers the number. 0 and 0.8 change nothing.
        other_number: Another number beside the same word. It must outweigh the word, or ``norm1`` goes to
            ``norm2``. At 0 it loses 8 of the pack and 30 of the attacks.
        other_depth: One stands in a block and the other does not, in trees that both have blocks. Halved it
            loses 5 of the attacks; doubled, 4 of the pack.
        other_blocks: Both are repeated, but not in the same blocks. More than half a word, so that what is in
            all blocks goes first to what is in all blocks. No network tried needs it.
        lacking_tensor: Each tensor without a leaf, or leaf without a tensor, such as a bias on one side only.
            A whole word: a module that fits whole goes first. No network tried needs it.
        embedding: Both can be read as an embedding: breaks the tie between a table and a matrix of its shape.
            Halved it loses 6 of the pack.
        enough: What a candidate must score to compete at all: half a word. At 0.25 the attacks fill 18 more,
            at 0 the pack loses 4; at 1.0 they lose 76 and 44.
        margin: What the whole assignment must lose without a pair: else the pair is in doubt. More than a
            filler or two can make. Doubled it loses 2 of the pack. At 0 the pack gains 30, but ties are
            filled, and 6 tests of what must be asked fail.
        margin_of_roles: The same where the rival is the same part of the network: the target seems to have it
            twice in one block, and one of them is something else. Doubled it loses 48 of the pack.
        margin_of_norms: The same for norms in blocks, where only one side says where it stands: more than
            half a word. Without it 154 leaves of the attacks are wrong.
        margin_of_open_norms: The same for norms in blocks with more or fewer of them, or that could stand
            anywhere: as much as a standing. Without it 28 leaves of the attacks are wrong; doubled it loses
            95 of them.
        margin_of_strangers: The same for a target that says nothing more than its rival but an unknown word:
            that word may be why. A whole word. Without it 105 leaves of the attacks are wrong.
        margin_of_nameless: How much better a norm outside of blocks must be than what shares as many words
            with it. Doubled it loses 12 of the attacks; at 0 they gain 6.
        rivals_within: What is not further behind the best is named in the question as well. It changes what
            is asked, never what is filled: twice the margin, so that a rival of a rival is seen.
        open_standings: A norm with more standings than that has an unknown word in its name, which could be
            the one that tells. At 1 the pack loses 132: ``attn`` alone leaves two, before and behind.
        by_rule: The score of a pair that a rule of the user names: over any sum of the others.
        left_in_block: What the last candidate in a block must score, where all else of the block is placed.
            Words may speak against it by that much. Halved it loses 30 of the pack.
        left_kernel: What the last candidate for a convolution must score outside of blocks. Its shape says
            more than words: they must only not speak against it. Half a word less or more changes nothing.
        left_matrix: The same for a matrix that is not square, whose own name the other path has, too. Doubled
            it loses 4 of the pack.
        alike_blocks: How much of the modules two numbered subtrees must share to be blocks, as a part of all
            that either has. Blocks differ in a bias or a norm: at 1.0, 186 of the pack are lost and 783 of
            the attacks.
        plain_list: So many single modules in a row are a list, fewer are names: ``fc1, fc2, fc3`` are no
            blocks. With 3 the pack loses 102.
        witnesses: So many leaves that are not square must agree on a layout to rule out the others for all
            leaves of their name. One may be the one that is kept otherwise. 1 and 3 change nothing.
        leaves_of_a_layer: A module with more leaves than that is a layer of layers, such as an LSTM both
            ways: an LSTM one way has four. 3 and 5 change nothing.
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

    # What a pair needs.
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

    # Blocks, layouts and layers.
    alike_blocks: float = 0.5
    plain_list: int = 4
    witnesses: int = 2
    leaves_of_a_layer: int = 4


WEIGHTS = Weights()
