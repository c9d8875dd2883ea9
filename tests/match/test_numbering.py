"""Which number is which, where both trees count."""

from match.built import named, units_of
from ml_switcheroo.match.assignment.numbering import Numbering, numbering


def series(prefix, numbers, shape=(4, 6), sep=".", slot="weight"):
    return units_of({f"{prefix}{n}{sep}{slot}": shape for n in numbers}, {"linear"})


def test_series_from_the_same_number_agree_number_by_number():
    mine, other = series("norm", (1, 2)), series("norm_", (1, 2), sep="/", slot="scale")
    agree = Numbering().agree
    assert agree(mine[0], other[0], "norm") is True
    assert agree(mine[0], other[1], "norm") is False


def test_series_of_the_same_length_agree_rank_by_rank():
    mine, other = series("norm", (1, 2)), series("norm_", (0, 1), sep="/", slot="scale")
    assert Numbering().agree(mine[0], other[0], "norm") is True
    assert Numbering().agree(mine[0], other[1], "norm") is False


def test_what_is_written_the_same_is_the_same_whatever_is_counted():
    mine, other = series("block", (1, 2, 3)), series("block", (0, 1), sep="/", slot="kernel")
    assert Numbering().agree(mine[0], other[1], "block") is True
    assert Numbering().agree(mine[1], other[1], "block") is None


def test_shapes_say_where_a_longer_series_begins():
    mine = units_of({"conv1.weight": (8, 3, 1, 1), "conv2.weight": (8, 8, 3, 3)})
    leaves = {"Conv_0/kernel": (3, 3, 3, 8), "Conv_1/kernel": (1, 1, 3, 8), "Conv_2/kernel": (3, 3, 8, 8)}
    other = units_of(leaves)
    fits = {(0, 1): object(), (1, 2): object()}
    found = numbering(mine, other, fits)
    assert list(found.shifts.values()) == [0]
    first, second, third = (named(other, f"conv{n}") for n in range(3))
    assert [found.agree(named(mine, "conv1"), one, "conv") for one in (first, second, third)] == [
        False,
        True,
        False,
    ]
    open_ended = {(i, j): object() for i in range(2) for j in range(3)}
    assert not numbering(mine, other, open_ended).shifts
    assert named(other, "conv1").numbers["conv"].rank == 1


def test_one_number_alone_is_compared_by_its_value():
    alone = units_of({"norm2.weight": (4,), "fc.weight": (4, 4)})
    other = series("norm_", (0, 1, 2), (4,), sep="/", slot="scale")
    agree = Numbering().agree
    found = [agree(named(alone, "norm2"), named(other, f"norm{n}"), "norm") for n in range(3)]
    assert found == [False, False, True]


def test_what_is_of_another_kind_says_nothing_of_a_series():
    mine = units_of({"x1.weight": (8, 3, 1, 1), "x2.weight": (8, 8, 3, 3)}, {"conv"})
    other = units_of({f"x_{n}/scale": (8,) for n in range(3)}, {"norm"})
    assert not numbering(mine, other, {}).shifts
