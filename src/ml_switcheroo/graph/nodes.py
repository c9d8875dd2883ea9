"""The nodes of a program that is drawn: what each operation takes and gives, and the line that says so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.graph.primitives import PRIMITIVES

__all__ = ["Line", "Node", "Nodes"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

_SMALL = 2**20
"""What has no more elements than this is computed while a graph is drawn, where it can be."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a program's source.

    Attributes:
        file: Its file, as it is said.
        number: Its number, from 1.
    """

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Attributes:
        op: A name of ``PRIMITIVES``.
        operands: The numbers of the nodes that it takes.
        params: Its parameters, by name, as the primitive has them.
        shape: The shape of what it gives.
        dtype: The dtype of what it gives, by name.
        line: Where the program says so.
        word: What the program calls it (``relu``), where that is not the primitive's name.
    """

    op: str
    operands: tuple[int, ...]
    params: Mapping[str, Any]
    shape: Shape
    dtype: str
    line: Line | None = None
    word: str = ""


@dataclass(slots=True)
class Nodes:
    """Nodes in the order in which they are added, none twice; what is constant is computed at once.

    Attributes:
        line: Where the program is that is being drawn.
        word: What the program calls what is being drawn.
    """

    line: Line | None = None
    word: str = ""
    _nodes: list[Node] = field(default_factory=list)
    _inputs: list[int] = field(default_factory=list)
    _leaves: dict[str, int] = field(default_factory=dict)
    _gaps: list[str] = field(default_factory=list)
    _known: dict[Any, int] = field(default_factory=dict)

    def __getitem__(self, number: int) -> Node:
        return self._nodes[number]

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, op: str, *operands: int, dtype: str = "", **params: Any) -> int:
        """Return the number of the node that does this; the same one for the same.

        Raises:
            ValueError: The shapes of the operands do not go together.
        """
        primitive = PRIMITIVES[op]
        shape = tuple(int(size) for size in primitive.shape([self.shape(one) for one in operands], params))
        dtype = dtype or primitive.dtype or self._dtype(operands)
        arrays = [self.known(one) for one in operands]
        known = all(one is not None for one in arrays) and (op != "call" or bool(params["run"] and arrays))
        if known and math.prod(shape) <= _SMALL:
            with np.errstate(all="ignore"):
                return self.constant(primitive.run(arrays, params), dtype)  # type: ignore[arg-type]
        less = self._simpler(op, operands, params, shape)
        if less is not None:
            return less
        return self._put(Node(op, operands, MappingProxyType(params), shape, dtype, self.line, self.word))

    def _simpler(
        self, op: str, operands: tuple[int, ...], params: Mapping[str, Any], shape: Shape
    ) -> int | None:
        """Return a node that does the same as another one would; None where there is no simpler one."""
        return None

    def cast(self, number: int, dtype: str) -> int:
        """Return a node with another dtype; the same one where it has it."""
        return number if self.dtype(number) == dtype else self.add("cast", number, dtype=dtype, to=dtype)

    def input(self, shape: Sequence[int], dtype: str) -> int:
        """Return a new node for an argument of the program."""
        number = self._new(
            Node("input", (), MappingProxyType({"shape": tuple(shape)}), tuple(shape), dtype, self.line)
        )
        self._inputs.append(number)
        return number

    def leaf(self, path: str, shape: Sequence[int], dtype: str) -> int:
        """Return the node of a leaf (or tensor), the same one each time."""
        if path not in self._leaves:
            params = MappingProxyType({"shape": tuple(shape), "path": path})
            self._leaves[path] = self._new(Node("leaf", (), params, tuple(shape), dtype, self.line))
        return self._leaves[path]

    def constant(self, value: Any, dtype: str = "") -> int:
        """Return the node of an array or number that the program knows by itself."""
        array = np.asarray(value)
        name = dtype or str(array.dtype)
        if array.dtype.kind not in "biufc":
            array = array.astype(np.float64)
        if array.dtype.kind == "f":
            array = array.astype(np.float64)
        elif array.dtype.kind in "iu":
            array = array.astype(np.int64)
        return self._put(
            Node("constant", (), MappingProxyType({"value": array}), array.shape, name, self.line)
        )

    def gap(self, why: str, shape: Sequence[int], dtype: str, *operands: int) -> int:
        """Return a node for what nobody can follow; whatever depends on it is not known either."""
        self._gaps.append(why)
        params = {"shape": tuple(shape), "run": None, "name": why, "number": len(self._gaps)}
        return self._new(
            Node("call", operands, MappingProxyType(params), tuple(shape), dtype, self.line, self.word)
        )

    def shape(self, number: int) -> Shape:
        """Return the shape of a node."""
        return self._nodes[number].shape

    def dtype(self, number: int) -> str:
        """Return the dtype of a node, by name."""
        return self._nodes[number].dtype

    def known(self, number: int) -> Array | None:
        """Return the value of a node that depends on nothing that is given; None of any other."""
        node = self._nodes[number]
        return node.params["value"] if node.op == "constant" else None

    def _dtype(self, operands: Sequence[int]) -> str:
        """Return the widest kind among the operands: float before int before bool, of the first such."""
        names = [self.dtype(one) for one in operands]
        for kind in ("complex", "float", "bfloat", "int", "uint"):
            found = next((name for name in names if name.startswith(kind)), None)
            if found is not None:
                return found
        return names[0] if names else "float32"

    def _new(self, node: Node) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1

    def _put(self, node: Node) -> int:
        key = (node.op, node.operands, node.dtype, *map(_frozen, node.params.items()))
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = self._new(node)
        return number


def _frozen(value: Any) -> Any:
    """Return what tells a parameter from others."""
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes()
    if isinstance(value, tuple | list):
        return tuple(map(_frozen, value))
    return value
