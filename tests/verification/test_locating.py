"""Where two models part: inside the first layer that differs, before it, or after the last."""

import numpy as np

from ml_switcheroo.verification.locating import locate
from ml_switcheroo.verification.pairs import BLOCK
from ml_switcheroo.verification.verdict import Layer, Output

GOOD, BAD = Output("0", 1e-7, agrees=True), Output("0", 0.5, agrees=False, note="scaled")


def layer(path, *, takes=True, agrees=True, kind="linear", notes=()):
    return Layer(path, path, kind, 0.0 if takes else 0.5, 0.0 if agrees else 0.5, agrees, takes, notes)


def found(layers, output=BAD, weights=(), mine=None, other=None):
    return locate(layers, [output], weights, mine or {}, other or {}, 1e-5)


def test_outputs_that_agree_have_no_difference():
    assert found([layer("a", agrees=False)], GOOD) is None


def test_a_layer_that_takes_the_same_and_gives_something_else_is_at_fault():
    one = found([layer("a"), layer("b", agrees=False), layer("c", takes=False, agrees=False)])
    assert (one.layer.source, one.where) == ("b", "inside")
    assert "Its weights are what the plan gives" in one.text


def test_its_weights_are_named_where_they_are_not_the_plans():
    one = found([layer("fc", agrees=False)], weights=["params/fc/kernel", "params/fc2/kernel"])
    assert "Its weights are not what the plan gives: params/fc/kernel" in one.text
    assert "fc2" not in one.text


def test_a_layer_that_takes_something_else_points_to_what_lies_before():
    one = found([layer("a"), layer("b", takes=False, agrees=False)])
    assert (one.layer.source, one.where) == ("b", "before")
    assert "everything up to a agrees" in one.text
    assert "no layer before it is compared" in found([layer("b", takes=False, agrees=False)]).text


def test_a_block_alone_proves_nothing_where_what_follows_takes_the_same():
    block = layer("block", kind=BLOCK, agrees=False)
    assert found([block, layer("fc")]).where == "after"
    assert found([block, layer("fc", takes=False)]).layer.source == "block"
    assert found([layer("block", kind=BLOCK, takes=False), layer("fc", agrees=False)]).layer.source == "fc"


def test_what_follows_the_last_layer_is_said_with_the_note_of_the_output():
    one = found([layer("a"), layer("head")])
    assert (one.layer, one.where) == (None, "after")
    assert one.text == "what follows head: everything up to there agrees; scaled"
    assert found([]).text.startswith("no layer can be compared")


def test_two_layers_that_are_swapped_are_named():
    values = {name: np.random.default_rng(n).random((3, 4)) for n, name in enumerate(("a", "b"))}
    one = found([layer("a", agrees=False)], mine=values, other={"a": values["b"]})
    assert one.text.endswith("It gives what b gives in PyTorch: are the two swapped?")
