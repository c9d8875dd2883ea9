"""What a row that lowers an operation is, and how the arguments of a call are bound to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_switcheroo.graph.of_source.drawn import Unlowered

__all__ = ["Lowering", "bound", "rows", "view_rows"]

Run = Callable[..., Any]

_HOMES = {
    "t": ("torch",),
    "f": ("torch.nn.functional",),
    "s": ("torch.special",),
    "l": ("torch.linalg",),
    "e": ("einops",),
}
_ALSO = {
    "axis": "dim",
    "keepdims": "keepdim",
    "axes": "dims",
    "axis0": "dim0",
    "axis1": "dim1",
    "self": "input",
    "mat2": "other",
    "vec": "other",
    "tensor": "input",
    "data": "input",
    "x": "input",
}
_ASIDE = frozenset(
    """device requires_grad pin_memory memory_format layout non_blocking generator names _stacklevel copy
    sparse scale_grad_by_freq""".split()
)
"""Keywords that change nothing that is computed."""


@dataclass(frozen=True, slots=True)
class Lowering:
    """What an operation computes.

    Attributes:
        name: Its name.
        functions: Its dotted names as a function.
        methods: Its names as a method of a tensor.
        run: Draws it: takes a pen, then what the operation takes, by torch's names.
        parameters: The names of those, in order.
        many: Which of them takes any number of arguments; empty where none does.
        view: Whether what it gives may look at the storage of what it is given.
    """

    name: str
    functions: tuple[str, ...]
    methods: tuple[str, ...]
    run: Run
    parameters: tuple[str, ...]
    many: str = ""
    open: bool = False
    view: bool = False


def rows(where: str, table: Mapping[str, Run], *, view: bool = False) -> list[Lowering]:
    """Return a row for each entry of a table.

    Args:
        where: ``t`` for a function of torch, ``f`` of its functional, ``s`` of special, ``l`` of linalg,
            ``e`` of einops, ``m`` for a method.
        table: By names with spaces between, the function that draws it.
        view: Whether results look at the storage of what is given.
    """
    return [_row(where, names.split(), run, view) for names, run in table.items()]


def view_rows(where: str, table: Mapping[str, Run]) -> list[Lowering]:
    """Return rows whose results look at the storage of what is given; see :func:`rows`."""
    return rows(where, table, view=True)


def _row(where: str, names: Sequence[str], run: Run, view: bool) -> Lowering:
    homes = [home for letter in where if letter != "m" for home in _HOMES[letter]]
    found = list(inspect.signature(run).parameters.values())[1:]
    many = next((one.name for one in found if one.kind is one.VAR_POSITIONAL), "")
    opened = any(one.kind is one.VAR_KEYWORD for one in found)
    plain = tuple(one.name for one in found if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY))
    functions = tuple(f"{home}.{name}" for home in homes for name in names)
    methods = tuple(names) if "m" in where else ()
    return Lowering(names[0], functions, methods, run, plain, many, opened, view)


def bound(
    row: Lowering, positional: Iterable[Any], keyword: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call as the row takes them.

    Raises:
        Unlowered: It has no such parameter.
    """
    given, words = list(positional), dict[str, Any]()
    for word, value in keyword.items():
        name = word if word in row.parameters else _ALSO.get(word, word)
        if name in row.parameters or row.open:
            words[name] = value
        elif row.many and word in ("size", "shape", "dims", "repeats", "dim", row.many):
            given.extend(value if isinstance(value, list | tuple) else [value])
        elif word not in _ASIDE and value is not None:
            raise Unlowered(f"{row.name} with {word}")
    return given, words
