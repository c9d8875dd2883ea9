"""All rows, by the dotted names of functions and the names of methods."""

from __future__ import annotations

from collections.abc import Mapping

from ml_switcheroo.graph.of_source.lowering import Lowering
from ml_switcheroo.graph.of_source.operations import (
    activations,
    attention,
    elementwise,
    indexing,
    joining,
    making,
    norms,
    patches,
    patterns,
    products,
    reductions,
    resizing,
    shapes,
    windows,
)

__all__ = ["FUNCTIONS", "METHODS"]

_ROWS = [
    row
    for part in (
        *(elementwise, activations, shapes, reductions, products, indexing, joining, patches),
        *(making, windows, resizing, norms, attention, patterns),
    )
    for row in part.ROWS
]

FUNCTIONS: Mapping[str, Lowering] = {name: row for row in _ROWS for name in row.functions}
METHODS: Mapping[str, Lowering] = {name: row for row in _ROWS for name in row.methods}
