"""From the rows of each part of a fused tensor to the operations that take it apart."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ml_switcheroo.match.candidates.ways import Shape, Way
from ml_switcheroo.ops import Axes, Op, Split
from ml_switcheroo.sources.findings import Part

__all__ = ["Rows", "in_blocks", "parted", "rows_of"]

Factor = tuple[int, int]
"""Size and stride of an axis."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a fused tensor as axes of their own.

    Attributes:
        names: The axes, the slowest first; one is called ``part``.
        sizes: Their sizes; that of ``part`` is the sum of ``counts``.
        counts: How much of the axis ``part`` each of the parts has.
        heads: The axes that the heads of a part are counted by, in order.
        dims: The axes that number the rows of one head, in order.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    heads: tuple[str, ...]
    dims: tuple[str, ...]

    def __str__(self) -> str:
        return f"({' '.join(self.names)})"


def rows_of(parts: Sequence[Part], heads: Sequence[int]) -> Rows | None:
    """Return the axes of a fused tensor's rows; None where its parts lie as no axes can say.

    Args:
        parts: The parts, in the order of their first rows.
        heads: As how many heads the rows of each part are counted.

    >>> print(rows_of([Part("k", 0, ((2, 6), (3, 1))), Part("v", 3, ((2, 6), (3, 1)))], [2, 2]))
    (head part dim)
    """
    rows = [_numbers(part) for part in parts]
    size = sum(map(len, rows))
    labels = np.full(size, -1)
    for number, mine in enumerate(rows):
        if mine.max() >= size or (labels[mine] != -1).any():
            return None
        labels[mine] = number
    # Rows of one part that stand together make a run of ``inner`` rows; ``turn`` runs later all is repeated.
    inner = max(n for n in _divisors(size) if (labels.reshape(-1, n) == labels.reshape(-1, n)[:, :1]).all())
    slots = labels.reshape(-1, inner)[:, 0]
    turn = min(n for n in _divisors(len(slots)) if (slots.reshape(-1, n) == slots[:n]).all())
    counts = [int((slots[:turn] == number).sum()) for number in range(len(parts))]
    if slots[:turn].tolist() != sorted(slots[:turn].tolist()):
        return None  # one part comes twice in a turn: no single axis called part has it
    tables = [_table(mine, count) for mine, count in zip(rows, heads, strict=True)]
    if any(table is None for table in tables):
        return None
    return _axes([table for table in tables if table is not None], inner, turn, counts, size)


def _numbers(part: Part) -> np.ndarray:
    found = np.array([part.start])
    for size, stride in part.axes:
        found = np.add.outer(found, stride * np.arange(size)).ravel()
    return found


def _table(rows: np.ndarray, heads: int) -> tuple[list[Factor], list[Factor]] | None:
    if heads < 1 or len(rows) % heads:
        return None
    table = rows.reshape(heads, -1)
    if not (table - table[:, :1] == table[0] - table[0, 0]).all():
        return None
    outer, dims = _factors(table[:, 0]), _factors(table[0])
    return None if outer is None or dims is None else (outer, dims)


def _factors(rows: np.ndarray) -> list[Factor] | None:
    if len(rows) == 1:
        return []
    steps = np.diff(rows)
    differ = np.flatnonzero(steps != steps[0])
    run = int(differ[0]) + 1 if len(differ) else len(rows)
    blocks = rows.reshape(-1, run) if len(rows) % run == 0 else None
    if blocks is None or steps[0] < 1 or not (blocks - blocks[:, :1] == blocks[0] - blocks[0, 0]).all():
        return None
    outer = _factors(blocks[:, 0])
    return None if outer is None else [*outer, (run, int(steps[0]))]


def _axes(
    tables: Sequence[tuple[list[Factor], list[Factor]]],
    inner: int,
    turn: int,
    counts: Sequence[int],
    size: int,
) -> Rows | None:
    """Name the axes, where all parts have the same ones but for how much of ``part`` they take."""
    edges = {1, inner, inner * turn, size}
    edges |= {stride for table in tables for factors in table for _, stride in factors}
    edges |= {
        n * stride for table in tables for factors in table for n, stride in factors if n * stride <= inner
    }
    # All parts must be cut at the same edges: then they have the same axes, and differ on ``part`` only.
    cuts = sorted(edge for edge in edges if size % edge == 0)
    fine = [tuple(_cut(factors, cuts) for factors in table) for table in tables]
    plain = [
        tuple([f for f in factors if not inner <= f[1] < inner * turn] for factors in table) for table in fine
    ]
    if any(table != plain[0] for table in plain):
        return None
    slots = [[f for factors in table for f in factors if inner <= f[1] < inner * turn] for table in fine]
    if any(
        math.prod(n for n, _ in mine) != count or len(mine) > 1
        for mine, count in zip(slots, counts, strict=True)
    ):
        return None
    widest = fine[max(range(len(counts)), key=counts.__getitem__)]
    named = {inner: "part"}
    for word, factors in (("head", plain[0][0]), ("dim", plain[0][1])):
        named |= {
            stride: word if len(factors) == 1 else f"{word}{place}"
            for place, (_, stride) in enumerate(factors)
        }
    order = sorted({stride: n for factors in plain[0] for n, stride in factors}.items(), reverse=True)
    whole = sorted([*order, (inner, sum(counts))], reverse=True)
    if math.prod(n for _, n in whole) != size:
        return None
    groups = [tuple(named[stride] for _, stride in factors) for factors in widest]
    if "part" not in (*groups[0], *groups[1]):
        groups[0] = ("part", *groups[0])
    return Rows(
        tuple(named[stride] for stride, _ in whole),
        tuple(n for _, n in whole),
        tuple(counts),
        groups[0],
        groups[1],
    )


