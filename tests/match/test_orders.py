"""How the source keeps its matrices."""

from match.built import unit_of, units_of
from ml_switcheroo.match.units.orders import nearest, order_by_bias, orders


def test_a_bias_is_as_long_as_the_outputs():
    assert order_by_bias(unit_of({"a.weight": (3, 5), "a.bias": (3,)})) == "oi"
    assert order_by_bias(unit_of({"a.weight": (3, 5), "a.bias": (5,)})) == "io"
    assert order_by_bias(unit_of({"a.weight": (4, 4), "a.bias": (4,)})) is None
    assert order_by_bias(unit_of({"a.weight": (3, 5)})) is None
    assert order_by_bias(unit_of({"a.weight": (3, 5), "a.bias": (7,)})) is None


def test_others_are_kept_like_the_nearest_that_shows_it():
    found = units_of(
        {
            "enc.fc.weight": (3, 5),
            "enc.fc.bias": (5,),
            "enc.square.weight": (4, 4),
            "dec.fc.weight": (3, 5),
            "dec.fc.bias": (3,),
            "dec.square.weight": (4, 4),
            "top.weight": (4, 4),
        }
    )
    shown = dict(zip(map(str, found), orders(found, {}), strict=True))
    assert (shown["enc.square"], shown["dec.square"]) == ("io", "oi")
    assert shown["top"] == "oi", "those that show it contradict each other: as torch keeps it"


def test_what_is_sure_goes_before_what_is_near():
    found = units_of({"enc.fc.weight": (3, 5), "enc.fc.bias": (5,), "enc.square.weight": (4, 4)})
    square = next(unit for unit in found if str(unit) == "enc.square")
    assert orders(found, {square.pattern: "oi"}) == ["io", "oi"]


def test_the_longest_common_beginning_is_the_nearest():
    witnesses = {("a", "b", "c"): "1", ("a", "x"): "2", ("a", "b", "d"): "3"}
    assert nearest(("a", "b", "z"), witnesses) == {"1", "3"}
    assert nearest(("a", "x", "y"), witnesses) == {"2"}
