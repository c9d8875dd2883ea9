"""Where a live convolution pads otherwise than PyTorch's: the rows on each side, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_switcheroo.recipes import Padding
from ml_switcheroo.sources.findings import Finding

__all__ = ["OURS", "PERHAPS", "THEIRS", "said_of_padding"]

PERHAPS = "right where"
"""What a note says of two layers that differ, where the code around one of them may make up for it."""

OURS = f"({PERHAPS} the port pads"
THEIRS = f"({PERHAPS} PyTorch's model pads"

# What flax.linen and flax.nnx call padding with something else than zeros.
_MODES = frozenset({"circular", "reflect"})

Pair = tuple[int, int]


def said_of_padding(entry: Padding, finding: Finding, attributes: Mapping[str, Any]) -> str:
    """Say how the padding differs; empty where it does not, or where a side is not known."""
    args, real = finding.args, attributes.get(entry.attribute)
    if "padding" not in args or real is None:
        return ""
    if entry.transposed == "cut" and attributes.get("output_padding") is not None:
        return ""
    both = [*args.values(), *(attributes.get(name) for name in (*entry.names, "kernel_size"))]
    rank = max((len(value) for value in both if isinstance(value, list | tuple)), default=1)
    kernel = args.get("kernel_size", attributes.get("kernel_size"))
    theirs = _Window(kernel, args.get("stride", 1), args.get("dilation", 1), rank)
    ours = _Window(kernel, attributes.get(entry.stride), attributes.get(entry.dilation), rank)
    expected = theirs.of_torch(args["padding"], args.get("output_padding", 0), bool(entry.transposed))
    found = _ours(entry, ours, real, attributes)
    if expected is None or found is None:
        return ""
    head = (
        f"{finding.kind}: {entry.attribute} is {real} in the target, padding is {args['padding']} in PyTorch"
    )
    fitting = [rest for rest, pairs in found.items() if pairs == expected]
    empty = [not any(map(any, pairs)) for pairs in (*found.values(), expected)]
    if len(fitting) == len(found):
        return "" if empty[-1] else _mode(entry, finding, attributes, real)
    if 0 in fitting:
        return f"{head} ({PERHAPS} the sizes of the input are multiples of the stride)"
    if fitting:
        sizes = " or ".join(map(str, fitting))
        return f"{head} (the same only for inputs whose sizes leave {sizes} when divided by the stride)"
    alike = "the port" if all(empty[:-1]) else "PyTorch's model" if empty[-1] else ""
    if not alike:
        return head
    does = "cuts the output as much" if entry.transposed else "pads before this layer"
    return f"{head} ({PERHAPS} {alike} {does})"


def _mode(entry: Padding, finding: Finding, attributes: Mapping[str, Any], real: Any) -> str:
    """Say that both pad as much, but with something else."""
    theirs = finding.args.get("padding_mode", "zeros")
    ours = str(attributes.get(entry.mode, real)).lower()
    ours = ours if ours in {*_MODES, "replicate"} else "zeros"
    if ours == theirs or not isinstance(theirs, str):
        return ""
    return f"{finding.kind}: pads with {ours} in the target, padding_mode is {theirs} in PyTorch"


def _ours(
    entry: Padding, window: _Window, real: Any, attributes: Mapping[str, Any]
) -> Mapping[int, Sequence[Pair]] | None:
    """Return the rows on each side, by the rest of the input's sizes when divided by the stride."""
    if isinstance(real, str):
        if not entry.transposed:
            return window.by_rest(real.lower())
        pairs = window.of_word(real.lower(), entry.transposed)
        return None if pairs is None else {0: pairs}
    numbers = window.pairs(real)
    if numbers is None:
        return None
    if entry.transposed == "spread":
        return {0: window.cut(numbers)} if window.kernel else None
    if entry.transposed:
        extra = window.each(attributes.get("output_padding") or 0)
        return {0: [(low, high - more) for (low, high), more in zip(numbers, extra, strict=True)]}
    return {0: numbers}


class _Window:
    """The kernel, steps and distances of taps along each axis; an empty kernel is not known."""

    def __init__(self, kernel: Any, stride: Any, dilation: Any, rank: int) -> None:
        self._rank = rank
        self.stride, self._dilation = self.each(1 if stride is None else stride), self.each(dilation or 1)
        self.kernel = self.each(kernel or ())

    def each(self, value: Any) -> list[int]:
        """Return a number for each axis; none where there are not as many."""
        numbers = [value] * self._rank if isinstance(value, int) else list(value)
        return numbers * self._rank if len(numbers) == 1 else numbers

    def pairs(self, value: Any) -> list[Pair] | None:
        """Return the rows on both sides of each axis, of numbers or pairs of numbers."""
        if not isinstance(value, int | list | tuple):
            return None
        rows = [(one, one) if isinstance(one, int) else tuple(one) for one in self.each(value)]
        return rows if len(rows) == self._rank else None

    def reach(self) -> Iterator[int]:
        """Yield the distance from the first to the last tap of each axis."""
        yield from (step * (size - 1) for size, step in zip(self.kernel, self._dilation, strict=False))

    def of_torch(self, padding: Any, output: Any, transposed: bool) -> list[Pair] | None:
        """Return PyTorch's rows on each side; of a transposed convolution those that are cut off."""
        if padding == "valid":
            padding = 0
        if padding == "same":
            return [(rows // 2, rows - rows // 2) for rows in self.reach()] or None
        rows = self.pairs(padding)
        if rows is None or not transposed:
            return rows
        return [(low, high - more) for (low, high), more in zip(rows, self.each(output), strict=True)]

    def by_rest(self, word: str) -> dict[int, list[Pair]] | None:
        """Return the rows that a word of XLA's or TensorFlow's stands for, by the rest of the sizes."""
        if word == "valid":
            return {0: [(0, 0)] * self._rank}
        if len(set(self.stride)) != 1 or len(self.kernel) != self._rank:
            return None
        if word in _MODES:
            return {0: [(rows // 2, rows - rows // 2) for rows in self.reach()]}
        if word not in ("same", "same_lower"):
            return None
        stride, found = self.stride[0], {}
        for rest in range(stride):
            totals = [max(rows + 1 - (rest or stride), 0) for rows in self.reach()]
            sides = [(total // 2, total - total // 2) for total in totals]
            found[rest] = [(b, a) for a, b in sides] if word == "same_lower" else sides
        return found

    def cut(self, rows: Sequence[Pair]) -> list[Pair]:
        """Return the rows cut off from the whole output where so many are put around the spread-out input."""
        return [(reach - low, reach - high) for reach, (low, high) in zip(self.reach(), rows, strict=True)]

    def of_word(self, word: str, transposed: str) -> list[Pair] | None:
        """Return the rows of a transposed convolution's whole output that a word cuts off."""
        if word not in ("same", "valid") or transposed == "numbers" or len(self.kernel) != self._rank:
            return None
        found = []
        for reach, stride in zip(self.reach(), self.stride, strict=True):
            if word == "valid":
                found.append((0, min(reach + 1 - stride, 0)))
            elif transposed == "spread":
                total = reach + stride - 1
                low = reach if stride > reach else -(-total // 2)
                found.append((reach - low, reach - (total - low)))
            else:
                total = reach + 1 - stride
                low = max(total, 0) // 2
                found.append((low, total - low))
        return found
