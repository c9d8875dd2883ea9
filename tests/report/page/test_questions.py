"""What can be settled: asked once for all layers; the rules of an answer mean those layers alone."""

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.report.page.questions import questions
from ml_switcheroo.rule_lines import parse_rules


def zeros(*shape):
    return np.zeros(shape, "f4")


def asked(state, **options):
    return list(questions(ms.make_plan(state, to="nnx", **options)))


def test_repeated_layers_are_asked_about_once():
    (one,) = asked({f"h.{i}.proj.weight": zeros(6, 4) for i in range(12)})
    assert (one.status, one.shown, one.spec) == ("ambiguous", "h.{0..11}.proj.weight", "float32[6,4]")
    assert len(one.names) == 12
    assert one.options[0].words == "linear: out 6, in 4"
    assert one.options[0].rules == ('Kind("h.{i}.proj", "linear")',)


def test_a_rule_with_braces_is_written_only_where_it_means_no_other_layer():
    state = {f"h.{i}.proj.weight": zeros(6, 4) for i in range(3)} | {"h.3.proj.weight": zeros(6, 8)}
    one, other = asked(state)
    assert one.options[0].rules == tuple(f'Kind("h.{i}.proj", "linear")' for i in range(3))
    assert other.options[0].rules == ('Kind("h.3.proj", "linear")',)


def test_an_answer_says_what_shape_the_leaf_gets():
    state, like = {"norm.weight": zeros(16)}, {"norm.scale": (16,)}
    for i in range(3):
        state |= {
            f"h.{i}.fc.weight": zeros(16, 16),
            f"h.{i}.fc.bias": zeros(16),
            f"h.{i}.c_attn.weight": zeros(48, 16),
        }
        like |= {f"blocks.{i}.up.kernel": (16, 16), f"blocks.{i}.up.bias": (16,)}
        like |= {f"blocks.{i}.{part}.kernel": (16, 16) for part in ("query", "key", "value")}
    one = next(found for found in asked(state, like=like) if found.status == "ambiguous")
    assert {option.after for option in one.options} == {"float32[16,16]"}


def test_a_suggested_rename_names_what_it_would_settle():
    state = {
        f"h.{i}.fc.{slot}": zeros(*shape)
        for i in range(2)
        for slot, shape in (("weight", (6, 4)), ("bias", (6,)))
    }
    like = {
        f"col.{i}.zorp.{slot}": shape
        for i in range(2)
        for slot, shape in (("kernel", (4, 6)), ("bias", (6,)))
    }
    first, *rest = asked(state, like=like, layers={f"h.{i}.fc": "linear" for i in range(2)})
    assert first.options[0].rules == ('Rename("h.{i}.fc", "col.{i}.zorp")',)
    assert set(first.names) == set(state)
    assert set(first.paths) == set(like)
    assert {one.status for one in rest} == {"unexpected", "missing"}


def test_a_name_that_no_pattern_means_has_no_answer_but_ones_own():
    plan = ms.make_plan({"a*": zeros(3)}, to="nnx", like={"other.leaf": (9, 9)})
    for one in questions(plan):
        if one.status == "unexpected":
            assert one.options == ()


@pytest.mark.parametrize("name", ["a\nb.weight", 'a"b.weight', "a\\b.weight", "a\tb.weight"])
def test_every_rule_can_be_read_again(name):
    for one in asked({name: zeros(3, 5)}, like={"x.y": (7, 9)}):
        for option in one.options:
            for line in option.rules:
                assert parse_rules(line)
