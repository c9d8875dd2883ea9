"""Modules that are alike but for a number: which numbers count, and which are part of a name."""

import pytest

from ml_switcheroo.planning.stages.series import ranked, series_of, stem_of


def test_the_first_of_a_series_may_have_no_number():
    assert ranked(["conv", "conv_1", "conv_2"]).ranks == {"conv": (0,), "conv_1": (1,), "conv_2": (2,)}


@pytest.mark.parametrize(
    ("paths", "counted"),
    [
        (["d1", "d2", "d3"], True),
        (["d1", "d2", "d4"], False),
        (["net.0", "net.2", "net.5"], True),
        (["a.fc1", "b.fc2"], False),
    ],
)
def test_a_number_of_a_name_must_follow_the_one_before_and_the_index_of_a_list_need_not(paths, counted):
    assert (ranked(paths) is not None) == counted


def test_each_number_that_differs_has_a_rank():
    found = ranked(["h.0.fc1", "h.0.fc2", "h.1.fc1", "h.1.fc2"])
    assert found.ranks["h.1.fc1"] == (1, 0)
    alone = ranked(["h.3.fc1", "h.3.fc2"])
    assert alone.ranks["h.3.fc2"] == (1,)


def test_series_line_up_where_they_are_as_long_and_count_the_same():
    mine = ranked(["conv1", "conv2"])
    assert mine.lines_up(ranked(["conv_0", "conv_1"]))
    assert not mine.lines_up(ranked(["conv_0", "conv_1", "conv_2"]))
    crossed = ranked([f"heads.{j}.convs.{i}" for i in range(2) for j in range(2)])
    assert not ranked([f"convs.{i}.heads.{j}" for i in range(2) for j in range(2)]).lines_up(crossed)


def test_a_stem_is_the_words_without_the_numbers():
    assert stem_of("h.0.fc_1") == stem_of("h.3.fc")
    assert stem_of("h.0.fc") != stem_of("h.0.gc")


def test_every_path_of_a_tree_has_its_series():
    found = series_of(["h.0.fc", "h.1.fc", "head"])
    assert found["h.0.fc"] is found["h.1.fc"]
    assert found["head"].ranks == {"head": ()}
