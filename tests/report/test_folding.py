import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_switcheroo.report.folding import columns, fold


@pytest.mark.parametrize(
    ("rows", "folded"),
    [
        ([("h.0.w",), ("h.1.w",), ("h.2.w",)], [("h.{0..2}.w",)]),
        ([("h.0.w",), ("h.2.w",), ("h.3.w",)], [("h.0.w",), ("h.{2..3}.w",)]),
        ([("h.0.w", "a"), ("h.1.w", "b")], [("h.0.w", "a"), ("h.1.w", "b")]),
        ([("h.0.w", "h_0/k"), ("h.1.w", "h_1/k")], [("h.{0..1}.w", "h_{0..1}/k")]),
        ([("h.0.w", "h_1/k"), ("h.1.w", "h_0/k")], [("h.0.w", "h_1/k"), ("h.1.w", "h_0/k")]),
        ([(f"h.{i}.e.{j}.w",) for i in range(2) for j in range(3)], [("h.{0..1}.e.{0..2}.w",)]),
        ([("h.0.w", "unstack axis 0"), ("h.1.w", "unstack axis 0")], [("h.{0..1}.w", "unstack axis 0")]),
        (
            [(f"h.{i}.w", f'Kind("h.{i}", "a")\nKind("h.{i}", "b")') for i in range(2)],
            [("h.{0..1}.w", 'Kind("h.{0..1}", "a")\nKind("h.{0..1}", "b")')],
        ),
        ([(f"h.{i}.w", "float32[8,2]") for i in range(9)], [("h.{0..8}.w", "float32[8,2]")]),
        (
            [(f"h.{i}.w", "bfloat16[2,8], bool[8]") for i in range(9)],
            [("h.{0..8}.w", "bfloat16[2,8], bool[8]")],
        ),
        ([(f"h.{i}.w", f"h[{i}].w") for i in range(9)], [("h.{0..8}.w", "h[{0..8}].w")]),
        ([("conv1.w",), ("conv2.w",)], [("conv1.w",), ("conv2.w",)]),
        (
            [(f"h.{i}.e.{j}.w", f"h_{i}/e_{j}") for i in range(2) for j in range(3)],
            [("h.{0..1}.e.{0..2}.w", "h_{0..1}/e_{0..2}")],
        ),
        ([], []),
    ],
)
def test_fold_joins_rows_that_differ_in_an_index(rows, folded):
    assert fold(rows) == folded


def expand(text):
    """Return the names that a folded text stands for."""
    found = re.search(r"\{(\d+)\.\.(\d+)\}", text)
    if found is None:
        return [text]
    numbers = range(int(found[1]), int(found[2]) + 1)
    return [name for n in numbers for name in expand(text[: found.start()] + str(n) + text[found.end() :])]


@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from("wb")), min_size=1))
def test_fold_loses_no_row_and_invents_none(places):
    names = {f"h.{i}.experts.{j}.{leaf}" for i, j, leaf in places}
    folded = fold([(name,) for name in sorted(names)])
    expanded = [name for (text,) in folded for name in expand(text)]
    assert sorted(expanded) == sorted(names)


def test_columns_align():
    assert columns([("a", "bb"), ("ccc", "d")]) == ["  a    bb", "  ccc  d"]
