"""Where two programs compute something else, with a line of each."""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ml_switcheroo.graph.adding import added_of
from ml_switcheroo.graph.graph import Node
from ml_switcheroo.graph.making import alike, below
from ml_switcheroo.graph.matching.matched import KernelMatch, Matched, Parted, Ready
from ml_switcheroo.graph.matching.profiles import agree, outputs_agree
from ml_switcheroo.graph.matching.side import Assumed, Side
from ml_switcheroo.graph.parameters import Kernel

__all__ = ["differences"]

Array = np.ndarray[Any, Any]

_LAYER = re.compile(r"[\w.]+\.(\w+(?: [\w.+-]+)?) \(")
_WINDOW = ("stride", "padding", "dilation", "spread", "groups", "kernel size")
_ENDLESS = 1e8
_SEEN = frozenset({"reshape", "transpose", "broadcast", "cast", "flip"})


def differences(matched: Matched) -> Iterator[str]:
    """Yield what two programs do differently, as sentences; the same on the same lines is counted."""
    found: dict[str, list[str]] = defaultdict(list)
    told = _added(matched) if matched.complete else _told_of(matched)
    for text in (*told, *_made(matched), *_turned(matched)):
        found[_LAYER.sub(r"\1 (", text.partition(": ")[2] or text)].append(text)
    for first, *more in found.values():
        yield first + (f" (and {len(more)} more like it)" if more else "")


def _told_of(matched: Matched) -> Iterator[str]:
    for parted in matched.parted:
        if not _may_follow(matched, parted.source, parted.target):
            yield _between(matched, parted)
    yield from _alone(matched)
    yield from _outputs(matched)
    yield from _loose(matched)


def _may_follow(matched: Matched, one: Ready, other: Ready) -> bool:
    """Tell whether a kernel may be used again behind a gap, and is given something else for that alone."""
    gaps = matched.source.graph.gaps or matched.target.graph.gaps
    return bool(gaps) and len(one.rows) != len(other.rows)


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
    """Yield what the programs go on with differently, where nothing can be carried over."""
    mine, theirs = matched.left
    new = [one for one in mine if not any(agree(one.profile, other.profile) for other in theirs)]
    strange = [one for one in theirs if not any(agree(one.profile, other.profile) for other in mine)]
    if mine and theirs and _may_follow(matched, (new or mine)[0], (strange or theirs)[0]):
        return
    if mine and theirs and (new or strange):
        goals = _data(matched.source, (new or mine)[0]), _data(matched.target, (strange or theirs)[0])
        values = matched.source.around(goals[0]), matched.target.around(goals[1])
        if text := _parting(matched, *goals, *values):
            yield text
            return
    said = [_going_on(matched.source, mine), _going_on(matched.target, theirs)]
    # Behind a gap there may be more than is known.
    known = (mine or not matched.source.graph.gaps) and (theirs or not matched.target.graph.gaps)
    if (mine or theirs) and known:
        yield f"the PyTorch model goes on with {said[0]}, the target's with {said[1]}"


def _going_on(side: Side, ready: Sequence[Ready]) -> str:
    if not ready:
        return "nothing more"
    names = ", ".join(one.kernel.leaf or "a computed kernel" for one in ready)
    return f"{names} ({_line(side, ready[0].nodes[0])})"


def _made(matched: Matched) -> Iterator[str]:
    """Yield the kernels that a program computes of its leaves, and the other one does not, or otherwise."""
    for match in matched.kernels:
        sides = (matched.source, match.source.kernel), (matched.target, match.target.kernel)
        if all(kernel.leaf for _, kernel in sides) or match.likely:
            continue
        if alike(matched.source.graph, matched.target.graph, match) is None:
            names, paths = (_below(side, kernel) for side, kernel in sides)
            lines = [_line(side, kernel.nodes[0]) for side, kernel in sides]
            yield (
                f"{names} and {paths} are not made into the weight in the same way, as far as can be told"
                f" ({lines[0]}; {lines[1]})"
            )


