"""What the target has no place for may be folded into something: then that is not trusted."""

from match.built import field_of
from ml_switcheroo.match.assignment.field import weigh
from ml_switcheroo.match.assignment.leftovers import folded
from ml_switcheroo.match.assignment.pairing import pair


def doubted(tensors, leaves):
    field = field_of(tensors, leaves)
    matches = pair(field, weigh(field)).matches
    found = folded(matches, field.sources, field.targets)
    return {str(matches[number].source): why for number, why in found.items()}


def test_a_table_of_segments_without_a_place_may_be_added_to_that_of_positions():
    tensors = {
        "embed.position.weight": (16, 4),
        "embed.token_type.weight": (2, 4),
        "embed.word.weight": (9, 4),
    }
    leaves = {"embed/position/embedding": (16, 4), "embed/word/embedding": (9, 4)}
    assert doubted(tensors, leaves) == {
        "embed.position": "embed.tokentype has no place in the target and may be folded into this"
    }
    assert doubted(tensors, {**leaves, "embed/token_type/embedding": (2, 4)}) == {}


def test_another_table_without_a_place_is_not_added_to_that_of_positions():
    tensors = {"embed.position.weight": (16, 4), "embed.zorp.weight": (5, 4)}
    assert doubted(tensors, {"embed/position/embedding": (16, 4)}) == {}


def test_a_norm_without_a_place_may_be_folded_into_a_matrix_that_gained_a_bias():
    tensors = {"tower.norm.weight": (6,), "tower.fc.weight": (4, 6)}
    assert doubted(tensors, {"tower/fc/kernel": (6, 4)}) == {}
    gained = {"tower/fc/kernel": (6, 4), "tower/fc/bias": (4,)}
    assert list(doubted(tensors, gained)) == ["tower.fc"]
    assert doubted(tensors, {**gained, "tower/norm/scale": (6,)}) == {}
