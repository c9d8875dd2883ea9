"""Paths as words, whatever a framework does to their spelling."""

import pytest

from ml_switcheroo.match.paths.words import meaning, segment_tokens, tokens


@pytest.mark.parametrize(
    ("segment", "found"),
    [
        ("layers_0", ("layers", 0)),
        ("selfAttn2", ("self", "attn", 2)),
        ("HTTPHead", ("http", "head")),
        ("wi_1_proj", ("wi", 1, "proj")),
        ("conv2d", ("conv2d",)),
        ("_", ()),
    ],
)
def test_a_segment_is_split_at_case_underscores_and_numbers(segment, found):
    assert segment_tokens(segment) == found


def test_both_separators_split_a_path_alike():
    assert tokens("encoder.fc_1.weight") == tokens("encoder/fc_1/weight")


def test_a_name_that_a_child_repeats_is_said_once():
    assert tokens("block/block_conv/kernel") == (("block",), ("conv",), ("kernel",))
    assert tokens("block/block/kernel") == (("block",), ("kernel",))
    assert tokens("block/blocked/kernel") == (("block",), ("blocked",), ("kernel",))


@pytest.mark.parametrize(
    ("segment", "found"),
    [
        (("layer", "norm"), ("norm",)),
        (("self", "attn", "layer", "norm"), ("self", "attn", "norm")),
        (("q", "k", "v"), ("qkv",)),
        (("fc", 2), ("down",)),
        (("fc", 3), ("head", 3)),
        (("zorp",), ("zorp",)),
    ],
)
def test_the_longest_phrase_decides_what_a_segment_means(segment, found):
    assert meaning(segment) == found


def test_endings_make_no_difference_to_long_words_only():
    assert meaning(("adapters",)) == meaning(("adapter",)) == meaning(("adapted",))
    assert meaning(("adapters",)) == ("adapt",)
    assert meaning(("users",)) != meaning(("user",))
    assert meaning(("things",)) == ("thing",), "four letters must be left"
