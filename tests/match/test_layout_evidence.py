"""How matrices are kept is seen on the other leaves of a tree; if those disagree, it is ambiguous."""

import numpy as np
import pytest

import ml_switcheroo as ms
from match.built import field_of, units_of
from ml_switcheroo.match.assignment.field import weigh
from ml_switcheroo.match.assignment.pairing import pair
from ml_switcheroo.match.layouts.layout_evidence import (
    Witness,
    agreed,
    contradicted,
    conventions,
    narrowed,
    shown_before,
    shown_by,
    unlike,
)
from ml_switcheroo.targets import find_target

rng = np.random.default_rng(0)


def weights(**shapes):
    return {f"{name.replace('__', '.')}.weight": rng.normal(size=shape) for name, shape in shapes.items()}


def plan_for(source, leaves, to="linen"):
    return ms.make_plan(source, to=to, like=leaves)


def test_square_leaves_follow_the_others_of_their_tree_against_the_convention():
    source = weights(a__up_proj=(6, 4), a__q_proj=(4, 4), a__o_proj=(4, 4))
    leaves = {
        f"{name.removesuffix('.weight').replace('.', '/')}/kernel": x.shape for name, x in source.items()
    }
    found = dict(plan_for(source, leaves).apply(source))
    assert len(found) == 3
    for name, value in source.items():
        path = f"{name.removesuffix('.weight').replace('.', '/')}/kernel"
        np.testing.assert_array_equal(found[path], value)


@pytest.mark.parametrize("to", ["mlx", "equinox"])
def test_a_turned_matrix_is_no_norm_over_two_axes(to):
    source = weights(a__gate_proj=(6, 4), a__q_proj=(4, 4))
    leaves = {"a/gate_proj/weight": (4, 6), "a/q_proj/weight": (4, 4)}
    if to == "equinox":
        leaves = {path.replace("/", "."): shape for path, shape in leaves.items()}
    plan = plan_for(source, leaves, to)
    assert {move.kind for move in plan.moves} == {"linear"}
    found = dict(plan.apply(source))
    assert all(np.array_equal(found[path], source[path.replace("/", ".")].T) for path in leaves)


def test_mixed_evidence_is_an_ambiguity():
    source = weights(a__up_proj=(6, 4), a__down_proj=(4, 6), a__q_proj=(4, 4))
    leaves = {"a/up_proj/kernel": (4, 6), "a/down_proj/kernel": (4, 6), "a/q_proj/kernel": (4, 4)}
    plan = plan_for(source, leaves)
    assert set(plan.inputs) == {"a.up_proj.weight", "a.down_proj.weight"}
    assert [entry.names for entry in plan.ambiguous] == [("a.q_proj.weight",)]


def test_the_same_turn_everywhere_is_no_mixed_evidence():
    """A source of Conv1D and Linear, into a tree that keeps each of them the other way round."""
    source = weights(a__up_proj=(4, 6), a__q_proj=(4, 4), b__up_proj=(6, 4), b__q_proj=(4, 4))
    source |= {"a.up_proj.bias": np.zeros(6), "b.up_proj.bias": np.zeros(6)}
    leaves = {"a/up_proj/kernel": (6, 4), "b/up_proj/kernel": (4, 6)}
    leaves |= {f"{side}/q_proj/kernel": (4, 4) for side in "ab"}
    leaves |= {f"{side}/up_proj/bias": (6,) for side in "ab"}
    found = dict(plan_for(source, leaves).apply(source))
    for side in "ab":
        np.testing.assert_array_equal(found[f"{side}/q_proj/kernel"], source[f"{side}.q_proj.weight"].T)


def test_a_bias_of_the_target_shows_how_a_matrix_is_kept_that_nothing_fills():
    source = weights(a__q_proj=(4, 4))
    leaves = {"a/q_proj/kernel": (4, 4), "a/other/kernel": (7, 4), "a/other/bias": (7,)}
    plan = plan_for(source, leaves)
    found = dict(plan.apply(source, partial=True))
    assert list(found) == ["a/q_proj/kernel"]
    np.testing.assert_array_equal(found["a/q_proj/kernel"], source["a.q_proj.weight"])


def test_a_square_table_in_a_tree_that_turns_its_tables_is_not_copied():
    source = weights(tok_embeddings=(9, 4), pos_embeddings=(4, 4))
    leaves = {"tok_embeddings/embedding": (4, 9), "pos_embeddings/embedding": (4, 4)}
    plan = plan_for(source, leaves)
    found = dict(plan.apply(source, partial=True))
    assert "tok_embeddings/embedding" in found
    for path, value in found.items():
        np.testing.assert_array_equal(value, source[f"{path.split('/')[0]}.weight"].T)


def test_the_conventions_are_those_of_the_framework():
    assert conventions(find_target("linen"))["linear", "kernel"] == "io"
    assert conventions(find_target("mlx"))["linear", "weight"] == "oi"
    assert conventions(find_target("linen"))["conv", "kernel"] == "io"


def witness(layout, done=None, square=False):
    return Witness(layout, done or layout, 2, square)


def test_witnesses_agree_on_the_layout_or_on_what_is_done():
    options = {"oi": "oi", "io": "io"}
    assert agreed([witness("io"), witness("io")], options) == {"io"}
    assert agreed([witness("io"), witness("oi")], options) == {"io", "oi"}
    assert agreed([], options) == set()
    # Sources kept both ways, all of them turned: the one in question is turned as well.
    assert agreed([witness("io", "io"), witness("oi", "io")], {"oi": "io", "io": "oi"}) == {"oi"}


def test_one_witness_narrows_nothing_and_two_do():
    tensors = {"enc.a.weight": (4, 6), "enc.fc.weight": (5, 5)}
    leaves = {"enc/a/kernel": (6, 4), "enc/fc/kernel": (5, 5)}

    def left(tensors, leaves):
        field = field_of(tensors, leaves)
        narrow = narrowed(field, shown_by(pair(field, weigh(field)).matches, {}))
        (square,) = [c for (i, _), c in narrow.items() if str(field.sources[i]) == "enc.fc"]
        return list(square.options["weight"])

    assert left(tensors, leaves) == ["oi", "io"]
    assert left({**tensors, "enc.b.weight": (7, 6)}, {**leaves, "enc/b/kernel": (6, 7)}) == ["io"]


def test_a_bias_shows_how_a_leaf_is_kept_and_a_square_one_shows_nothing():
    targets = units_of({"a/kernel": (6, 4), "a/bias": (4,), "b/kernel": (5, 5), "b/bias": (5,)})
    found = shown_before(targets, [], {}, {})
    assert {key: [one.layout for one in seen.values()] for key, seen in found.items()} == {
        ("linear", "kernel", False): ["io"]
    }
    usual = {("linear", "kernel"): "oi"}
    assert unlike(found, usual) == {("linear", "kernel")}
    assert not unlike({key: {(): witness("io", square=True)} for key in found}, usual)


def test_a_convention_that_leaves_a_leaf_unfilled_is_contradicted():
    usual = {("linear", "kernel"): "io"}
    assert contradicted(field_of({"a.weight": (4, 6)}, {"a/kernel": (4, 6)}), usual) == {("linear", "kernel")}
    assert not contradicted(field_of({"a.weight": (4, 6)}, {"a/kernel": (6, 4)}), usual)
    assert not contradicted(field_of({"a.weight": (4, 4)}, {"a/kernel": (4, 4)}), usual)
