"""The patterns of einops: ``b (h w) c -> b c h w``."""

from __future__ import annotations

import math
import re
from typing import Any

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.operations.joining import stack
from ml_switcheroo.graph.of_source.operations.products import einsum
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS"]

Side = list[list[str]]

_WORD = re.compile(r"\(([^()]*)\)|(\.\.\.|\w+)")


def _side(text: str, rank: int | None) -> Side:
    """Return the names in each axis of one side; the dots stand for ``rank`` axes less the others."""
    found = [inner.split() if inner or not word else [word] for inner, word in _WORD.findall(text)]
    if ["..."] in found and rank is not None:
        place = found.index(["..."])
        found[place : place + 1] = [[f"...{i}"] for i in range(rank - len(found) + 1)]
    return found


def _sizes(side: Side, shape: tuple[int, ...], given: dict[str, int]) -> dict[str, int]:
    sizes = dict(given)
    for names, whole in zip(side, shape, strict=True):
        names = [name for name in names if name != "1"]
        known = math.prod(sizes[name] for name in names if name in sizes)
        open_ = [name for name in names if name not in sizes]
        if len(open_) > 1 or (known and whole % known) or (not open_ and known != whole):
            raise Unlowered(f"({' '.join(names)}) of {whole}")
        for name in open_:
            sizes[name] = whole // known
    return sizes


def _pattern(
    pen: Pen, x: Any, pattern: Any, given: dict[str, Any], reduction: Any = None, *, repeats: bool = False
) -> Drawn:
    if not isinstance(pattern, str) or "->" not in pattern:
        raise Unlowered("a pattern that is not known")
    x = stack(pen, x) if isinstance(x, list | tuple) else x
    before, after = pattern.split("->")
    left = _side(before, x.rank)
    if len(left) != x.rank:
        raise Unlowered(f"{pattern} of {x.shape}")
    dots = sum(names[:1] != [] and names[0].startswith("...") for names in left)
    right = _side(after, None)
    spread: Side = []
    for names in right:
        inner = [f"...{i}" for i in range(dots)] if names == ["..."] else names
        spread += (
            [[name] for name in inner]
            if names == ["..."]
            else [
                [
                    part
                    for name in names
                    for part in ([f"...{i}" for i in range(dots)] if name == "..." else [name])
                ]
            ]
        )
    sizes = _sizes(left, x.shape, {name: pen.whole(size) for name, size in given.items()})
    flat = [name for names in left for name in names if name != "1"]
    x = pen.reshape(x, [sizes[name] for name in flat])
    goal = [name for names in spread for name in names if name != "1"]
    gone = [place for place, name in enumerate(flat) if name not in goal]
    if gone:
        if reduction is None:
            raise Unlowered(f"{pattern} loses {', '.join(flat[place] for place in gone)}")
        x = _reduced(pen, x, reduction, gone)
        flat = [name for name in flat if name in goal]
    if new := [name for name in goal if name not in flat]:
        if not repeats or any(name not in sizes for name in new):
            raise Unlowered(f"{pattern} makes up {', '.join(new)}")
        x = pen.insert(x, *range(x.rank, x.rank + len(new)))
        flat += new
        x = pen.transpose(x, [flat.index(name) for name in goal])
        x = pen.broadcast(x, [sizes[name] for name in goal])
    else:
        x = pen.transpose(x, [flat.index(name) for name in goal])
    return pen.reshape(x, [math.prod(sizes[name] for name in names if name != "1") for names in spread])


def _reduced(pen: Pen, x: Drawn, reduction: Any, axes: list[int]) -> Drawn:
    if reduction == "mean":
        return pen.mean(x, axes)
    ops = {"sum": "sum", "max": "amax", "min": "amin", "prod": "prod", "any": "any", "all": "all"}
    if reduction not in ops:
        raise Unlowered(f"reduce by {reduction!r}")
    return pen.reduce(ops[reduction], x, axes)


def _rearrange(pen: Pen, input: Any, pattern: Any, **sizes: Any) -> Drawn:
    return _pattern(pen, input, pattern, sizes)


def _reduce(pen: Pen, input: Any, pattern: Any, reduction: Any, **sizes: Any) -> Drawn:
    return _pattern(pen, input, pattern, sizes, reduction)


def _repeat(pen: Pen, input: Any, pattern: Any, **sizes: Any) -> Drawn:
    return _pattern(pen, input, pattern, sizes, repeats=True)


def _einsum(pen: Pen, *given: Any) -> Drawn:
    """Return sums of products by a pattern whose axes have names of any length."""
    *operands, pattern = given
    names = dict.fromkeys(re.findall(r"[A-Za-z_]\w*", pattern))
    letters = dict(zip(names, map(chr, [*range(97, 123), *range(65, 91)]), strict=False))
    short = re.sub(r"[A-Za-z_]\w*", lambda found: letters[found[0]], pattern)
    return einsum(pen, short, *operands)


ROWS: list[Lowering] = [
    *rows("e", {"rearrange": _rearrange, "reduce": _reduce, "repeat": _repeat, "einsum": _einsum})
]
