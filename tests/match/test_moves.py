"""The move of each repetition of a match: its names, its operations, and who decided."""

import numpy as np

from match.built import field_of, specs_of
from ml_switcheroo.match.assignment.field import weigh
from ml_switcheroo.match.assignment.pairing import pair
from ml_switcheroo.match.layouts.choosing import Chosen
from ml_switcheroo.match.making.moves import moves_of
from ml_switcheroo.ops import run
from ml_switcheroo.sources.findings import Finding


def made(tensors, leaves, layout, known=None, why=""):
    field = field_of(tensors, leaves)
    (match,) = [one for one in pair(field, weigh(field)).matches if "weight" in one.candidate.options]
    return list(moves_of(match, "weight", Chosen(layout, why), specs_of(tensors), known or {}))


def test_each_repetition_is_a_move_of_its_own():
    tensors = {f"h.{i}.fc.weight": (4, 6) for i in range(4)}
    moves = made(tensors, {f"h_{i}/fc/kernel": (6, 4) for i in range(4)}, "io")
    assert [(move.sources, move.leaves) for move in moves] == [
        ((f"h.{i}.fc.weight",), (f"h_{i}/fc/kernel",)) for i in range(4)
    ]
    assert all(move.outputs[0].shape == (6, 4) for move in moves)


def test_stacked_blocks_are_one_move_in_their_order():
    tensors = {f"h.{i}.fc.weight": (4, 6) for i in range(4)}
    (move,) = made(tensors, {"h/fc/kernel": (4, 6, 4)}, "0:io")
    arrays = [np.full((4, 6), float(i)) for i in range(4)]
    (leaf,) = run(move.ops, arrays)
    assert leaf.shape == (4, 6, 4)
    assert leaf[:, 0, 0].tolist() == [0, 1, 2, 3]


def test_a_stack_is_taken_apart():
    leaves = {f"h_{i}/fc/kernel": (6, 4) for i in range(4)}
    (move,) = made({"h.fc.weight": (4, 4, 6)}, leaves, "0:io")
    assert len(move.leaves) == 4
    found = run(move.ops, [np.arange(4.0)[:, None, None] * np.ones((4, 4, 6))])
    assert [(leaf.shape, leaf[0, 0]) for leaf in found] == [((6, 4), float(i)) for i in range(4)]


def test_a_move_says_who_decided_and_why():
    tensors, leaves = {"h.fc.weight": (4, 6)}, {"h/fc/kernel": (6, 4)}
    known = {"h.fc.weight": (Finding("linear", "static", "a Linear", where="model.py:3"),)}
    (move,) = made(tensors, leaves, "io", known, "as the framework keeps a kernel")
    assert (move.kind, move.origin, move.where) == ("linear", "target", "model.py:3")
    assert move.reason == "a Linear; the same path; as the framework keeps a kernel"


def test_blocks_of_blocks_are_stacked_on_an_axis_each():
    tensors = {f"h.{i}.expert.{j}.fc.weight": (4, 6) for i in range(2) for j in range(4)}
    tensors |= {f"h.{i}.expert.{j}.fd.weight": (5, 7) for i in range(2) for j in range(4)}
    leaves = {"h/expert/fc/kernel": (2, 4, 6, 4), "h/expert/fd/kernel": (2, 4, 7, 5)}
    field = field_of(tensors, leaves)
    matches = [one for one in pair(field, weigh(field)).matches if "fc" in str(one.source)]
    (move,) = moves_of(matches[0], "weight", Chosen("0:io"), specs_of(tensors), {})
    arrays = {name: np.full(shape, float(n)) for n, (name, shape) in enumerate(tensors.items())}
    (leaf,) = run(move.ops, [arrays[name] for name in move.sources])
    assert leaf.shape == (2, 4, 6, 4)
    assert leaf[:, :, 0, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_norm_of_unknown_kind_is_moved_as_a_parameter():
    (move,) = made({"enc.norm.weight": (4,)}, {"enc/norm/scale": (4,)}, "same")
    assert (move.kind, move.ops) == ("parameter", ())
