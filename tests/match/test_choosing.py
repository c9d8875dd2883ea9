"""The layout of a leaf with a shape that fits several: as others show, else by convention, else asked."""

from match.built import field_of
from ml_switcheroo.match.assignment.field import weigh
from ml_switcheroo.match.assignment.pairing import pair
from ml_switcheroo.match.layouts.choosing import choose
from ml_switcheroo.match.layouts.layout_evidence import conventions
from ml_switcheroo.targets import find_target

LINEN = conventions(find_target("linen"))
SQUARE = {"enc.fc.weight": (4, 4)}


def chosen(tensors, leaves, usual=LINEN, shown=None):
    """Return the layout and the reason for each weight, and the kinds that are kept otherwise."""
    field = field_of(tensors, leaves)
    matches = pair(field, weigh(field)).matches
    choices, odd = choose(matches, usual, shown or {}, field)
    by_name = {str(match.source): made["weight"] for match, made in zip(matches, choices, strict=True)}
    return {name: (choice.layout, choice.why) for name, choice in by_name.items()}, odd


def test_a_shape_that_fits_one_layout_needs_no_reason():
    found, odd = chosen({"enc.fc.weight": (4, 6)}, {"enc/fc/kernel": (6, 4)})
    assert found == {"enc.fc": ("io", "")}
    assert not odd


def test_a_square_matrix_is_kept_as_the_framework_keeps_it_where_nothing_else_is_shown():
    found, _ = chosen(SQUARE, {"enc/fc/kernel": (4, 4)})
    assert found == {"enc.fc": ("io", "as the framework keeps a kernel")}
    found, _ = chosen(SQUARE, {"enc/fc/kernel": (4, 4)}, {})
    assert found["enc.fc"] == (None, "its shape fits several layouts: oi, io")


def test_it_follows_the_leaves_that_are_not_square_also_against_the_framework():
    more = {"enc.up.weight": (8, 4), "enc.down.weight": (4, 8)}
    like = {"enc/fc/kernel": (4, 4), "enc/up/kernel": (4, 8), "enc/down/kernel": (8, 4)}
    found, odd = chosen({**SQUARE, **more}, like)
    assert found["enc.fc"] == ("io", "like the leaves called kernel that are not square")
    assert not odd
    against = {**like, "enc/up/kernel": (8, 4), "enc/down/kernel": (4, 8)}
    found, odd = chosen({**SQUARE, **more}, against)
    assert found["enc.fc"] == ("oi", "like the leaves called kernel that are not square")
    assert odd == {"linear"}


def test_leaves_that_contradict_one_another_decide_nothing():
    more = {"enc.up.weight": (8, 4), "enc.down.weight": (4, 8)}
    like = {"enc/fc/kernel": (4, 4), "enc/up/kernel": (4, 8), "enc/down/kernel": (4, 8)}
    found, _ = chosen({**SQUARE, **more}, like)
    assert found["enc.fc"] == (None, "leaves called kernel are kept in several ways: io, oi")


def test_a_leaf_that_nothing_fills_could_have_shown_it():
    found, _ = chosen(SQUARE, {"enc/fc/kernel": (4, 4), "enc/zorp/kernel": (5, 9)})
    assert found["enc.fc"] == (None, "nothing fills a leaf called kernel that would show how they are kept")


def test_a_tensor_with_a_name_of_its_own_is_kept_as_it_is():
    field = field_of({"enc.table": (4, 4)}, {"enc/table": (4, 4)})
    (match,) = pair(field, weigh(field)).matches
    (made,), _ = choose([match], LINEN, {}, field)
    assert made["parameter"].layout == "same"


def test_what_may_be_a_table_is_not_turned():
    found, _ = chosen({"enc.fc.weight": (4, 4)}, {"enc/fc/weight": (4, 4)}, {("linear", "weight"): "io"})
    assert found["enc.fc"] == (None, "a linear would be turned, an embedding would not")


def test_the_matrices_of_experts_may_look_like_a_convolution_and_are_not_turned():
    usual, cube = {("conv", "kernel"): "io"}, (5, 5, 5)
    found, _ = chosen({"moe.experts.zorp.weight": cube}, {"moe/experts/zorp/kernel": cube}, usual)
    assert found == {
        "moe.experts.zorp": (None, "a convolution would be turned, a stack of matrices would not")
    }
    plain, _ = chosen({"net.stem.weight": cube}, {"net/stem/kernel": cube}, usual)
    assert plain["net.stem"] == ("io", "as the framework keeps a kernel")


def test_a_table_is_kept_as_it_is_where_no_convention_says_otherwise():
    found, _ = chosen({"tok.table.weight": (4, 4)}, {"tok/table/embedding": (4, 4)}, {})
    assert found["tok.table"] == ("same", "as the framework keeps a embedding")