def _below(side: Side, kernel: Kernel) -> str:
    numbers = below(side.graph, kernel.root) or []
    return ", ".join(str(side.graph.nodes[one].params["path"]) for one in numbers) or "a computed kernel"


def _turned(matched: Matched) -> Iterator[str]:
    """Yield the leaves that the target uses in two ways, and the source in one."""
    uses: dict[tuple[str, str], list[KernelMatch]] = defaultdict(list)
    for match in matched.kernels:
        if match.source.kernel.leaf and match.target.kernel.leaf and match.source.width > 1:
            uses[match.source.kernel.leaf, match.target.kernel.leaf].append(match)
    for (name, path), found in uses.items():
        first, *others = found
        for other in others:
            if _kept_apart(first) != _kept_apart(other) and first.source.width == len(
                first.source.kernel.outer
            ):
                lines = (
                    _line(matched.source, other.source.kernel.nodes[0]),
                    _line(matched.target, other.target.kernel.nodes[0]),
                    _line(matched.target, first.target.kernel.nodes[0]),
                )
                yield (
                    f"{name} ({lines[0]}): {path} is turned here ({lines[1]}), and not where it is used first"
                    f" ({lines[2]}), or the other way round"
                )
                break


def _added(matched: Matched) -> Iterator[str]:
    """Yield what only one of both adds to the result of a kernel."""
    for one in added_of(matched)[1]:
        if one.differs and not one.match.likely:
            kernels = one.match.source.kernel, one.match.target.kernel
            said = (
                f"{' and '.join(names) or 'no tensor'} ({_line(side, kernel.nodes[0])})"
                for names, side, kernel in zip(
                    (one.sources, one.leaves), (matched.source, matched.target), kernels, strict=True
                )
            )
            yield f"added behind {kernels[0].leaf or kernels[0].op}: {'; '.join(said)}"


def _kept_apart(match: KernelMatch) -> bool:
    """Tell whether the axis that is contracted lies before the other one on both sides, or on neither."""
    sides = []
    for kernel in (match.source.kernel, match.target.kernel):
        inner, outer = (
            abs(int(axis[1] - axis[0])) if len(axis) > 1 else 0 for axis in (kernel.inner, kernel.outer)
        )
        sides.append(inner > outer)
    return sides[0] == sides[1]


def _outputs(matched: Matched) -> Iterator[str]:
    """Yield what outputs do differently, where they are known."""
    mine, theirs = _values(matched.source), _values(matched.target)
    if len(mine) != len(theirs) and not any(map(_is_open, (matched.source, matched.target))):
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


def _loose(matched: Matched) -> Iterator[str]:
    """Yield the leaves that no leaf of the other program is used like."""
    if matched.parted or not all(matched.outputs) or not any(matched.loose):
        return
    said = [
        ", ".join(f"{' and '.join(one.leaves)} ({_used(side, one.root)})" for one in found) or "no leaf"
        for side, found in zip((matched.source, matched.target), matched.loose, strict=True)
    ]
    yield f"not used alike: {said[0]} of the PyTorch model, {said[1]} of the target's"


def _used(side: Side, number: int) -> str:
    """Return the first line that uses a value."""
    users = (one for one, node in enumerate(side.graph.nodes) if number in node.operands)
    return _line(side, next(users, number))


def _is_open(side: Side) -> bool:
    """Tell whether a program was not followed to what it gives: how many outputs it has is not known."""
    nodes = (side.graph.nodes[number] for number in side.graph.outputs)
    return any(node.op == "call" and node.params["run"] is None for node in nodes)


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
        texts = _told(nodes[0], nodes[0][one], nodes[1], nodes[1][other])
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
    """Return the nodes that take what the other program has, and give what it has nowhere."""
    by_size: dict[int, list[Array]] = defaultdict(list)
    for value in others.values():
        by_size[value.size].append(_sorted(value))
    agreed: dict[int, bool] = {}

    def is_agreed(number: int) -> bool:
        if number not in agreed:
            value = _sorted(own[number])
            agreed[number] = any(agree(value, other) for other in by_size.get(value.size, ()))
        return agreed[number]

    found, seen = set[int](), set[int]()
    stack = [number for number in goals if number in own]
    while stack:
        number = stack.pop()
        if number in seen or is_agreed(number):
            continue
        seen.add(number)
        before = [one for one in side.graph.nodes[number].operands if one in own]
        open_ones = [one for one in before if not is_agreed(one) and side.graph.nodes[one].op != "constant"]
        if open_ones:
            stack.extend(open_ones)
        elif number not in side.parameters.plains:
            found.add(number)
    return sorted(found)


