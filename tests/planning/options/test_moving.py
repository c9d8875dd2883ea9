"""One move: a part of a recipe made for the tensors and the leaf at hand."""

import numpy as np
import pytest

from ml_switcheroo.errors import AxesError, UsageError
from ml_switcheroo.ops import run
from ml_switcheroo.planning.options.gather import gather
from ml_switcheroo.planning.options.moving import NothingToDo, Task, move_of
from ml_switcheroo.recipes import part
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.targets import find_target
from ml_switcheroo.tensors import TensorSpec


def task(kind, shapes, locate=lambda leaf, _: (leaf, None), **args):
    specs = {f"m.{slot}": TensorSpec(shape, "float32") for slot, shape in shapes.items()}
    finding = Finding(kind, "static", "said", args=args, where="model.py:3")
    owner = Owner("m", (finding,), {slot: f"m.{slot}" for slot in shapes})
    return Task(owner, finding, specs, find_target("linen"), locate, gather(owner, kind, specs, args))


def made(task, entry, *slots):
    return move_of(task, entry, (), [task.gathered.slots[slot, ()] for slot in slots])


def test_a_part_rearranges_and_says_who_decided():
    move = made(task("linear", {"weight": (4, 6)}), part("weight", "kernel", "in out"), "weight")
    assert ([str(op) for op in move.ops], move.outputs[0].shape) == (["out in -> in out"], (6, 4))
    assert (move.kind, move.origin, move.where) == ("linear", "static", "model.py:3")


def test_what_stays_as_it_is_has_no_operation():
    move = made(task("linear", {"weight": (4, 6)}), part("weight", "weight"), "weight")
    assert move.ops == ()


def test_several_leaves_get_a_piece_each():
    attention = task("mha", {"in_proj_weight": (12, 4)}, num_heads=2, embed_dim=4)
    move = made(attention, part("in_proj_weight", ("q", "k", "v"), "qkv in heads dim"), "in_proj_weight")
    table = np.arange(48.0).reshape(12, 4)
    for number, leaf in enumerate(run(move.ops, [table])):
        assert np.array_equal(leaf, table[4 * number : 4 * number + 4].T.reshape(4, 2, 2))


def test_a_leaf_of_another_shape_is_refused():
    odd = task("linear", {"weight": (4, 6)}, lambda leaf, _: (leaf, TensorSpec((4, 7), "float32")))
    with pytest.raises(AxesError, match=r"6"):
        made(odd, part("weight", "kernel", "in out"), "weight")


def test_a_leaf_without_a_tensor_is_filled_beside_the_others():
    entry = part("bias", "bias", absent=0.0)
    move = made(task("linear", {"weight": (4, 6)}), entry)
    assert (move.sources, move.leaves, move.outputs[0].shape) == ((), ("bias",), (4,))
    assert run(move.ops, [])[0].tolist() == [0.0] * 4
    assert "filled with 0" in move.notes[0]


def test_nothing_is_to_do_where_neither_side_has_the_slot():
    def no_leaf(*_):
        raise UsageError("the target has no leaf bias")

    with pytest.raises(NothingToDo):
        made(task("linear", {"weight": (4, 6)}, no_leaf), part("bias", "bias", absent=0.0))
    with pytest.raises(UsageError, match="no leaf bias"):
        made(task("linear", {"weight": (4, 6), "bias": (4,)}, no_leaf), part("bias", "bias"), "bias")
