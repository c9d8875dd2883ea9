"""What is asked: each answer has a rule, and the rule that is pasted gives that answer."""

from match.built import field_of, named, specs_of, unit_of, units_of
from ml_switcheroo.match.assignment.field import weigh
from ml_switcheroo.match.assignment.pairing import Rivalry, pair
from ml_switcheroo.match.layouts.choosing import Chosen
from ml_switcheroo.match.making.doubts import arranged, name_of, of_layout, of_place
from ml_switcheroo.match.structure import Question, solve
from ml_switcheroo.rule_lines import parse_rules
from ml_switcheroo.targets import find_target


def repeated(pattern, names, shape, sep=range(4)):
    return units_of({pattern.format(i=i, n=n): shape for i in sep for n in names})


def test_a_unit_is_named_with_a_letter_for_the_number_that_varies():
    one = named(repeated("h.{i}.{n}.weight", "ab", (4,)), "h.#.a")
    assert name_of(one) == "h.{i}.a"
    assert name_of(unit_of({"h.3.fc2.weight": (4, 4)})) == "h.3.fc2"
    assert name_of(unit_of({"h/table": (4, 4)})) == "h/table"


def test_the_place_is_asked_with_one_rename_for_all_repetitions():
    source = named(repeated("h.{i}.{n}.weight", "ab", (4, 6)), "h.#.a")
    first = named(repeated("x_{i}/{n}/kernel", "ab", (6, 4)), "x#.a")
    shifted = named(repeated("y_{i}/{n}/kernel", "ab", (6, 4), range(1, 5)), "y#.b")
    doubt = of_place(Rivalry(source, (first, shifted)))
    assert doubt.names == tuple(f"h.{i}.a.weight" for i in range(4))
    assert doubt.candidates == ("h.{i}.a -> x_{i}/a", "h.{i}.a -> y_{i}/b")
    plain, moved = (parse_rules(rule)[0] for rule in doubt.rules)
    assert plain.apply("h.2.a") == "x_2/a"
    assert moved.apply("h.2.a") == "y_3/b"


def test_the_layout_is_asked_with_a_move_for_each_way():
    tensors, leaves = {"a.fc.weight": (4, 4)}, {"a/fc/kernel": (4, 4)}
    field = field_of(tensors, leaves)
    (match,) = pair(field, weigh(field)).matches
    doubt = of_layout(match, "weight", Chosen(None, "nobody knows"), specs_of(tensors), {})
    assert doubt.candidates == ("oi: nobody knows", "io: nobody knows")
    kept, turned = (parse_rules(rule)[0] for rule in doubt.rules)
    assert (kept.ops, [str(op) for op in turned.ops]) == ((), ["out in -> in out"])


def test_the_rules_of_many_blocks_are_one_line():
    tensors = {f"h.{i}.fc.weight": (4, 4) for i in range(4)}
    field = field_of(tensors, {f"h_{i}/fc/kernel": (4, 4) for i in range(4)})
    (match,) = pair(field, weigh(field)).matches
    doubt = of_layout(match, "weight", Chosen(None, ""), specs_of(tensors), {})
    assert len(doubt.names) == 4
    assert all(len(parse_rules(rule)) == 1 for rule in doubt.rules)
    assert "h.{i}.fc.weight" in doubt.rules[0]


def test_a_number_that_does_not_run_with_the_blocks_is_written_out():
    counted = units_of({f"h.{i}.{n}.weight": (4, 6) for i in range(4) for n in ("fc7", "gate")})
    odd = units_of({f"x_{2 * i}/{n}/kernel": (6, 4) for i in range(4) for n in ("up", "gate")})
    doubt = of_place(Rivalry(named(counted, "h.#.fc7"), (named(odd, "x#.up"),)))
    (rule,) = doubt.rules
    applied = parse_rules(rule)[0]
    assert applied.apply("h.0.fc7") == "x_0/up"
    assert applied.apply("h.3.fc7") != "x_3/up", "the fourth block is x_6"


def test_parts_are_asked_once_for_a_weight_and_its_bias():
    tensors = {"attn.qkv.weight": (12, 5), "attn.qkv.bias": (12,)}
    leaves = {f"attn/{n}/{slot}": s for n in "qkv" for slot, s in (("kernel", (5, 4)), ("bias", (4,)))}
    (doubt,) = solve(Question(specs_of(tensors), specs_of(leaves), find_target("linen"))).doubts
    assert set(doubt.names) == set(tensors)
    assert doubt.candidates[0] == "q, k, v one after another"
    assert {name for move in parse_rules(doubt.rules[0]) for name in move.sources} == set(tensors)
    assert not list(arranged([], specs_of(tensors), {}))
