"""How the parts of a fused tensor may lie: every arrangement uses each row once."""

import math

from hypothesis import given
from hypothesis import strategies as st

from ml_switcheroo.match.making.arrangements import arrangements, head_sizes


def rows(part):
    found = [part.start]
    for size, stride in part.axes:
        found = [row + stride * step for row in found for step in range(size)]
    return found


@given(
    sizes=st.lists(st.sampled_from([4, 6, 8, 12, 24]), min_size=2, max_size=3),
    dim=st.sampled_from([1, 2, 3, 4]),
    heads=st.booleans(),
)
def test_every_arrangement_gives_each_row_to_one_part(sizes, dim, heads):
    roles = "qkv"[: len(sizes)]
    found = list(arrangements(roles, sizes, [dim], heads=heads))
    for words, parts in found:
        assert sorted(row for part in parts for row in rows(part)) == list(range(sum(sizes))), words
        assert {part.role: part.size for part in parts} == dict(zip(roles, sizes, strict=True))


def test_the_most_usual_comes_first_and_each_has_words_of_its_own():
    found = [words for words, _ in arrangements("qkv", [8, 8, 8], [4], heads=True)]
    assert found[0] == "q, k, v one after another"
    assert found[1] == "q, k, v in turns, head by head of 4 rows"
    assert len(set(found)) == len(found)


def test_without_an_axis_of_heads_their_rows_take_no_turns():
    flat = [words for words, _ in arrangements("kv", [8, 8], [4], heads=False)]
    deep = [words for words, _ in arrangements("kv", [8, 8], [4], heads=True)]
    assert not any("of all heads" in words for words in flat)
    assert any("of all heads" in words for words in deep)


def test_grouped_queries_take_turns_with_one_head_of_the_keys():
    parts = dict(arrangements("qk", [8, 4], [2], heads=False))["q, k in turns, head by head of 2 rows"]
    assert [(part.role, rows(part)) for part in parts] == [
        ("q", [0, 1, 2, 3, 6, 7, 8, 9]),
        ("k", [4, 5, 10, 11]),
    ]


def test_usual_sizes_of_heads_are_asked_alone_where_there_are_any():
    assert head_sizes([768, 768, 768])[:2] == [64, 128]
    assert head_sizes([10, 10]) == [2, 5]
    assert head_sizes([7, 5]) == []
    assert all(math.gcd(96, 48) % size == 0 for size in head_sizes([96, 48]))


def test_blocks_say_how_many_heads_each_part_has():
    (_, blocks), *_ = arrangements("qk", [8, 4], [2], heads=True)
    assert [part.heads for part in blocks] == [4, 2]
    (_, blocks), *_ = arrangements("qk", [8, 4], [3], heads=True)
    assert [part.heads for part in blocks] == [None, None]
    (_, blocks), *_ = arrangements("qk", [8, 4], [2], heads=False)
    assert [part.heads for part in blocks] == [None, None]