def _cut(factors: Iterable[Factor], cuts: Sequence[int]) -> list[Factor]:
    """Cut axes where others begin: 4 steps of 3 are 2 steps of 6 and 2 steps of 3."""
    found: list[Factor] = []
    for n, stride in factors:
        mine: list[Factor] = []
        for edge in [cut for cut in cuts if stride < cut < stride * n and cut % stride == 0]:
            if n * stride % edge == 0:
                mine.insert(0, (edge // stride, stride))
                n, stride = n * stride // edge, edge
        found += [(n, stride), *mine]
    return found


def _divisors(size: int) -> list[int]:
    small = [n for n in range(1, math.isqrt(size) + 1) if size % n == 0]
    return sorted({*small, *(size // n for n in small)})


def in_blocks(parts: Sequence[Part]) -> bool:
    """Tell whether parts lie one after another, each with its rows in their order."""
    rows = np.concatenate([_numbers(part) for part in parts])
    return bool((rows == np.arange(len(rows))).all())


@lru_cache(maxsize=4096)
def parted(
    parts: tuple[Part, ...], ways: tuple[Way, ...], shapes: tuple[Shape, ...], kept: str
) -> tuple[Rows | None, tuple[Op, ...]] | None:
    """Return the operations that make a leaf of each part; None where there are none.

    Args:
        parts: The parts, in the order of their first rows.
        ways: What would be done to each part if it were a tensor of its own.
        shapes: The shapes of the leaves.
        kept: The axes of the fused tensor, its rows called ``out``: ``out in``.
    """
    first = ways[0]
    if (
        any(way.layout != first.layout or len(way.ops) != len(first.ops) for way in ways)
        or len(first.ops) > 1
    ):
        return None
    step = first.ops[0] if first.ops else None
    if step is not None and not isinstance(step, Axes):
        return None
    source, target = (side.strip() for side in step.equation.split("->")) if step else (kept, kept)
    group = next((word for word in _GROUPS if word in source), "out")
    if group not in source or (group != "out" and "groups" in group):
        return None
    place = target.split().index("heads") if "heads" in target.split() else None
    counted = [
        shape[place] if place is not None else part.heads or 1
        for part, shape in zip(parts, shapes, strict=True)
    ]
    rows = rows_of(parts, counted)
    if rows is None:
        return None
    if len(parts) > 1 and in_blocks(parts) and (place is None or _heads_first(parts, counted)):
        axis = source.replace(group, "out").split().index("out")
        return rows, (Split(axis, tuple(part.size for part in parts)), *first.ops)
    return rows, _steps(rows, source.replace(group, "out"), target)


_GROUPS = ("(groups heads dim)", "(heads dim)")


def _heads_first(parts: Sequence[Part], heads: Sequence[int]) -> bool:
    return all(count > 0 and part.size % count == 0 for part, count in zip(parts, heads, strict=True))


def _steps(rows: Rows, source: str, target: str) -> tuple[Op, ...]:
    """Spell the axes out, cut the one called part, and put the axes of each part together."""
    sizes = tuple((name, n) for name, n in list(zip(rows.names, rows.sizes, strict=True))[1:])
    spelled = _put(source, {"out": " ".join(rows.names)})
    whole = _put(source, {"out": str(rows)})
    axis = source.split().index("out") + rows.names.index("part")
    made = _put(
        target,
        {
            "out": _grouped((*rows.heads, *rows.dims)),
            "heads": _grouped(rows.heads),
            "dim": _grouped(rows.dims),
        },
    )
    if len(rows.counts) == 1:
        equation, told = f"{whole} -> {made}", [name for name in rows.names if name != "part"][1:]
        return (Axes(_without_part(equation), tuple(pair for pair in sizes if pair[0] in told)),)
    first = (Axes(f"{whole} -> {spelled}", sizes),) if len(rows.names) > 1 else ()
    return (*first, Split(axis, rows.counts), Axes(f"{spelled} -> {made}"))


def _without_part(text: str) -> str:
    """Leave the axis out that a single projection does not need."""
    bare = re.sub(r"\bpart ?", "", text).replace(" )", ")")
    return re.sub(r"\((\w+)\)", r"\1", bare)


def _put(text: str, words: dict[str, str]) -> str:
    return " ".join(words.get(word, word) for word in text.split())


def _grouped(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"({' '.join(names)})"
