"""What each target takes: the support matrix, read from the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ml_switcheroo.laid import Block, Cell, Line
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.recipes import REFUSED, Dropped, Form, Part, Recipe, Target, Unsupported

__all__ = ["Support", "layers_block", "matrix_blocks", "supported", "targets_blocks"]

_CLASSES = 3  # names of classes that stand for a kind


@dataclass(frozen=True, slots=True)
class Support:
    """Which targets take a kind of layer.

    Attributes:
        kind: The kind.
        classes: Its classes in PyTorch.
        reasons: For each target by name: empty where it takes the kind, else why it does not.
    """

    kind: str
    classes: tuple[str, ...]
    reasons: Mapping[str, str]

    @property
    def everywhere(self) -> bool:
        """Whether no target takes the kind, for one reason."""
        return self.kind in REFUSED

    def to_json(self) -> dict[str, object]:
        """Describe it with JSON's types."""
        targets = {name: {"supported": not why, "why": why} for name, why in self.reasons.items()}
        return {"kind": self.kind, "classes": list(self.classes), "targets": targets}


def supported(targets: Sequence[Target]) -> list[Support]:
    """Return a row for each kind of layer.

    >>> from ml_switcheroo.targets import TARGETS
    >>> next(row for row in supported([TARGETS["nnx"]]) if row.kind == "linear").reasons
    {'nnx': ''}
    """
    return [
        Support(kind, layer.classes, {target.name: _why_not(target.kinds.get(kind)) for target in targets})
        for kind, layer in LAYERS.items()
    ]


def _why_not(recipe: Recipe | None) -> str:
    if isinstance(recipe, tuple):
        return ""
    return "its row says nothing of it" if recipe is None else recipe.why


def matrix_blocks(targets: Sequence[Target]) -> Iterator[Block]:
    """Yield the matrix, a line for each kind, and below it why a target does not take one."""
    rows = supported(targets)
    head = (
        Cell("layer", "title"),
        *(Cell(target.name, "title") for target in targets),
        Cell("torch.nn", "title"),
    )
    lines = [Line(head)]
    for row in rows:
        cells = (Cell("no", "missing") if why else Cell("yes", "moved") for why in row.reasons.values())
        lines.append(Line((Cell(row.kind), *cells, Cell(", ".join(row.classes[:_CLASSES]), "faint"))))
    yield lines
    refused = {row.kind: next(iter(row.reasons.values())) for row in rows if row.everywhere}
    reasons = [(kind, "no target", why) for kind, why in refused.items()]
    for row in rows:
        if not row.everywhere:
            reasons += [(row.kind, name, why) for name, why in row.reasons.items() if why]
    if reasons:
        yield [Line((Cell(""),)), Line((Cell("not supported, and why", "title"),))]
        yield [Line((Cell(kind), Cell(name, "faint"), Cell(why)), 2) for kind, name, why in reasons]


def layers_block(target: Target) -> Block:
    """Return, for each kind of layer, what a target makes of its tensors, or why it takes none."""
    lines = [Line((Cell("layer", "title"), Cell("slots", "title"), Cell("->"), Cell(target.name, "title")))]
    for kind in LAYERS:
        recipe = target.kinds.get(kind)
        why = _why_not(recipe)
        if why:
            lines.append(Line((Cell(kind), Cell("no", "missing"), Cell(""), Cell(why))))
        for slots, leaves in _leaves(recipe) if isinstance(recipe, tuple) else ():
            lines.append(Line((Cell(kind), Cell(slots), Cell("->"), Cell(leaves, "moved"))))
            kind = ""
    return lines


def _leaves(recipe: tuple[object, ...]) -> Iterator[tuple[str, str]]:
    """Yield the slots of each part, and its leaves; of several forms, those of the first."""
    first = recipe[0] if recipe else None
    for entry in first.entries if isinstance(first, Form) else recipe:
        if isinstance(entry, Part):
            axes = f"  ({entry.axes})" if entry.axes else ""
            slots = ", ".join(entry.slots) or "the tensor itself"
            yield slots, (", ".join(entry.leaves) or "a leaf of its name") + axes
        elif isinstance(entry, Dropped):
            yield entry.slot, f"dropped: {entry.why}"
        elif isinstance(entry, Unsupported):
            yield entry.slot or "...", f"no: {entry.why}"


def targets_blocks(targets: Sequence[Target]) -> Iterator[Block]:
    """Yield what each target is, and what can be done with it."""
    head = ("target", "also", "layers", "models", "rewrite", "verify", "inputs=", "what it is")
    lines = [Line(tuple(Cell(word, "title") for word in head))]
    for one in targets:
        taken = sum(isinstance(one.kinds.get(kind), tuple) for kind in LAYERS)
        can = (one.live is not None, one.mapper is not None, bool(one.observer), bool(one.drawer))
        cells = [Cell("yes", "moved") if yes else Cell("no", "faint") for yes in can]
        counted = Cell(f"{taken} of {len(LAYERS)}")
        also = Cell(", ".join(one.aliases), "faint")
        lines.append(Line((Cell(one.name), also, counted, *cells, Cell(one.summary))))
    yield lines
