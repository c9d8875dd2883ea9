"""The calls of paired modules against each other, call by call; the worst counts."""

import numpy as np

from ml_switcheroo.verification.calls import Call
from ml_switcheroo.verification.layerwise import compare_layers
from ml_switcheroo.verification.pairs import Pair

RNG = np.random.default_rng(0)


def call(inputs, outputs, path="fc", **more):
    return Call(path, list(inputs), list(outputs), **more)


def compared(mine, other, kind="linear", channels="last", turn=None, images=True):
    pair = Pair("fc", "fc", kind, (), turn)
    (layer,) = compare_layers([pair], mine, other, channels, {}, images=images, tolerance=1e-5)
    return layer


def test_the_same_values_agree_and_others_do_not():
    x, y = RNG.random((2, 4)), RNG.random((2, 3))
    same = compared([call([x], [y])], [call([x], [y])])
    assert (same.agrees, same.takes_the_same) == (True, True)
    off = compared([call([x], [y])], [call([x], [y * 1.1])])
    assert (off.agrees, off.takes_the_same) == (False, True)
    assert off.error > 1e-2


def test_an_image_is_compared_as_its_kind_lies_in_the_target():
    image = RNG.random((2, 3, 4, 5))
    moved = np.moveaxis(image, 1, -1)
    assert compared([call([image], [image])], [call([moved], [moved])], "conv").agrees
    assert compared([call([image], [image])], [call([image], [image])], "conv").agrees is not True


def test_the_worst_of_several_calls_counts():
    x = RNG.random((2, 4))
    mine = [call([x], [x]), call([x], [x])]
    assert compared(mine, [call([x], [x]), call([x], [x + 1])]).agrees is False


def test_another_number_of_calls_cannot_be_compared():
    x = RNG.random((2, 4))
    layer = compared([call([x], [x])] * 2, [call([x], [x])])
    assert (layer.agrees, layer.error) == (None, None)
    assert layer.notes == ("called 2 times in PyTorch, 1 times in the target",)


def test_one_module_that_is_called_for_several_is_compared_turn_by_turn():
    x, y = RNG.random((2, 4)), RNG.random((2, 4))
    both = [call([x], [x]), call([y], [y])]
    assert compared([call([y], [y])], both, turn=1).agrees
    assert compared([call([y], [y])], both, turn=0).agrees is False


def test_an_activation_that_is_part_of_the_layer_is_told():
    x, y = RNG.random((2, 4)), RNG.standard_normal((2, 4))
    relu = ("relu", lambda array: np.maximum(array, 0))
    layer = compared([call([x], [y])], [call([x], [np.maximum(y, 0)], beside=relu)])
    assert layer.agrees
    assert layer.notes == ("its activation relu is part of it in the target",)
    assert compared([call([x], [y])], [call([x], [np.maximum(y, 0) * 2], beside=relu)]).agrees is False
