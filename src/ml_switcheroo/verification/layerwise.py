"""Compare the calls of paired modules, one pair after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ml_switcheroo.ops import Array
from ml_switcheroo.verification.calls import Call
from ml_switcheroo.verification.comparing import Compared, compare
from ml_switcheroo.verification.pairs import Pair
from ml_switcheroo.verification.readings import AS_IT_IS, Reading, readings
from ml_switcheroo.verification.verdict import Layer

__all__ = ["compare_layers"]

Values = list[Array]


def compare_layers(
    pairs: Sequence[Pair],
    mine: Sequence[Call],
    other: Sequence[Call],
    channels: str,
    args: Mapping[str, Mapping[str, Any]],
    *,
    images: bool,
    tolerance: float,
) -> tuple[Layer, ...]:
    """Compare the inputs and outputs of paired modules.

    Args:
        pairs: The pairs.
        mine: The calls in PyTorch.
        other: The calls in the target.
        channels: Where the target has its channels.
        args: Constructor arguments of PyTorch's modules, by path.
        images: Whether any layer of the model has channels before axes of space.
        tolerance: The relative error that counts as agreement.
    """
    here, there = _by_path(mine), _by_path(other)
    found = []
    for pair in pairs:
        own = args.get(pair.source, {})
        ways = [readings(pair, channels, own, images=images, of_input=of_input) for of_input in (True, False)]
        found.append(_layer(pair, here[pair.source], there[pair.target], ways, tolerance))
    return tuple(found)


def _by_path(calls: Iterable[Call]) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.path, []).append(call)
    return found


def _layer(
    pair: Pair, mine: Sequence[Call], other: Sequence[Call], ways: Sequence[list[Reading]], tolerance: float
) -> Layer:
    taken = [[value for call in calls for value in call.inputs] for calls in (mine, other)]
    given = [[value for call in calls for value in call.outputs] for calls in (mine, other)]
    if pair.turn is not None:
        taken, given = ([mine, other[pair.turn : pair.turn + 1]] for mine, other in (taken, given))
    before = _all(taken[0], taken[1], ways[0], tolerance)
    after = _all(given[0], given[1], ways[1], tolerance)
    beside = other[0].beside
    note = ""
    if beside is not None and not _agrees(after, tolerance):
        name, function = beside
        within = _all([function(array) for array in given[0]], given[1], ways[1], tolerance)
        if _agrees(within, tolerance):
            after, note = within, f"its activation {name} is part of it in the target"
    return Layer(
        pair.source,
        pair.target,
        pair.kind,
        before.error,
        after.error,
        _verdict(after, tolerance),
        _verdict(before, tolerance),
        tuple(dict.fromkeys(text for text in (before.note, note or after.note) if text)),
    )


def _verdict(compared: Compared, tolerance: float) -> bool | None:
    if compared.error is None or compared.open:
        return None
    return compared.error <= tolerance


def _agrees(compared: Compared, tolerance: float) -> bool:
    return _verdict(compared, tolerance) is True


def _all(mine: Values, other: Values, ways: Sequence[Reading], tolerance: float) -> Compared:
    """Compare the calls of a module one by one; the worst counts."""
    if not mine or not other:
        return Compared(None)
    if len(mine) != len(other):
        return Compared(None, f"called {len(mine)} times in PyTorch, {len(other)} times in the target")
    every = [
        compare(a, b, ways if a.ndim > 2 or ways[0].text.startswith("(") else [AS_IT_IS], tolerance)
        for a, b in zip(mine, other, strict=True)
    ]
    lacking = next((one for one in every if one.error is None), None)
    if lacking is not None:
        return lacking
    return max(every, key=lambda one: one.error or 0.0)
