"""What is left open of two programs is said once, however many layers say it."""

from types import SimpleNamespace

from ml_switcheroo.graph.moving import Refused
from ml_switcheroo.report.programs import gap_lines, refused_lines


def matched(mine, theirs):
    return SimpleNamespace(
        source=SimpleNamespace(graph=SimpleNamespace(gaps=mine)),
        target=SimpleNamespace(graph=SimpleNamespace(gaps=theirs)),
    )


def test_the_same_gap_of_many_layers_is_one_line():
    gaps = [f"model.py:7: there is no layers.{number}.scale" for number in range(100)]
    assert list(gap_lines(matched(gaps, ["port.py:3: random numbers"]))) == [
        "the PyTorch model is not followed all the way: model.py:7: there is no layers.{0..99}.scale",
        "the target's model is not followed all the way: port.py:3: random numbers",
    ]


def test_leaves_with_one_reason_are_folded_and_a_few_are_named():
    layers = [Refused(f"h.{n}.w", (f"l.{n}.w",), "used in part") for n in range(100)]
    assert list(refused_lines(layers)) == ["h.{0..99}.w: l.{0..99}.w: used in part"]
    names = [Refused(name, (name.upper(),), "used in part") for name in "abcde"]
    other = Refused("x", ("y", "z"), "no rule")
    assert list(refused_lines([*names, other])) == [
        "a: A; b: B; c: C; and 2 more: used in part",
        "x: y, z: no rule",
    ]
