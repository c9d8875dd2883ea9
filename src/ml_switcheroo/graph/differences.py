"""Where two programs compute something else, with a line of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Node
from ml_switcheroo.graph.matching.matched import Matched, Parted, Ready
from ml_switcheroo.graph.matching.profiles import agree, outputs_agree
from ml_switcheroo.graph.matching.side import Assumed, Side
from ml_switcheroo.graph.parameters import Kernel

__all__ = ["differences"]

Array = np.ndarray[Any, Any]

_WINDOW = ("stride", "padding", "dilation", "spread", "groups", "kernel size")
_SEEN = frozenset({"reshape", "transpose", "broadcast", "cast", "flip"})


def differences(matched: Matched) -> Iterator[str]:
    """Yield what two programs do differently, as sentences; nothing where one could not be followed."""
    if matched.complete:
        return
    for parted in matched.parted:
        yield _between(matched, parted)
    yield from _alone(matched)
    yield from _outputs(matched)


def _between(matched: Matched, parted: Parted) -> str:
    """Say what two kernels of one size take differently."""
    one, other = parted.source, parted.target
    where = f"at {one.kernel.leaf or one.kernel.op}"
    lines = _line(matched.source, one.nodes[0]), _line(matched.target, other.nodes[0])
    if agree(one.profile, other.profile) and one.kernel.attributes != other.kernel.attributes:
        pairs = zip(_WINDOW, one.kernel.attributes, other.kernel.attributes, strict=True)
        said = ", ".join(f"{name} {mine} / {theirs}" for name, mine, theirs in pairs if mine != theirs)
        return f"{where}: {said} ({lines[0]}; {lines[1]})"
    goals = _data(matched.source, one), _data(matched.target, other)
    return (
        _parting(matched, *goals, parted.here, parted.there)
        or f"{where}: it is given something else ({lines[0]}; {lines[1]})"
    )


def _data(side: Side, ready: Ready) -> list[int]:
    return [side.parameters.contractions[number][1] for number in ready.nodes]


def _alone(matched: Matched) -> Iterator[str]:
    """Yield the kernels that only one of the programs goes on with."""
    mine, theirs = matched.left
    if mine and theirs and not any(agree(one.profile, other.profile) for one in mine for other in theirs):
        goals = _data(matched.source, mine[0]), _data(matched.target, theirs[0])
        values = matched.source.around(goals[0]), matched.target.around(goals[1])
        if text := _parting(matched, *goals, *values):
            yield text
            return
    for side, ready, word in (
        (matched.source, matched.left[0], "the PyTorch model"),
        (matched.target, matched.left[1], "the target's model"),
    ):
        for one in ready:
            name = one.kernel.leaf or "a computed kernel"
            yield f"{name} is used by {word} alone, or on other data ({_line(side, one.nodes[0])})"


def _outputs(matched: Matched) -> Iterator[str]:
    """Yield what outputs do differently, where they are known."""
    mine, theirs = _values(matched.source), _values(matched.target)
    if len(mine) != len(theirs):
        yield f"the PyTorch model gives {len(mine)} outputs, the target's {len(theirs)}"
    for place, same in enumerate(matched.outputs[: min(len(mine), len(theirs))]):
        here, there = mine[place], theirs[place]
        if same or here is None or there is None:
            continue
        twin = next(
            (n for n, other in enumerate(theirs) if other is not None and outputs_agree(here, other)), None
        )
        if twin is not None:
            yield f"output {place} of the PyTorch model is output {twin} of the target's"
        else:
            goals = [matched.source.graph.outputs[place]], [matched.target.graph.outputs[place]]
            values = matched.source.around(goals[0]), matched.target.around(goals[1])
            yield _parting(matched, *goals, *values) or f"output {place} is not the same"


def _values(side: Side) -> list[Array | None]:
    """Return the outputs of a program; None for one that is not known."""
    found: list[Array | None] = []
    for number in side.graph.outputs:
        region = side.region([number])
        known = None if region.blocked else side.computed(region, Assumed())
        found.append(side.value(number, known) if known is not None else None)
    return found


def _parting(
    matched: Matched,
    mine: Sequence[int],
    theirs: Sequence[int],
    here: Mapping[int, Array],
    there: Mapping[int, Array],
) -> str:
    """Say which operations of both programs are the first that give something else; empty where none is."""
    roots = _roots(matched.source, mine, here, there), _roots(matched.target, theirs, there, here)
    if not roots[0] and not roots[1]:
        return ""
    nodes = matched.source.graph.nodes, matched.target.graph.nodes
    after = _after(matched.source, roots[0][:1] or mine)
    if roots[0] and roots[1]:
        one, other = _paired(nodes[0], nodes[1], *roots)
        texts = _told(nodes[0], one, nodes[0][one], nodes[1], nodes[1][other])
        lines = _line(matched.source, one), _line(matched.target, other)
        return f"{after}{texts[0]} ({lines[0]}); {texts[1]} ({lines[1]})"
    side, found, word = (
        (matched.source, roots[0][0], "the PyTorch model alone")
        if roots[0]
        else (matched.target, roots[1][0], "the target's model alone")
    )
    return f"{after}{_word(side.graph.nodes[found])} ({_line(side, found)}): {word}"


def _roots(
    side: Side, goals: Sequence[int], own: Mapping[int, Array], others: Mapping[int, Array]
) -> list[int]:
    """Return the nodes that give what the other program has nowhere, out of what it has."""
    by_size: dict[int, list[Array]] = defaultdict(list)
    for value in others.values():
        by_size[value.size].append(np.sort(value, axis=None))
    agreed: dict[int, bool] = {}

    def is_agreed(number: int) -> bool:
        if number not in agreed:
            value = np.sort(own[number], axis=None)
            agreed[number] = any(agree(value, other) for other in by_size.get(value.size, ()))
        return agreed[number]

    found, stack, seen = set[int](), [number for number in goals if number in own], set[int]()
    while stack:
        number = stack.pop()
        if number in seen or is_agreed(number):
            continue
        seen.add(number)
        before = [one for one in side.graph.nodes[number].operands if one in own]
        open_ones = [one for one in before if not is_agreed(one) and side.graph.nodes[one].op != "constant"]
        if open_ones:
            stack.extend(open_ones)
        else:
            found.add(number)
    return sorted(found)


def _paired(
    mine: Sequence[Node], theirs: Sequence[Node], here: Sequence[int], there: Sequence[int]
) -> tuple[int, int]:
    """Return the first roots that do the same with other numbers; else the first of each."""
    for one in here:
        for other in there:
            if mine[one].op == theirs[other].op:
                return one, other
    return here[0], there[0]


def _told(
    mine: Sequence[Node], number: int, one: Node, theirs: Sequence[Node], other: Node
) -> tuple[str, str]:
    """Return what two operations are called; where they are of one sort, what they differ in."""
    del number
    texts = _word(one), _word(other)
    if one.op != other.op:
        return texts
    numbers = _number(mine, one), _number(theirs, other)
    if None not in numbers and numbers[0] != numbers[1]:
        return f"{texts[0]} {numbers[0]:g}", f"{texts[1]} {numbers[1]:g}"
    names = [name for name in one.params if name in other.params and one.params[name] != other.params[name]]
    said = [", ".join(f"{name} {node.params[name]}" for name in names) for node in (one, other)]
    return f"{texts[0]} {said[0]}".strip(), f"{texts[1]} {said[1]}".strip()


def _number(nodes: Sequence[Node], node: Node) -> float | None:
    """Return the number that an operation takes; None where it takes none."""
    for operand in node.operands:
        value = nodes[operand].params.get("value")
        if nodes[operand].op == "constant" and value is not None and value.size == 1:
            return float(value.reshape(()))
    return None


def _word(node: Node) -> str:
    kind = node.params.get("kind")
    return node.word or (f"{kind} over a window" if kind else node.op)


def _after(side: Side, numbers: Iterable[int]) -> str:
    """Name the last layer before some nodes."""
    stack, seen = list(numbers), set[int]()
    while stack:
        number = stack.pop(0)
        if number in seen:
            continue
        seen.add(number)
        kernel: Kernel | None = None
        if number in side.parameters.contractions:
            kernel = side.parameters.contractions[number][0]
        path = kernel.leaf if kernel is not None else ""
        if number in side.parameters.plains:
            path = side.parameters.plains[number].leaves[0]
        if path:
            return f"after {path.rpartition('.')[0] or path}: "
        stack.extend(side.graph.nodes[number].operands)
    return ""


def _line(side: Side, number: int) -> str:
    """Return the line of a node; of a view, that of what it is a view of."""
    node = side.graph.nodes[number]
    if node.line is None and node.op in _SEEN:
        return _line(side, node.operands[0])
    return str(node.line) if node.line is not None else "line unknown"
