"""A program as a graph: what each operation takes and gives, and the line that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ml_switcheroo.graph.nodes import Line, Node, Nodes
from ml_switcheroo.graph.simpler import simpler

__all__ = ["Draft", "Graph", "Line", "Node"]


@dataclass(frozen=True, slots=True)
class Graph:
    """What a program computes. Each node comes after those that it takes.

    Attributes:
        nodes: The operations.
        inputs: The nodes that are what the program is given, in the order of its arguments.
        leaves: The nodes that are leaves (of a target) or tensors (of a state dict), by path or name.
        outputs: The nodes that the program gives, in order.
        gaps: What could not be followed, as sentences; the nodes behind it are ``call`` without a function.
        names: What each output is called; empty where its place says which one it is.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    leaves: Mapping[str, int]
    outputs: tuple[int, ...]
    gaps: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"  {path} {list(self.nodes[number].shape)}" for path, number in self.leaves.items()]
        heads = [f"{len(self.nodes)} nodes, {len(lines)} leaves", *lines]
        steps = [f"  {self._step(number)}" for number, node in enumerate(self.nodes) if node.operands]
        ends = [f"gives {', '.join(map(self._name, self.outputs))}", *(f"gap: {gap}" for gap in self.gaps)]
        return "\n".join([*heads, *steps, *ends])

    def _step(self, number: int) -> str:
        node = self.nodes[number]
        said = f"{node.word} ({node.line})" if node.word and node.line else node.word or str(node.line or "")
        given = ", ".join(map(self._name, node.operands))
        return f"%{number} = {node.op}({given}) {list(node.shape)}  {said}".rstrip()

    def _name(self, number: int) -> str:
        node = self.nodes[number]
        if node.op == "leaf":
            return str(node.params["path"])
        if node.op == "input":
            return f"input {self.inputs.index(number)}"
        if node.op == "constant":
            value = node.params["value"]
            return f"{value.flat[0]:g}" if value.size == 1 else f"constant {list(value.shape)}"
        return f"%{number}"


@dataclass(slots=True)
class Draft(Nodes):
    """A graph in the making: what several primitives can say is added in one way."""

    def _simpler(
        self, op: str, operands: tuple[int, ...], params: Mapping[str, Any], shape: tuple[int, ...]
    ) -> int | None:
        return simpler(self, op, operands, params, shape)

    def finished(self, outputs: Sequence[int], names: Sequence[str] = ()) -> Graph:
        """Return the graph that gives these nodes, some of them under names."""
        return Graph(
            tuple(self._nodes),
            tuple(self._inputs),
            MappingProxyType(dict(self._leaves)),
            tuple(outputs),
            tuple(dict.fromkeys(self._gaps)),
            tuple(names) or ("",) * len(outputs),
        )
