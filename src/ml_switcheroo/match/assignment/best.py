"""The best assignment of sources to targets, and how much better it is than any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Choice", "Pair", "assign"]

Pair = tuple[int, int]

_NEVER = -1e6


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for one source.

    Attributes:
        source: Number of the source.
        target: Number of the target.
        margin: How much the whole assignment loses without this pair.
        rival: The pair that takes its place in the second-best assignment; None for none.
    """

    source: int
    target: int
    margin: float
    rival: Pair | None


def assign(scores: Mapping[Pair, float]) -> list[Choice]:
    """Assign each source to one target at most, for the highest sum of scores.

    Every pair is tried out: the assignment is made again without it, and what that loses is the
    pair's margin. The pairs fall into components that share neither a source nor a target; each is
    solved by itself.

    >>> [(c.source, c.target, c.margin) for c in assign({(0, 0): 3.0, (0, 1): 2.0, (1, 1): 2.5})]
    [(0, 0, 3.0), (1, 1, 2.5)]
    """
    choices: list[Choice] = []
    for component in _components(scores):
        if len(component) > 1:
            choices += _solve(component)
        else:  # a pair without a rival needs no solver
            choices += [Choice(*pair, score, None) for pair, score in component.items() if score > 0]
    return sorted(choices, key=lambda choice: (choice.source, choice.target))


def _components(scores: Mapping[Pair, float]) -> list[dict[Pair, float]]:
    root: dict[tuple[str, int], tuple[str, int]] = {}

    def find(node: tuple[str, int]) -> tuple[str, int]:
        while root.setdefault(node, node) != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    for source, target in scores:
        root[find(("s", source))] = find(("t", target))
    parts: dict[tuple[str, int], dict[Pair, float]] = {}
    for pair, score in scores.items():
        parts.setdefault(find(("s", pair[0])), {})[pair] = score
    return list(parts.values())


def _solve(scores: Mapping[Pair, float]) -> list[Choice]:
    rows = sorted({source for source, _ in scores})
    columns = sorted({target for _, target in scores})
    place = {source: i for i, source in enumerate(rows)}, {target: i for i, target in enumerate(columns)}
    # One column more for every row stands for no target: a pair with a score below 0 is worse than that.
    table = np.full((len(rows), len(columns) + len(rows)), _NEVER)
    table[np.arange(len(rows)), len(columns) + np.arange(len(rows))] = 0.0
    for (source, target), score in scores.items():
        table[place[0][source], place[1][target]] = score
    best, chosen = _best(table)
    choices = []
    for row, column in chosen.items():
        if column >= len(columns):
            continue
        kept = table[row, column]
        table[row, column] = _NEVER
        second, other = _best(table)
        table[row, column] = kept
        rival = other[row]
        choices.append(
            Choice(
                rows[row],
                columns[column],
                float(best - second),
                (rows[row], columns[rival]) if rival < len(columns) else None,
            )
        )
    return choices


def _best(table: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> tuple[float, dict[int, int]]:
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    chosen = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    return float(table[rows, columns].sum()), chosen
