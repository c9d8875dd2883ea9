"""Tensors that are taken apart and joined: what is done brings each element where the pieces say."""

import numpy as np
import pytest

from ml_switcheroo.graph.cutting import ops_of
from ml_switcheroo.graph.laying import Digit, NoOperationError, Piece
from ml_switcheroo.graph.views import places
from ml_switcheroo.ops import Concat, Gates, Order, Split, Sum, run


def piece(source, leaf, digits, here=0, there=0, **more):
    made = tuple(Digit(f"d{n}", *one) for n, one in enumerate(digits))
    return Piece((source,) if isinstance(source, str) else source, leaf, made, here, there, **more)


def carried(pieces, shapes, leaves):
    """Return the leaves that the operations give, and those that the pieces say."""
    names, paths, ops = ops_of(pieces, shapes, leaves)
    arrays = {
        name: np.arange(np.prod(shape)).reshape(shape) + 100 * n
        for n, (name, shape) in enumerate(shapes.items())
    }
    made = dict(zip(paths, run(ops, tuple(arrays[name] for name in names)), strict=True))
    wanted = {path: np.full(np.prod(shape), -1) for path, shape in leaves.items()}
    for one in pieces:
        here = places([(digit.size, digit.here) for digit in one.digits]) + one.here
        there = places([(digit.size, digit.there) for digit in one.digits]) + one.there
        wanted[one.leaf][there] = sum(arrays[name].reshape(-1)[here] for name in one.sources)
    for path, shape in leaves.items():
        np.testing.assert_array_equal(made[path], wanted[path].reshape(shape))
    return ops


QKV = [(3, 2), (2, 1)]  # rows of 2, three of each


def test_a_matrix_is_turned():
    carried([piece("a", "x", [(3, 2, 1), (2, 1, 3)])], {"a": (3, 2)}, {"x": (2, 3)})


def test_parts_that_follow_each_other_are_split_along_the_axis():
    parts = [piece("a", leaf, [(2, 3, 3), (3, 1, 1)], here=6 * n) for n, leaf in enumerate("xyz")]
    ops = carried(parts, {"a": (6, 3)}, dict.fromkeys("xyz", (2, 3)))
    assert ops == (Split(0, (2, 2, 2)),)


@pytest.mark.parametrize("order", ["xyz", "zxy"])
def test_parts_that_lie_between_each_other_are_taken_apart(order):
    parts = [piece("a", leaf, [(2, 6, 2), (2, 1, 1)], here=2 * n) for n, leaf in enumerate(order)]
    carried(parts, {"a": (6, 2)}, dict.fromkeys("xyz", (2, 2)))


def test_groups_of_unequal_parts_are_taken_apart():
    """Two groups of two queries, a key and a value, as InternLM has them."""
    queries = piece("a", "q", [(2, 12, 6), (2, 3, 3), (3, 1, 1)])
    keys = piece("a", "k", [(2, 12, 3), (3, 1, 1)], here=6)
    values = piece("a", "v", [(2, 12, 1), (3, 1, 2)], here=9)
    carried([queries, keys, values], {"a": (8, 3)}, {"q": (4, 3), "k": (2, 3), "v": (3, 2)})


def test_parts_are_joined_between_each_other():
    parts = [piece(name, "x", [(2, 2, 6), (2, 1, 1)], there=2 * n) for n, name in enumerate("cab")]
    ops = carried(parts, dict.fromkeys("abc", (2, 2)), {"x": (6, 2)})
    assert Concat(1) in ops


def test_equal_blocks_come_in_another_order():
    parts = [piece("a", "x", [(2, 1, 1)], here=2 * n, there=2 * to) for n, to in enumerate((2, 0, 1))]
    assert carried(parts, {"a": (6,)}, {"x": (6,)}) == (Gates((1, 2, 0), 0),)


def test_unequal_blocks_come_in_another_order():
    parts = [piece("a", "x", [(2, 1, 1)], here=0, there=4), piece("a", "x", [(4, 1, 1)], here=2)]
    ops = carried(parts, {"a": (6,)}, {"x": (6,)})
    assert Order((1, 0)) in ops


def test_blocks_of_two_tensors_come_in_another_order_in_one_leaf():
    parts = [
        piece(name, "x", [(2, 1, 1)], here=2 * n, there=4 * m + 2 * (1 - n))
        for m, name in enumerate("ab")
        for n in (0, 1)
    ]
    carried(parts, {"a": (4,), "b": (4,)}, {"x": (8,)})


def test_a_sum_comes_in_another_order():
    parts = [
        piece(("a", "b"), "x", [(2, 1, 1)], here=2 * n, there=2 * (1 - n), lead=(Sum(),)) for n in (0, 1)
    ]
    carried(parts, {"a": (4,), "b": (4,)}, {"x": (4,)})


def test_one_tensor_becomes_several_leaves():
    whole = [piece("a", "x", [(3, 2, 2), (2, 1, 1)]), piece("a", "y", [(3, 2, 1), (2, 1, 3)])]
    carried(whole, {"a": (3, 2)}, {"x": (3, 2), "y": (2, 3)})


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([piece("a", "x", [(2, 1, 1)]), piece("a", "y", [(2, 1, 1)], here=1)], "overlap"),
        ([piece("a", "x", [(2, 1, 1)]), piece("a", "y", [(1, 1, 1)], here=2)], "in part"),
        (
            [
                piece("a", "x", [(2, 3, 1)]),
                piece("a", "y", [(1, 1, 1)], here=1),
                piece("a", "z", [(1, 1, 1)], here=2),
            ],
            "no rule",
        ),
    ],
)
def test_what_no_operation_does_is_refused(pieces, why):
    leaves = {one.leaf: (one.count,) for one in pieces}
    with pytest.raises(NoOperationError, match=why):
        ops_of(pieces, {"a": (4,)}, leaves)


def test_two_sources_for_the_same_elements_are_refused():
    twice = [piece("a", "x", [(4, 1, 1)]), piece("b", "x", [(4, 1, 1)])]
    with pytest.raises(NoOperationError, match="overlap"):
        ops_of(twice, {"a": (4,), "b": (4,)}, {"x": (4,)})