def _sorted(value: Array) -> Array:
    """Return the numbers of a node; what stands for an infinite one in a mask is one."""
    numbers = np.sort(value, axis=None).astype(np.float64)
    return np.where(np.abs(numbers) >= _ENDLESS, np.copysign(np.inf, numbers), numbers)


def _paired(
    mine: Sequence[Node], theirs: Sequence[Node], here: Sequence[int], there: Sequence[int]
) -> tuple[int, int]:
    """Return the first roots that do the same with other numbers, or the same; else the first of each."""
    alike = [pair for pair in itertools.product(here, there) if mine[pair[0]].op == theirs[pair[1]].op]
    # A number that is tiny beside what it is added to shows one operation later.
    near, beyond = (
        [*each, *(one for number in each for one in nodes[number].operands)]
        for nodes, each in ((mine, here), (theirs, there))
    )
    told = [pair for pair in alike if any(_apart(mine, mine[pair[0]], theirs, theirs[pair[1]]))]
    beside = [pair for pair in itertools.product(near, beyond) if _other_number(mine, theirs, *pair)]
    return (told or beside or alike or [(here[0], there[0])])[0]


def _told(mine: Sequence[Node], one: Node, theirs: Sequence[Node], other: Node) -> tuple[str, str]:
    """Return what two operations are called; where they are of one sort, what they differ in."""
    texts = _word(one), _word(other)
    if one.op != other.op:
        return texts
    said = _apart(mine, one, theirs, other)
    return f"{texts[0]} {said[0]}".strip(), f"{texts[1]} {said[1]}".strip()


def _apart(mine: Sequence[Node], one: Node, theirs: Sequence[Node], other: Node) -> tuple[str, str]:
    """Return the numbers, or else the parameters, in which two operations of one sort differ."""
    numbers = _number(mine, one), _number(theirs, other)
    if _unlike(*numbers):
        return f"{numbers[0]:g}", f"{numbers[1]:g}"
    names = [name for name in one.params if name in other.params and one.params[name] != other.params[name]]
    told = [", ".join(f"{name} {node.params[name]}" for name in names) for node in (one, other)]
    return told[0], told[1]


def _other_number(mine: Sequence[Node], theirs: Sequence[Node], one: int, other: int) -> bool:
    """Tell whether two operations are of one sort, and take other numbers."""
    numbers = _number(mine, mine[one]), _number(theirs, theirs[other])
    return mine[one].op == theirs[other].op and _unlike(*numbers)


def _unlike(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and not math.isclose(one, other, rel_tol=1e-6)


def _number(nodes: Sequence[Node], node: Node) -> float | None:
    """Return the number that an operation takes; None where it takes none."""
    for operand in node.operands:
        value = nodes[operand].params.get("value")
        if nodes[operand].op == "constant" and value is not None and _is_number(value):
            return float(value.flat[0])
    return None


def _is_number(value: Array) -> bool:
    return value.dtype.kind in "if" and value.size > 0 and bool((value == value.flat[0]).all())


def _word(node: Node) -> str:
    kind, step = node.params.get("kind"), node.params.get("step", (1,))
    if node.op == "slice" and any(one != 1 for one in step):
        return f"every {max(step)}th element"
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
    """Return the line of a node; of a view, that of the node that is viewed."""
    node = side.graph.nodes[number]
    if node.line is None and node.op in _SEEN:
        return _line(side, node.operands[0])
    return str(node.line) if node.line is not None else "line unknown"
