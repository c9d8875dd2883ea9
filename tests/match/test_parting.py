"""The rows of the parts of a fused tensor, and the operations that take it apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_switcheroo.match.candidates.ways import ways
from ml_switcheroo.match.making.arrangements import arrangements, head_sizes
from ml_switcheroo.match.making.parting import in_blocks, parted, rows_of
from ml_switcheroo.ops import run, trace
from ml_switcheroo.sources.findings import Part
from ml_switcheroo.tensors import TensorSpec

GROUPED = (
    Part("q", 0, ((2, 12), (2, 3), (3, 1)), 4),
    Part("k", 6, ((2, 12), (3, 1)), 2),
    Part("v", 9, ((2, 12), (3, 1)), 2),
)
LAYOUTS = {
    "(head part dim)": (Part("k", 0, ((4, 6), (3, 1)), 4), Part("v", 3, ((4, 6), (3, 1)), 4)),
    "(head dim part)": (Part("k", 0, ((4, 6), (3, 2)), 4), Part("v", 1, ((4, 6), (3, 2)), 4)),
    "(dim part head)": (Part("k", 0, ((4, 1), (3, 8)), 4), Part("v", 4, ((4, 1), (3, 8)), 4)),
    "(part dim head)": (Part("k", 0, ((4, 1), (3, 4)), 4), Part("v", 12, ((4, 1), (3, 4)), 4)),
    "(part head dim)": (Part("k", 0, ((12, 1),), 4), Part("v", 12, ((12, 1),), 4)),
}


def taken_apart(parts, order, *, heads):
    """Return what the operations make of a matrix, and what the parts' rows say it must be."""
    size = sum(part.size for part in parts)
    whole = np.arange(size * 5, dtype="f4").reshape(size, 5)
    kept = whole if order == "oi" else whole.T
    shapes = tuple((5, part.heads, part.size // part.heads) if heads else (5, part.size) for part in parts)
    found = [
        ways("linear", order, (p.size, 5) if order == "oi" else (5, p.size), s, "out")
        for p, s in zip(parts, shapes, strict=True)
    ]
    chosen = tuple(next(way for way in one if way.layout == "io") for one in found)
    rows, ops = parted(parts, chosen, shapes, "out in" if order == "oi" else "in out")
    wanted = [whole[list(p.rows)].T.reshape(s) for p, s in zip(parts, shapes, strict=True)]
    return rows, ops, kept, wanted


@pytest.mark.parametrize("heads", [True, False], ids=["by heads", "plain"])
@pytest.mark.parametrize("order", ["oi", "io"])
@pytest.mark.parametrize("layout", [*LAYOUTS, "grouped"])
def test_every_layout_is_taken_apart_and_put_together_again(layout, order, heads):
    parts = LAYOUTS.get(layout, GROUPED)
    rows, ops, whole, wanted = taken_apart(parts, order, heads=heads)
    assert layout == "grouped" or str(rows) == layout
    found = run(ops, (whole,))
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    stations = trace(ops, (TensorSpec(whole.shape, "float32"),))
    back = [op.inverse(at) for op, at in zip(ops, stations, strict=False)][::-1]
    assert np.array_equal(run(back, found)[0], whole)


def test_parts_in_blocks_are_split_as_they_lie():
    parts = (Part("q", 0, ((12, 1),), 4), Part("k", 12, ((6, 1),), 2), Part("v", 18, ((6, 1),), 2))
    assert in_blocks(parts)
    _, ops, _, _ = taken_apart(parts, "oi", heads=True)
    assert [str(op) for op in ops] == [
        "split axis 0 into 12 + 6 + 6",
        "(heads dim) in -> in heads dim (dim=3)",
    ]


@pytest.mark.parametrize(
    "parts",
    [
        (Part("k", 0, ((4, 1),)), Part("v", 3, ((4, 1),))),
        (Part("k", 0, ((4, 1),)), Part("v", 5, ((4, 1),))),
        (Part("k", 0, ((2, 1),)), Part("v", 2, ((4, 1),)), Part("q", 6, ((2, 2),))),
    ],
    ids=["a row twice", "a row in none", "rows out of range"],
)
def test_parts_that_do_not_make_up_the_whole_have_no_axes(parts):
    assert rows_of(parts, [1] * len(parts)) is None


def test_a_leaf_of_other_heads_has_no_axes_where_they_do_not_fit():
    turned = LAYOUTS["(dim part head)"]
    assert rows_of(turned, [3, 3]) is None
    assert str(rows_of(turned, [4, 4])) == "(dim part head)"


@given(st.integers(1, 4), st.integers(2, 4), st.integers(1, 3), st.booleans())
def test_every_candidate_uses_each_row_once(groups, dim, times, heads):
    sizes = [groups * times * dim, groups * dim, groups * dim]
    for _, parts in arrangements("qkv", sizes, [dim], heads=heads):
        rows = sorted(row for part in parts for row in part.rows)
        assert rows == list(range(sum(sizes)))


def test_the_candidates_are_all_there():
    words = [text for text, _ in arrangements(("gate", "up"), [6, 6], [], heads=False)]
    assert words == [
        "gate, up one after another",
        "gate, up in turns, row by row",
        "up, gate one after another",
        "up, gate in turns, row by row",
    ]
    found = dict(arrangements("kv", [6, 6], [3], heads=True))
    assert found["v, k in turns, head by head of 3 rows"] == (
        Part("v", 0, ((2, 6), (1, 3), (3, 1)), 2),
        Part("k", 3, ((2, 6), (1, 3), (3, 1)), 2),
    )


def test_usual_heads_come_first():
    assert head_sizes([768, 768, 768])[:3] == [64, 128, 32]
    assert head_sizes([10, 10]) == [2, 5]
    assert head_sizes([7, 7]) == []
