"""How the activations of two layers lie to each other, by their kinds."""

import numpy as np
import pytest

from ml_switcheroo.errors import AxesError, UsageError
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes
from ml_switcheroo.verification.pairs import BLOCK, Pair
from ml_switcheroo.verification.readings import (
    AS_IT_IS,
    channels_last,
    fitted,
    readings,
    readings_of_output,
    stated,
)

MOVED = "n c *space -> n *space c"


def pair(kind, *ops):
    move = Move(("a.weight",), ("a/kernel",), ops)
    return Pair("a", "a", kind, (move,))


def texts(kind, channels="last", *, images=True, of_input=False, args=None, ops=()):
    found = readings(pair(kind, *ops), channels, args or {}, images=images, of_input=of_input)
    return [reading.text for reading in found]


def test_a_reading_that_is_stated_moves_the_axes():
    image = np.arange(24).reshape(1, 2, 3, 4)
    assert np.array_equal(stated("n c h w -> n h w c").apply(image), np.moveaxis(image, 1, -1))
    with pytest.raises(UsageError, match="no axis equation"):
        stated("n c h w")
    with pytest.raises(AxesError):
        stated("n c -> n d")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("conv", [MOVED]),
        ("batch_norm", [MOVED]),
        ("linear", [""]),
        (BLOCK, ["", MOVED]),
        ("layer_norm", ["", MOVED]),
    ],
)
def test_the_kind_decides_how_an_image_lies_or_leaves_both_open(kind, expected):
    assert texts(kind) == expected
    assert texts(kind, "first") == [""]


def test_without_images_only_kinds_with_channels_are_moved():
    assert texts(BLOCK, images=False) == [""]
    assert texts("conv", images=False) == [MOVED]
    assert channels_last("conv").text == MOVED
    assert channels_last("linear") is None


def test_a_sequence_may_have_its_time_first():
    assert texts("lstm", args={"batch_first": False}) == ["", "t n f -> n t f"]
    assert texts("lstm", images=False, args={"batch_first": True}) == [""]


def test_the_input_behind_a_flatten_is_permuted_as_its_weight_is():
    op = Axes("out (c *space) -> (*space c) out", (("c", 3),))
    assert texts("linear", of_input=True, ops=(op,)) == ["(c *space) -> (*space c)"]
    assert texts("linear", of_input=False, ops=(op,)) == [""]
    (reading,) = readings(pair("linear", op), "last", {}, images=True, of_input=True)
    image = np.arange(24).reshape(2, 3, 2, 2)
    flat, moved = image.reshape(2, -1), np.moveaxis(image, 1, -1).reshape(2, -1)
    assert np.array_equal(reading.apply(flat), moved)


def test_an_output_lies_as_the_layer_that_gives_it():
    assert [one.text for one in readings_of_output("conv", "last", images=True)] == [MOVED]
    assert [one.text for one in readings_of_output("", "last", images=True)] == ["", MOVED]
    assert [one.text for one in readings_of_output("", "last", images=False)] == [""]


def test_a_shape_fits_with_the_last_axis_divided_or_ones_left_out_and_not_otherwise():
    array = np.arange(24.0).reshape(2, 12)
    assert fitted(AS_IT_IS, array, np.zeros((2, 3, 4))).shape == (2, 3, 4)
    assert fitted(AS_IT_IS, array, np.zeros((2, 1, 12))).shape == (2, 1, 12)
    assert fitted(AS_IT_IS, array, np.zeros((3, 8))) is None
    assert fitted(stated(MOVED), array, np.zeros((2, 12))) is not None, "a row has no axes of space"
    assert fitted(stated("n a b -> n b a"), array, np.zeros((12, 2))) is None
