"""What can belong together at all, and why the rest cannot."""

import pytest

from match.built import named, unit_of, units_of
from ml_switcheroo.match.candidates.candidate import candidate_of, misfit, veto

LINEAR = {"linear"}


def linked(source, target, order="oi"):
    return candidate_of(source, target, order, {})


def test_a_matrix_can_become_a_kernel_in_every_layout_that_fits():
    source, target = unit_of({"fc.weight": (4, 6)}), unit_of({"fc/kernel": (6, 4)})
    found = linked(source, target)
    assert (found.kind, found.slots, list(found.options["weight"])) == (
        "linear",
        {"weight": "weight"},
        ["io"],
    )
    square = linked(unit_of({"fc.weight": (4, 4)}), unit_of({"fc/kernel": (4, 4)}))
    assert list(square.options["weight"]) == ["oi", "io"]
    kept_in_out = linked(source, unit_of({"fc/kernel": (4, 6)}), "io")
    assert list(kept_in_out.options["weight"]) == ["io"]


@pytest.mark.parametrize(
    ("name", "path", "why"),
    [
        ("attn.q_proj.weight", "attn/k_proj/kernel", "another part of the network"),
        ("encoder.fc.weight", "decoder/fc/kernel", "a word contradicts it"),
        ("head.weight", "aux_head/kernel", "a word of its own name contradicts it"),
    ],
)
def test_names_keep_apart_what_the_shapes_would_allow(name, path, why):
    source, target = unit_of({name: (4, 6)}), unit_of({path: (6, 4)})
    assert veto(source, target) == why
    assert linked(source, target) is None


def test_a_word_more_than_another_module_keeps_apart():
    source = named(units_of({"q_proj.weight": (4, 6), "extra_q_proj.weight": (4, 6)}), "extraqproj")
    target = unit_of({"query/kernel": (6, 4)})
    assert veto(source, target) == "an unknown word tells it from another module of its tree"
    assert veto(source, unit_of({"extra_query/kernel": (6, 4)})) == ""


def test_tensors_keep_apart_what_the_names_would_allow():
    misfits = {
        "no layout gives its shape": unit_of({"fc/kernel": (7, 4)}),
        "one has a weight, the other none": unit_of({"fc/bias": (4,), "fc/mean": (4,)}),
        "another kind": unit_of({"fc/kernel": (6, 4)}, {"conv"}),
    }
    source = unit_of({"fc.weight": (4, 6)}, LINEAR)
    for why, target in misfits.items():
        assert linked(source, target) is None
        assert misfit(source, target) == why
    three, two = (
        {f"h{sep}{i}.{name}.weight": (4, 6) for i in range(count) for name in ("fc", "fd")}
        for sep, count in ((".", 3), ("_", 2))
    )
    assert (
        misfit(named(units_of(three), "h.#.fc"), named(units_of(two), "h#.fc")) == "repeated in other blocks"
    )


def test_blocks_go_together_one_by_one_and_stacked():
    shapes = {f"h.{i}.{n}.weight": (4, 6) for i in range(3) for n in ("fc", "fd")}
    source = named(units_of(shapes), "h.#.fc")
    single = {f"h_{i}/{n}/kernel": (6, 4) for i in range(3) for n in ("fc", "fd")}
    found = linked(source, named(units_of(single), "h#.fc"))
    assert [(join.sources, join.leaves) for join in found.joins] == [(((i,),), ((i,),)) for i in range(3)]
    stacked = linked(source, unit_of({"h/fc/kernel": (3, 6, 4)}))
    assert (len(stacked.joins), stacked.sizes, list(stacked.options["weight"])) == (1, (3,), ["0:io"])
    fewer = {f"h_{i}/{n}/kernel": (6, 4) for i in range(2) for n in ("fc", "fd")}
    assert linked(source, named(units_of(fewer), "h#.fc")) is None


def test_a_bias_goes_along_and_one_layout_must_fit_all_repetitions():
    shapes = {f"h.{i}.{n}.weight": (4, 6 + i) for i in range(2) for n in ("fc", "fd")}
    leaves = {f"h_{i}/{n}/kernel": (6 + i, 4) for i in range(2) for n in ("fc", "fd")}
    found = linked(named(units_of(shapes), "h.#.fc"), named(units_of(leaves), "h#.fc"))
    assert list(found.options["weight"]) == ["io"]
    leaves["h_1/fc/kernel"] = (4, 7)
    assert linked(named(units_of(shapes), "h.#.fc"), named(units_of(leaves), "h#.fc")) is None
    both = linked(
        unit_of({"a.weight": (4, 6), "a.bias": (4,)}), unit_of({"a/kernel": (6, 4), "a/bias": (4,)})
    )
    assert both.slots == {"weight": "weight", "bias": "bias"}


def test_units_of_the_same_shapes_are_weighed_once():
    known = {}
    first = candidate_of(unit_of({"a.weight": (4, 6)}), unit_of({"a/kernel": (6, 4)}), "oi", known)
    second = candidate_of(unit_of({"b.weight": (4, 6)}), unit_of({"b/kernel": (6, 4)}), "oi", known)
    assert first is second
    assert len(known) == 1


def test_norms_of_two_places_of_a_block_are_no_candidate():
    def norm(name):
        names = {name: (4,), "attn.q_proj": (4, 4), "mlp.fc1": (4, 4)}
        shapes = {f"h.{i}.{n}.weight": shape for i in range(2) for n, shape in names.items()}
        return next(unit for unit in units_of(shapes) if "norm" in unit.said)

    before, behind = norm("input_layernorm"), norm("post_attention_layernorm")
    assert veto(before, behind) == "a norm of another place in the block"
    assert veto(before, before) == ""


def test_a_weight_can_be_a_bare_tensor_and_the_other_way_round():
    bare = linked(unit_of({"top.table.weight": (9, 4)}), unit_of({"top/table": (9, 4)}))
    assert bare.slots == {"parameter": "weight"}
    module = linked(unit_of({"top.table": (9, 4)}), unit_of({"top/table/embedding": (9, 4)}))
    assert module.slots == {"weight": "parameter"}
    assert (
        linked(unit_of({"top.table": (9, 4)}), unit_of({"top/table/kernel": (9, 4), "top/table/bias": (4,)}))
        is None
    )


def test_what_only_some_blocks_have_goes_into_the_same_blocks():
    shapes = {f"h.{i}.{n}.weight": (4, 6) for i in range(3) for n in ("fc", "fd")} | {
        "h.1.zorp.weight": (4, 6)
    }
    leaves = {f"h_{i}/{n}/kernel": (6, 4) for i in range(3) for n in ("fc", "fd")}
    source = named(units_of(shapes), "h.#.zorp")
    same = linked(source, named(units_of({**leaves, "h_1/zorp/kernel": (6, 4)}), "h#.zorp"))
    assert [(join.sources, join.leaves) for join in same.joins] == [(((1,),), ((1,),))]
    assert linked(source, named(units_of({**leaves, "h_2/zorp/kernel": (6, 4)}), "h#.zorp")) is None
