"""What a verification says: one outlier is enough to differ, and agreement that shows little is called so."""

import json

import pytest

from ml_switcheroo.verification.verdict import Difference, Layer, Output, Verification


def layer(number, *, agrees=True, error=1e-7):
    return Layer(f"m.{number}", f"m_{number}", "linear", 1e-8, error, agrees, True)


GOOD = Output("0", 1e-7, agrees=True)


def verification(outputs=(GOOD,), layers=(), **more):
    return Verification(
        "Net",
        "nnx",
        tuple(outputs),
        tuple(layers),
        **{"weights": (), "first": None, "tolerance": 1e-5, **more},
    )


@pytest.mark.parametrize(
    ("outputs", "doubts", "verdict"),
    [
        ([True, True], (), "agree"),
        ([True, False], (), "differ"),
        ([True], ("all are 0",), "agree so far as this shows"),
        ([False], ("all are 0",), "differ"),
        ([], (), "differ"),
    ],
)
def test_the_verdict(outputs, doubts, verdict):
    found = verification([Output(str(n), 0.1, agrees=one) for n, one in enumerate(outputs)], doubts=doubts)
    assert found.verdict == verdict
    assert found.agrees == (verdict == "agree")
    assert f"the outputs {verdict}" in str(found)
    assert ("because all are 0" in str(found)) == (verdict == "agree so far as this shows")


def test_the_error_is_the_largest_and_infinite_where_one_cannot_be_compared():
    outputs = [Output("0", 0.25, agrees=True), Output("1", 0.5, agrees=True)]
    assert verification(outputs).error == 0.5
    assert verification([*outputs, Output("2", None, agrees=False)]).error == float("inf")
    assert verification([]).error == float("inf")


def test_the_first_difference_stands_before_the_table_and_is_marked_in_it():
    layers = [layer(0), layer(1, agrees=False, error=0.5), layer(2)]
    text = str(verification(layers=layers, first=Difference(layers[1], "inside", "m.1, linear: look")))
    assert text.index("the first that differs: m.1, linear: look") < text.index(
        "layers as PyTorch ran them (3):"
    )
    (line,) = [line for line in text.splitlines() if "<- differs" in line]
    assert line.split()[:2] == ["m.1", "m_1"]


def test_a_long_table_is_cut_around_the_difference():
    layers = [layer(n, agrees=n != 40) for n in range(100)]
    text = str(verification(layers=layers, first=Difference(layers[40], "inside", "here")))
    assert "  37 before these" in text
    assert "m.37 " in text
    assert "m.36 " not in text
    assert "48 after these, 0 of which differ" in text


def test_weights_and_leaves_that_were_not_filled_are_said():
    text = str(verification(weights=tuple(f"w{n}" for n in range(8)), filled=(3, 5)))
    assert "the plan fills 3 of 5 leaves" in text
    assert "(8): w0, w1, w2, w3, w4, w5 and 2 more" in text
    assert "the plan fills" not in str(verification(filled=(5, 5)))


def test_json_says_the_same():
    record = json.loads(json.dumps(verification(layers=[layer(0)]).to_json()))
    assert (record["verdict"], record["agrees"], record["layers"][0]["source"]) == ("agree", True, "m.0")
