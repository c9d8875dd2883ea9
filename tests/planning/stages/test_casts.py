"""The dtype of each leaf: asked for, the template's, the checkpoint's, or refused."""

import pytest

from ml_switcheroo.moves import Move
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.casts import cast, said_of_dtypes
from ml_switcheroo.targets import TARGETS
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template


def drawn(before, after, *, asked=None, unasked=(), untyped=()):
    specs = {"a": TensorSpec((2,), before)}
    template = Template(
        {"x": TensorSpec((2,), after)}, untyped=frozenset(untyped), unasked=frozenset(unasked)
    )
    ledger = Ledger(specs, template.specs)
    ledger.move("by name", [Move(("a",), ("x",)).bind(specs)])
    cast(Request(specs, TARGETS["nnx"], (), template, dtype=asked), ledger)
    return ledger, template


@pytest.mark.parametrize(
    ("before", "after", "more", "result"),
    [
        ("float32", "bfloat16", {}, "bfloat16"),
        ("float32", "float32", {}, "float32"),
        ("float32", "bfloat16", {"asked": "float16"}, "float16"),
        ("int64", "int64", {"asked": "float16"}, "int64"),
        ("bfloat16", "float32", {"untyped": ["x"]}, "bfloat16"),
        ("bfloat16", "float32", {"unasked": ["x"]}, "bfloat16"),
        ("float64", "float32", {"unasked": ["x"]}, "float32"),
        ("int32", "float32", {"unasked": ["x"]}, "float32"),
    ],
)
def test_leaves_get_the_dtype_that_somebody_asked_for(before, after, more, result):
    ledger, template = drawn(before, after, **more)
    (move,) = ledger.moves
    assert move.outputs[0].dtype == result
    stayed = "unasked" in more and before == result
    assert bool(said_of_dtypes(ledger.moves, template)) == stayed


@pytest.mark.parametrize(
    ("before", "after"), [("float32", "int32"), ("complex64", "float32"), ("int8", "bool")]
)
def test_a_leaf_that_is_no_place_for_such_numbers_takes_none(before, after):
    ledger, _ = drawn(before, after)
    assert not ledger.moves
    assert ledger.refused["a"].why.startswith(f"x is {after}: ")
