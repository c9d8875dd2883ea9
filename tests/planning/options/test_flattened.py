"""The elements of an axis behind a Flatten, in a channels-last target: against flattening by hand."""

import numpy as np
import pytest

from ml_switcheroo.axes import equation
from ml_switcheroo.errors import AxesError
from ml_switcheroo.ops import Axes, run
from ml_switcheroo.planning.options.flattened import (
    before_unflatten,
    behind_flatten,
    either_layout,
    in_parts,
    over_several,
)
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import NO_FLATTEN, Finding, Flatten
from ml_switcheroo.targets import find_target
from ml_switcheroo.tensors import TensorSpec

LAST, FIRST = find_target("linen"), find_target("equinox")
SIDES = ("out in", "in out")


def finding(kind="linear", **said):
    return Finding(kind, "static", "said", **said)


def spec(*shape):
    return TensorSpec(shape, "float32")


def done(sides, sizes, table):
    rule = equation(*sides)
    return run((Axes(str(rule), tuple(sizes.items())),), [table])[0]


def test_the_inputs_behind_a_flatten_are_those_of_the_same_pixels():
    sizes, notes = {}, []
    sides = behind_flatten(finding(flatten=Flatten(3)), LAST, SIDES, spec(2, 12), sizes, notes)
    image, weight = np.random.default_rng(0).random((3, 2, 2)), np.random.default_rng(1).random((2, 12))
    turned = done(sides, sizes, weight)
    assert np.allclose(weight @ image.reshape(-1), np.moveaxis(image, 0, -1).reshape(-1) @ turned)
    assert "channels-last" in notes[0]


def test_nothing_changes_without_a_flatten_or_with_channels_first():
    for said, target in (
        (finding(), LAST),
        (finding(flatten=Flatten(1)), LAST),
        (finding(flatten=Flatten(3)), FIRST),
    ):
        notes = []
        assert behind_flatten(said, target, SIDES, spec(2, 12), {}, notes) == SIDES
        assert not notes


def test_an_axis_that_is_no_multiple_of_the_channels_is_refused():
    with pytest.raises(AxesError, match="no multiple of the 3 channels"):
        behind_flatten(finding(flatten=Flatten(3)), LAST, SIDES, spec(2, 10), {}, [])
    with pytest.raises(AxesError, match="no multiple of the 3 channels"):
        before_unflatten(finding(unflatten=Flatten(3)), LAST, SIDES, spec(10, 2), {}, [])


def test_the_outputs_before_an_unflatten_are_those_of_the_same_pixels():
    sizes = {}
    sides = before_unflatten(finding(unflatten=Flatten(3)), LAST, SIDES, spec(12, 2), sizes, [])
    weight, x = np.random.default_rng(0).random((12, 2)), np.array([1.0, 2.0])
    turned = done(sides, sizes, weight)
    assert np.allclose(np.moveaxis((weight @ x).reshape(3, 2, 2), 0, -1), (x @ turned).reshape(2, 2, 3))


def test_several_images_on_one_axis_are_turned_each_by_itself():
    notes = []
    said = finding(flatten=Flatten(0, parts=((1, 2, 4), (1, 3, 2))))
    ops = in_parts(said, LAST, "out in", spec(5, 14), notes)
    first, second = np.arange(8.0).reshape(2, 4), np.arange(8.0, 14.0).reshape(3, 2)
    row = np.concatenate([first.reshape(-1), second.reshape(-1)])
    (found,) = run(ops, [np.tile(row, (5, 1))])
    assert np.array_equal(found[0], np.concatenate([first.T.reshape(-1), second.T.reshape(-1)]))
    with pytest.raises(AxesError, match="the in axis is 15"):
        in_parts(said, LAST, "out in", spec(5, 15), [])


def test_the_channels_of_a_norm_over_an_image_move_or_are_asked():
    sides = ("*channel", "*channel")

    def over(shape, flatten=None, wanted=None):
        return over_several("n", finding("layer_norm", flatten=flatten), LAST, sides, spec(*shape), wanted)

    assert over((3, 4, 5), Flatten(3)) == ("c *space", "*space c")
    assert over((3, 4, 5), wanted=(4, 5, 3)) == ("c *space", "*space c")
    assert over((3, 4, 5), wanted=(3, 4, 5)) == sides
    assert over((3,)) == sides
    with pytest.raises(AxesError, match="flatten=3"):
        over((3, 4, 5))


def test_where_nobody_knows_the_layout_both_readings_are_offered():
    owner = Owner("fc", (finding(flatten=Flatten(3)),), {"weight": "fc.weight"})
    (both,) = either_layout([owner], "the port does not say")
    assert [one.flatten for one in both.possible] == [Flatten(3), NO_FLATTEN]
    assert "the port does not say" in both.possible[1].reason
    ruled = Owner("fc", (Finding("linear", "rules", "said", flatten=Flatten(3)),), {"weight": "fc.weight"})
    assert either_layout([ruled], "the port does not say") == (ruled,)
