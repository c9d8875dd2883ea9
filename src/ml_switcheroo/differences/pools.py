"""Where a pool of a live model pools otherwise than PyTorch's, or cannot do what PyTorch's does.

A pool has no tensors, so no move tells which one stands for which: they are paired where that is certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from ml_switcheroo.computed import Computed, Pool
from ml_switcheroo.differences.attributes import Pads, listed, said_of
from ml_switcheroo.differences.padding import PERHAPS
from ml_switcheroo.recipes import Lack, Target
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tree import Template

__all__ = ["by_pools"]

Pools = Mapping[str, Pool]


def by_pools(
    target: Target,
    template: Template,
    pools: Pools,
    there: Mapping[str, tuple[Computed, ...]] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Compare the pools of both models; one note for each difference.

    Args:
        target: The target, whose ``differences`` say what is compared and what it lacks.
        template: The live model, with its pools.
        pools: PyTorch's pools, by path and in order.
        there: What PyTorch's modules compute, by path.
    """
    found: dict[str, list[str]] = {}
    pads = Pads.of(target, template, there)
    pairs = _paired(target, template, pools)
    # What both compute is compared elsewhere.
    compared = {word.what for words in template.computed.values() for word in words}
    for path, pool in pools.items():
        place = pairs.get(path)
        for text in _lacking(target, pool, shown=place is not None or pool.kind in compared):
            found.setdefault(text, []).append(path)
        if place is not None:
            for text in _unlike(target, pool, template.pools[place]):
                if not pads.make_up(text, place, path):
                    found.setdefault(text, []).append(place)
    return tuple(f"{text}: {listed(places)}" for text, places in found.items())


def _unlike(target: Target, theirs: Pool, ours: Pool) -> list[str]:
    """Say what two pools that stand for one another differ in."""
    finding = Finding(theirs.kind, "live", "", args=theirs.attributes)
    entries = (one for one in target.differences.get(theirs.kind, ()) if not isinstance(one, Lack))
    return [text for entry in entries if (text := said_of(entry, finding, ours.attributes))]


def _lacking(target: Target, pool: Pool, *, shown: bool) -> Iterator[str]:
    """Say what PyTorch's pool does that the target's cannot; of padding, where the port shows none itself."""
    for entry in target.differences.get(pool.kind, ()):
        if not isinstance(entry, Lack):
            continue
        value = pool.attributes.get(entry.arg, entry.only)
        idle = entry.beside and (shown or not any(_numbers(pool.attributes.get(entry.beside))))
        if not idle and set(_numbers(value)) != {entry.only}:
            head = f"{pool.kind}: {entry.arg} is always {entry.only} in the target's own layer"
            yield f"{head}, {value} in PyTorch ({PERHAPS} the port makes up for it)"


def _numbers(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else (value,)


def _paired(target: Target, template: Template, pools: Pools) -> dict[str, str]:
    """Return for the path of each of PyTorch's pools that of the target's, where that is certain."""
    found: dict[str, str] = {}
    names = {path: _in_torch(path, target, template) for path in template.pools}
    for group in dict.fromkeys((pool.kind, pool.rank) for pool in pools.values()):
        theirs, ours = (
            [path for path, pool in side.items() if (pool.kind, pool.rank) == group]
            for side in (pools, template.pools)
        )
        same = {names[path]: path for path in ours}
        if same.keys() != set(theirs):  # a number counts other modules too
            same = {name: path for name, path in same.items() if not _is_numbered(name)}
        found |= {path: same[path] for path in theirs if path in same}
        rest = [[p for p in theirs if p not in found], [p for p in ours if p not in found.values()]]
        if len(rest[0]) == len(rest[1]) and not _are_alike(target, template, pools, *rest):
            found |= zip(*rest, strict=True)
    return found


def _are_alike(target: Target, template: Template, pools: Pools, theirs: list[str], ours: list[str]) -> bool:
    """Tell whether both have the same pools in another order: that of definition need not be that of use."""
    left = list(ours)
    for path in theirs:
        same = next((one for one in left if not _unlike(target, pools[path], template.pools[one])), None)
        if same is None:
            return False
        left.remove(same)
    return True


def _in_torch(path: str, target: Target, template: Template) -> str:
    """Return a path as PyTorch writes it: without the attribute of a Sequential's children."""
    walked: list[str] = []
    written: list[str] = []
    for word in path.split(target.naming.separator):
        inner = template.containers.get(target.naming.separator.join(walked)) == "sequential"
        walked.append(word)
        written += [] if inner and word == target.naming.sequential else [word]
    return ".".join(written)


def _is_numbered(path: str) -> bool:
    return any(word.isdecimal() for word in path.split("."))
