"""Tensors of one module are one unit, in all of its repetitions."""

from match.built import named, specs_of, unit_of, units_of
from ml_switcheroo.match.paths.repeats import positions
from ml_switcheroo.match.units.unit import ANY, above_and_last, below_root, scopes, units


def test_the_tensors_of_a_module_are_one_unit_in_all_repetitions():
    shapes = {
        f"h.{i}.{name}.{slot}": (4,) for i in (0, 1) for name in ("n1", "n2") for slot in ("weight", "bias")
    }
    found = units_of(shapes)
    assert {str(unit) for unit in found} == {"h.#.n1", "h.#.n2"}
    one = named(found, "h.#.n1")
    assert one.slots.keys() == {"weight", "bias"}
    assert one.slots["weight"].paths == {(0,): "h.0.n1.weight", (1,): "h.1.n1.weight"}
    assert one.indices == one.span == {(0,), (1,)}


def test_what_only_some_blocks_have_keeps_the_span_of_all():
    shapes = {f"h.{i}.{name}.weight": (4,) for i in range(3) for name in ("a", "b")}
    found = named(units_of(shapes | {"h.1.extra.weight": (4,)}), "h.#.extra")
    assert found.indices == {(1,)}
    assert found.span == {(0,), (1,), (2,)}


def test_segments_around_a_bare_tensor_are_left_out():
    assert str(unit_of({"fc.parametrizations.weight.original0": (4, 1)})) == "fc"
    assert str(unit_of({"fc/linear/kernel": (4, 3)})) == "fc"
    assert unit_of({"attn.in_proj_weight": (12, 4)}).slots.keys() == {"weight"}


def test_a_bias_of_its_own_name_goes_to_the_module_that_is_called_the_same():
    shapes = {"attn/k_proj/w": (4, 4), "attn/k_bias": (4,), "attn/v_proj/w": (4, 4)}
    found = units_of(shapes)
    assert {str(unit): sorted(unit.slots) for unit in found} == {
        "attn.kproj": ["bias", "weight"],
        "attn.vproj": ["weight"],
    }


def test_a_word_more_than_the_name_of_another_module_is_told():
    shapes = {"attn.q_proj.weight": (4, 4), "attn.extra_q_proj.weight": (4, 4), "attn.zorp.weight": (4, 4)}
    found = units_of(shapes)
    assert named(found, "attn.extraqproj").more == {"extra"}
    assert not named(found, "attn.qproj").more
    assert not named(found, "attn.zorp").more


def test_kinds_narrow_down_over_all_tensors_of_a_unit_and_never_to_nothing():
    said = {"weight": frozenset({"linear", "conv"}), "bias": frozenset({"linear", "norm"})}
    shapes = {"fc.weight": (4, 3), "fc.bias": (4,)}
    (one,) = units(specs_of(shapes), lambda _, role: said[role], positions(shapes))
    assert one.kinds == {"linear"}
    (odd,) = units(
        specs_of(shapes), lambda _, role: frozenset({"norm" if role == "bias" else "conv"}), positions(shapes)
    )
    assert odd.kinds == {"conv"}
    (free,) = units(specs_of(shapes), lambda *_: ANY, positions(shapes))
    assert free.kinds == ANY


def test_a_root_that_only_one_tree_has_is_taken_off():
    mine, other = (
        {"net.fc.weight": (4, 3), "net.head.weight": (2, 4)},
        {"fc/kernel": (3, 4), "head/kernel": (4, 2)},
    )
    here, there = positions(mine), positions(other)
    found = below_root(units_of(mine), here, there)
    assert ["".join(map(str, unit.below)) for unit in found] == ["fc", "head"]
    assert [unit.root for unit in below_root(units_of(mine), here, here)] == [0, 0]
    assert [unit.root for unit in below_root(units_of(other), there, here)] == [0, 0]


def test_patterns_are_cut_at_their_segments():
    one = unit_of({"a.attn.self.query.weight": (4, 4)})
    above, last = above_and_last(one.pattern)
    assert ("".join(map(str, above)), last) == ("a/attn/self", ("query",))
    assert above_and_last(("query",)) == ((), ("query",))
    assert ["".join(map(str, scope)) for scope in scopes(one, "attn")] == ["a"]
