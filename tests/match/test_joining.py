"""The moves of a fused tensor, from parts that were matched one by one."""

import numpy as np
import pytest

from match.built import specs_of, units_of
from ml_switcheroo.match.assignment.field import lay_out, weigh
from ml_switcheroo.match.assignment.pairing import pair
from ml_switcheroo.match.layouts.choosing import Chosen
from ml_switcheroo.match.making.joining import Fused, certain, possible
from ml_switcheroo.match.units.fused import cut
from ml_switcheroo.ops import run
from ml_switcheroo.sources.findings import Finding, Part, Parts

FUSED = {"attn.qkv.weight": (12, 5)}
APART = {f"attn/{name}/kernel": (5, 4) for name in ("query", "key", "value")}
BLOCKS = Parts(tuple(Part(role, 4 * n, ((4, 1),)) for n, role in enumerate("qkv")))
ROW_BY_ROW = Parts(tuple(Part(role, n, ((4, 3),)) for n, role in enumerate("qkv")))


def fused(tensors, leaves, read=None):
    """Match the parts of a fused tensor with leaves, or tensors with the parts of a fused leaf."""
    sources, targets = units_of(tensors), units_of(leaves)
    mine = cut(sources, targets, (lambda _: (read, "forward says")) if read else None)
    other = cut(targets, sources)
    field = lay_out(mine, other, ["oi"] * len(mine), {})
    matches = pair(field, weigh(field)).matches
    layouts = [next(iter(match.candidate.options["weight"])) for match in matches]
    return Fused("weight", [(match, Chosen(layout)) for match, layout in zip(matches, layouts, strict=True)])


def leaves_of(moves, tensors):
    return {
        path: leaf
        for move in moves
        for path, leaf in zip(
            move.leaves, run(move.ops, [tensors[name] for name in move.sources]), strict=True
        )
    }


@pytest.mark.parametrize(("said", "step"), [(BLOCKS, None), (ROW_BY_ROW, 3)])
def test_parts_that_are_read_are_cut_as_they_lie(said, step):
    slot = fused(FUSED, APART, said)
    moves = certain(slot, specs_of(FUSED), {})
    table = np.arange(60.0).reshape(12, 5)
    found = leaves_of(moves, {"attn.qkv.weight": table})
    for number, name in enumerate(("query", "key", "value")):
        rows = table[number::step] if step else table[4 * number : 4 * number + 4]
        assert np.array_equal(found[f"attn/{name}/kernel"], rows.T)
    assert moves[0].reason.count("forward says") == 1


def test_a_name_alone_makes_nothing_certain_and_every_order_is_offered():
    slot = fused(FUSED, APART)
    assert slot.read is None
    assert certain(slot, specs_of(FUSED), {}) == []
    found = possible(slot, specs_of(FUSED), {})
    words = [said for said, _, _ in found]
    assert words[0] == "q, k, v one after another"
    assert "k, q, v one after another" in words
    assert len({repr(move.ops) + repr(move.leaves) for _, _, (move,) in found}) == len(found)
    table = np.arange(60.0).reshape(12, 5)
    first = leaves_of(found[0][2], {"attn.qkv.weight": table})
    assert np.array_equal(first["attn/key/kernel"], table[4:8].T)


def test_the_parts_must_make_up_the_whole():
    slot = fused(FUSED, APART, BLOCKS)
    short = Parts((*BLOCKS.parts[:2], Part("v", 8, ((3, 1),))))
    odd = {"attn.qkv.weight": (Finding("linear", "static", "said", parts=short),)}
    assert certain(slot, specs_of(FUSED), odd) == []


def test_tensors_are_joined_to_a_fused_leaf_in_the_order_that_is_chosen():
    tensors = {f"attn.{name}.weight": (4, 5) for name in ("q_proj", "k_proj", "v_proj")}
    slot = fused(tensors, {"attn/qkv/kernel": (5, 12)})
    assert not slot.cut
    found = {words: moves for words, _, moves in possible(slot, specs_of(tensors), {})}
    arrays = {name: np.full((4, 5), float(n)) for n, name in enumerate(tensors)}
    leaf = leaves_of(found["q, k, v one after another"], arrays)["attn/qkv/kernel"]
    assert leaf.shape == (5, 12)
    assert leaf[0].tolist() == [0.0] * 4 + [1.0] * 4 + [2.0] * 4
    turned = leaves_of(found["v, k, q one after another"], arrays)["attn/qkv/kernel"]
    assert turned[0].tolist() == [2.0] * 4 + [1.0] * 4 + [0.0] * 4


def test_a_reason_says_how_the_rows_lie_and_says_it_once():
    slot = fused(FUSED, APART, ROW_BY_ROW)
    (move,) = certain(slot, specs_of(FUSED), {})
    assert move.reason.endswith("forward says: its rows are (head part)") or "its rows are" in move.reason
    (blocks,) = certain(fused(FUSED, APART, BLOCKS), specs_of(FUSED), {})
    assert blocks.reason.endswith("forward says: its parts one after another")
    words, _, (asked,) = possible(fused(FUSED, APART), specs_of(FUSED), {})[0]
    assert asked.reason.endswith(words)
    assert asked.reason.count("after another") == 1
