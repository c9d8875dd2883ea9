"""How sure the assignment must be: the less a name says, the more it must win by."""

import math

import pytest

from match.built import field_of, named, unit_of, units_of
from ml_switcheroo.match.assignment.best import Choice
from ml_switcheroo.match.assignment.field import Beside, weigh
from ml_switcheroo.match.assignment.margins import nameless, needed, unlikely
from ml_switcheroo.match.candidates.candidate import candidate_of
from ml_switcheroo.match.weights import WEIGHTS


def said(name, path, shape, wanted, score=5.0):
    source, target = unit_of({name: shape}), unit_of({path: wanted})
    return unlikely(source, target, candidate_of(source, target, "oi", {}), score)


def test_a_score_below_enough_does_not_compete():
    assert said("a.fc.weight", "a/fc/kernel", (4, 6), (6, 4), WEIGHTS.enough) == ""
    assert (
        said("a.fc.weight", "a/fc/kernel", (4, 6), (6, 4), WEIGHTS.enough - 0.01)
        == "its words say too little"
    )


@pytest.mark.parametrize(
    ("name", "path", "shape", "wanted", "vouched"),
    [
        ("tower.zorp.weight", "tower/gnarl/kernel", (4, 6), (6, 4), True),
        ("tower.zorp.weight", "tower/gnarl/kernel", (4, 4), (4, 4), False),
        ("tower.zorp.weight", "tower/zorp/kernel", (4, 4), (4, 4), True),
        ("tower.zorp.weight", "left/zorp_fc/kernel", (4, 4), (4, 4), True),
        ("tower.zorp", "tower/gnarl", (5,), (5,), False),
        ("tower.zorp", "left/zorp", (5,), (5,), True),
    ],
)
def test_a_shape_that_rules_nothing_out_needs_a_name(name, path, shape, wanted, vouched):
    assert (said(name, path, shape, wanted) == "") == vouched


def margin(source, target, rival=None):
    return needed(unit_of(source), unit_of(target), unit_of(rival) if rival else None)


def test_the_usual_margin():
    source, target = {"a.fc.weight": (4, 6)}, {"a/fc/kernel": (6, 4)}
    assert margin(source, target) == WEIGHTS.margin
    assert margin(source, target, {"b/fc/kernel": (6, 4)}) == WEIGHTS.margin


def test_a_stranger_needs_more():
    source = {"tower.fc.weight": (4, 6)}
    stranger, plain = {"tower/zorp/fc/kernel": (6, 4)}, {"tower/fc/kernel": (6, 4)}
    assert margin(source, stranger, plain) == WEIGHTS.margin_of_strangers
    assert margin(source, plain, stranger) == WEIGHTS.margin


def test_the_same_role_twice_in_one_block_needs_more():
    source, first = {"attn.query.weight": (4, 4)}, {"attn/query/kernel": (4, 4)}
    assert margin(source, first, {"attn/q_proj/kernel": (4, 4)}) == WEIGHTS.margin_of_roles


def test_a_norm_that_could_stand_anywhere_needs_more_than_words():
    shapes = {
        f"h.{i}.{n}.weight": (4,) if "norm" in n else (4, 4)
        for i in range(2)
        for n in ("zorp_norm_attn", "norm", "attn.q_proj", "mlp.fc1")
    }
    block = units_of(shapes)
    free, plain = named(block, "h.#.zorpnormattn"), named(block, "h.#.norm")
    assert len(free.standings) > WEIGHTS.open_standings
    assert needed(free, plain, None) == math.inf
    assert needed(plain, plain, None) == WEIGHTS.margin


def test_a_norm_of_a_block_needs_more_where_only_one_side_tells_its_place():
    shapes = {
        f"h.{i}.{name}.weight": (4,) if "norm" in name else (4, 4)
        for i in range(2)
        for name in ("input_norm", "norm", "attn.q_proj", "mlp.fc1")
    }
    block = units_of(shapes)
    told, plain = named(block, "h.#.inputnorm"), named(block, "h.#.norm")
    assert needed(told, plain, None) == needed(plain, told, None) == WEIGHTS.margin_of_norms
    assert needed(told, told, None) == WEIGHTS.margin


def test_a_norm_of_a_block_with_more_norms_needs_more():
    def norm(*norms, home):
        names = [*norms, "attn.q_proj", "mlp.fc1"]
        shapes = {f"{home}.{i}.{n}.weight": (4,) if "norm" in n else (4, 4) for i in range(2) for n in names}
        return named(units_of(shapes), f"{home}.#.{norms[0].replace(chr(95), '')}")

    two, three = norm("norm_a", "norm_b", home="h"), norm("norm_a", "norm_b", "norm_c", home="x")
    assert needed(two, three, None) == WEIGHTS.margin_of_open_norms
    assert needed(two, norm("norm_a", "norm_b", home="x"), None) == WEIGHTS.margin


def test_a_norm_outside_of_blocks_is_not_taken_for_being_one():
    def only(name, path):
        field = field_of({name: (4,)}, {path: (4,)})
        scores = weigh(field)
        choice = Choice(0, 0, 3.0, None)
        return nameless(choice, field, scores, Beside.of(scores)) if scores else None

    assert only("conv_norm.weight", "conv_bn/scale") is False
    assert only("encoder.fc.weight", "top/fc/scale") is False, "this is about norms"
    assert only("norm.weight", "norm/scale") is False
    assert only("blocks.0.norm.weight", "top/norm/scale") is True
