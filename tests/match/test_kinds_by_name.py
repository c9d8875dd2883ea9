"""What names and ranks leave possible of a kind."""

import pytest

from ml_switcheroo.match.units.kinds_by_name import kind_of_class, kinds_of_leaf, kinds_of_words, plain_kind
from ml_switcheroo.match.units.unit import ANY


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        ("layer_norm", "norm"),
        ("mha", "linear"),
        ("buffer", "parameter"),
        ("lstm", None),
        ("conv_transpose", None),
    ],
)
def test_a_kind_is_matched_as_its_like_or_has_a_recipe_of_its_own(kind, plain):
    assert plain_kind(kind) == plain


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("LlamaRMSNorm", "norm"),
        ("NonDynamicallyQuantizableLinear", "linear"),
        ("Embedding", "embedding"),
        ("Mlp", None),
    ],
)
def test_the_name_of_a_class_says_its_kind(name, kind):
    assert kind_of_class(name) == kind


@pytest.mark.parametrize(
    ("path", "rank", "kinds"),
    [
        ("a/kernel", 2, {"linear", "conv"}),
        ("a/scale", 1, {"norm"}),
        ("a/embedding", 2, {"embedding"}),
        ("norm/bias", 1, {"norm"}),
        ("fc/bias", 1, ANY),
    ],
)
def test_a_leaf_says_its_kind_by_its_own_name_first(path, rank, kinds):
    assert kinds_of_leaf(path, rank) == kinds


@pytest.mark.parametrize(
    ("path", "rank", "kinds"),
    [
        ("fc.weight", 1, {"norm", "parameter"}),
        ("fc.weight", 2, {"linear", "embedding", "parameter"}),
        ("fc.weight", 4, {"conv", "linear", "parameter"}),
        ("ln_1.weight", 2, {"norm"}),
        ("pos_table", 2, ANY),
    ],
)
def test_words_and_ranks_leave_some_kinds(path, rank, kinds):
    assert kinds_of_words(path, rank) == kinds
