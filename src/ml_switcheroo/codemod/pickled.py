"""Models that a file holds whole: what ``torch.load`` returns is used as a model."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.known import PASSING_METHODS
from ml_switcheroo.codemod.receivers import Place, Receivers
from ml_switcheroo.codemod.trees import called, spelled

__all__ = ["find_pickled"]

# What a model has, and neither a tensor nor a dictionary.
_OF_MODELS = frozenset({"eval", "train", "parameters", "named_parameters", "named_modules", "state_dict"})
_READING = (ast.Call, ast.Subscript)


def find_pickled(file: File, receivers: Receivers) -> Iterator[tuple[int, str]]:
    """Yield line and name of each ``torch.load`` of a model that is used as one."""
    if not file.calls("load".__eq__):
        return
    loads: dict[str, int] = {}
    for node in file.of(ast.Assign):
        line = _loaded(node.value, loads, file, receivers) if isinstance(node.value, _READING) else 0
        if line:
            loads.update({spelled(target): line for target in node.targets})
    for node in file.calls(_OF_MODELS.__contains__):
        if isinstance(node.func, ast.Attribute):
            owner = node.func.value
            line = _loaded(owner, loads, file, receivers)
            if line and not node.args:
                yield line, spelled(owner)


def _loaded(node: ast.expr, loads: dict[str, int], file: File, receivers: Receivers) -> int:
    """Return the line of the ``torch.load`` that an expression comes from; 0 where it comes from none."""
    while True:
        if isinstance(node, ast.Name | ast.Attribute):
            return loads.get(spelled(node), 0) if loads else 0
        match node:
            case ast.Call() if (
                called(node) == "load" and receivers.dotted(node.func, Place(file)) == "torch.load"
            ):
                return node.lineno
            case ast.Call(func=ast.Attribute(value=inner, attr=attr)) if attr in PASSING_METHODS:
                node = inner
            case ast.Subscript(value=inner):
                node = inner
            case _:
                return 0
