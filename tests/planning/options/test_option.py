"""The moves of one module under one finding: everything is moved, dropped or refused."""

import pytest

from ml_switcheroo.errors import UsageError
from ml_switcheroo.planning.options import Option, option_for
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.targets import find_target
from ml_switcheroo.tensors import TensorSpec


def locate(leaf, collection):
    return f"{collection}/{leaf}", None


def option(kind, shapes, target="linen", *, locate=locate, shown=None, **args):
    specs = {f"m.{slot}": TensorSpec(shape, "float32") for slot, shape in shapes.items()}
    finding = Finding(kind, "rules", "said", args=args)
    owner = Owner("m", (finding,), {slot: f"m.{slot}" for slot in shapes})
    found = option_for(owner, finding, specs, find_target(target), locate, shown or {})
    told = [*found.dropped, *found.refused, *(name for move in found.moves for name in move.sources)]
    assert sorted(told) == sorted(specs), "each tensor is accounted for once"
    return found


def test_a_linear_is_turned_and_its_bias_is_not():
    found = option("linear", {"weight": (4, 6), "bias": (4,)})
    assert [(move.leaves, [str(op) for op in move.ops]) for move in found.moves] == [
        (("params/kernel",), ["out in -> in out"]),
        (("params/bias",), []),
    ]


def test_what_a_target_has_no_use_for_is_dropped_with_a_reason():
    slots = ("weight", "bias", "running_mean", "running_var")
    found = option("batch_norm", {**dict.fromkeys(slots, (4,)), "num_batches_tracked": ()})
    assert list(found.dropped) == ["m.num_batches_tracked"]
    assert found.dropped["m.num_batches_tracked"]
    assert {move.leaves[0].partition("/")[0] for move in found.moves} == {"params", "batch_stats"}


def test_a_leaf_that_the_template_lacks_refuses_its_tensor():
    def only_kernels(leaf, collection):
        if leaf != "kernel":
            raise UsageError(f"the target has no leaf {leaf}")
        return "fc/kernel", TensorSpec((6, 4), "float32")

    found = option("linear", {"weight": (4, 6), "bias": (4,)}, locate=only_kernels)
    assert [move.leaves for move in found.moves] == [("fc/kernel",)]
    assert found.refused == {"m.bias": "the target has no leaf bias"}


def test_a_shape_that_does_not_fit_refuses_its_tensor():
    found = option("linear", {"weight": (4, 6)}, locate=lambda *_: ("k", TensorSpec((6, 5), "float32")))
    assert not found.moves
    assert "m.weight" in found.refused


def test_options_of_the_same_effect_are_no_ambiguity():
    first, second = option("linear", {"weight": (4, 6)}), option("linear", {"weight": (4, 6)})
    assert first.effect == second.effect
    assert first.effect != option("embedding", {"weight": (4, 6)}).effect


@pytest.mark.parametrize("form", [True, False])
def test_the_form_is_taken_that_the_live_module_shows(form):
    shape = {"weight": (4, 3, 5, 5)}
    found = option("conv_transpose", shape, "linen", shown={"transpose_kernel": form})
    other = option("conv_transpose", shape, "linen", shown={"transpose_kernel": not form})
    assert found.moves
    assert found.effect != other.effect


def test_an_option_says_nothing_by_default():
    finding = Finding("linear", "rules", "said")
    assert (Option(finding, ()).dropped, Option(finding, ()).refused, Option(finding, ()).final) == (
        {},
        {},
        False,
    )
