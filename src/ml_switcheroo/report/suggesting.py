"""The rules that could help if leaves are missing and tensors are left over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ml_switcheroo.renaming import one_rename
from ml_switcheroo.rule_lines import written
from ml_switcheroo.rules import Rename
from ml_switcheroo.targets import find_target
from ml_switcheroo.tensors import TensorSpec

if TYPE_CHECKING:
    from ml_switcheroo.outcome import Outcome
    from ml_switcheroo.unmoved import Unmoved

__all__ = ["alternatives", "by_number", "suggested"]

_NUMBER = re.compile(r"\d+")
Shapes = tuple[tuple[int, ...], ...]


def suggested(plan: Outcome) -> Iterator[tuple[str, str]]:
    """Yield a line, and its evidence, for each module of the target that an unused module could fill."""
    for rules, why in alternatives(plan):
        yield " or ".join(map(written, rules)), why


def alternatives(plan: Outcome) -> Iterator[tuple[Sequence[Rename], str]]:
    """Yield rules of which one can be meant, and the evidence for them.

    Only the sizes of the tensors are compared, in any order of the axes. With better evidence the plan would
    have used them already.
    """
    skipped = 1 if find_target(plan.target).naming.collections else 0
    leaves = _modules(plan.missing, r"[./]", skipped)
    tensors = _modules(_by_layer(plan.unexpected), r"\.", 0)
    by_shapes: dict[Shapes, list[str]] = {}
    for module, shapes in tensors.items():
        by_shapes.setdefault(shapes, []).append(module)
    found: dict[Shapes, list[str]] = {}
    for module, shapes in leaves.items():
        if shapes in by_shapes:
            found.setdefault(shapes, []).append(module)
    pairs: list[tuple[str, str]] = []
    for shapes, modules in found.items():
        unused = by_shapes[shapes]
        if len(unused) == len(modules) and len(modules) <= _MOST:
            pairs += zip(sorted(unused, key=by_number), sorted(modules, key=by_number), strict=True)
        else:
            one_of = [Rename(unused[0], module) for module in modules[:3]]
            yield one_of, f"{len(unused)} unused modules of these sizes, {len(modules)} places"
    yield from _folded(pairs)


_MOST = 200


def _folded(pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[Sequence[Rename], str]]:
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for mine, other in pairs:
        groups.setdefault((_NUMBER.sub("#", mine), _NUMBER.sub("#", other)), []).append((mine, other))
    for group in groups.values():
        rule = one_rename(group)
        for one in [rule] if rule else [Rename(*pair) for pair in group]:
            yield [one], "the only one of its sizes" if len(group) == 1 else "in the order of their numbers"


def _modules(left: Mapping[str, Unmoved], separator: str, skipped: int) -> dict[str, Shapes]:
    """Return the modules that have anything left over, with the sorted sizes of what is left."""
    found: dict[str, list[TensorSpec]] = {}
    for path, entry in left.items():
        parts = re.split(f"({separator})", path)
        module = "".join(parts[2 * skipped : -2])
        module = re.sub(r"[./]cell$", "", module)  # one layer of several: its parts come with it
        found.setdefault(module or path, []).append(entry.spec)
    return {
        module: tuple(sorted(tuple(sorted(spec.shape)) for spec in specs)) for module, specs in found.items()
    }


_LAYER = re.compile(r"(.*\.)?((?:weight|bias)_(?:ih|hh))_l(\d+)")


def _by_layer(left: Mapping[str, Unmoved]) -> dict[str, Unmoved]:
    """Name the tensors of recurrent modules layer by layer, and the two biases of a layer once.

    >>> list(_by_layer({"rnn.weight_hh_l1": None, "rnn.bias_ih_l1": None, "rnn.bias_hh_l1": None}))
    ['rnn.1.weight_hh', 'rnn.1.bias_ih']
    """
    found = {}
    for name, entry in left.items():
        layer = _LAYER.fullmatch(name)
        if layer is None:
            found[name] = entry
        elif layer[2] != "bias_hh":
            found[f"{layer[1] or ''}{layer[3]}.{layer[2]}"] = entry
    return found


def by_number(path: str) -> tuple[tuple[int, int, str], ...]:
    """Order paths by the value of their numbers, not by their digits."""
    parts = re.split(r"(\d+)", path)
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts)
