"""The words of the field: every entry is read, and what excludes one another does."""

import pytest

from ml_switcheroo.match.paths.vocabulary import FILLERS, KNOWN, LEAF_SLOTS, PHRASES, QUIET, apart, contradict
from ml_switcheroo.match.paths.words import meaning


def test_every_phrase_means_what_its_row_says():
    for phrase, said in PHRASES.items():
        assert meaning(phrase) == said, phrase


def test_what_a_phrase_means_is_itself_known():
    assert {word for said in PHRASES.values() for word in said} <= KNOWN
    assert FILLERS <= KNOWN


def test_quiet_words_are_words_that_something_means_or_that_stand_for_themselves():
    assert all(meaning((word,)) for word in QUIET)
    assert QUIET.isdisjoint(FILLERS)


def test_the_roles_of_leaves_prove_kinds_that_have_them():
    assert LEAF_SLOTS["kernel"] == ("weight", {"linear", "conv"})
    assert all(kinds <= {"linear", "conv", "norm", "embedding"} for _, kinds in LEAF_SLOTS.values())
    assert all("norm" in LEAF_SLOTS[name][1] for name in ("running_mean", "moving_variance", "gamma"))


@pytest.mark.parametrize(("mine", "other"), [("encoder", "decoder"), ("tok", "pos"), ("pos", "seg")])
def test_some_words_contradict_each_other_everywhere(mine, other):
    assert contradict({mine, "attn"}, {other, "attn"})
    assert apart({mine}, {other})
    assert not contradict({mine}, {mine})
    assert not contradict({mine, other}, {other})


@pytest.mark.parametrize(
    ("mine", "other"), [("before", "after"), ("head", "aux"), ("up", "down"), ("in", "out")]
)
def test_others_do_so_outside_of_blocks_only(mine, other):
    assert apart({mine}, {other})
    assert not contradict({mine}, {other})
