"""A graph as a sketch: operations of one layer, or of one call, are one step."""

from __future__ import annotations

from dataclasses import dataclass, field

from ml_switcheroo.graph.graph import Graph, Node
from ml_switcheroo.sketch import Sketch, Step

__all__ = ["sketch_of"]

_LAYOUT = {"transpose", "reshape", "cast", "broadcast"}
"""Operations that only lay data out otherwise; they belong to what is laid out."""


def sketch_of(graph: Graph) -> Sketch:
    """Return what a program does, layer by layer.

    An operation goes on with the step that it takes its data from, if the program calls both the same in one
    line, or if leaves of one module enter both.
    """
    sketcher = _Sketcher(graph)
    for number in range(len(graph.nodes)):
        sketcher.add(number)
    return sketcher.sketch()


@dataclass(slots=True)
class _Open:
    """A step in the making; its attributes are those of ``Step``."""

    nodes: list[Node]
    leaves: dict[str, None] = field(default_factory=dict)
    takes: dict[int, None] = field(default_factory=dict)
    what: str = ""

    @property
    def modules(self) -> set[str]:
        return {path.rpartition(".")[0] or path.rpartition("/")[0] or path for path in self.leaves}


class _Sketcher:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._steps: list[_Open] = []
        self._of: dict[int, int] = {}  # the step of each node that depends on an input
        self._leaves: dict[int, tuple[str, ...]] = {}  # the leaves behind each of the others

    def add(self, number: int) -> None:
        node = self._graph.nodes[number]
        if node.op == "input":
            self._begin(number, _Open([node], what=f"input {self._graph.inputs.index(number)}"))
            return
        before = sorted({self._of[one] for one in node.operands if one in self._of})
        leaves = dict.fromkeys(path for one in node.operands for path in self._leaves.get(one, ()))
        if not before:
            own = [node.params["path"]] if node.op == "leaf" else []
            self._leaves[number] = (*own, *leaves)
            return
        new = _Open([node], leaves, dict.fromkeys(before))
        # Only the last one: a step takes from those before it.
        last = self._steps[before[-1]]
        if self._goes_on(last, new):
            last.nodes.append(node)
            last.leaves.update(leaves)
            last.takes.update(dict.fromkeys(before[:-1]))
            self._of[number] = before[-1]
        else:
            self._begin(number, new)

    def _begin(self, number: int, step: _Open) -> None:
        self._of[number] = len(self._steps)
        self._steps.append(step)

    def _goes_on(self, last: _Open, new: _Open) -> bool:
        node, before = new.nodes[0], last.nodes[-1]
        if before.op == "input":
            return False
        if node.op in _LAYOUT and not new.leaves:
            return True
        if node.word or any(one.word for one in last.nodes):
            return (node.word, node.line) == (before.word, before.line)
        if new.leaves or last.leaves:
            return not new.modules.isdisjoint(last.modules)
        return node.line == before.line

    def sketch(self) -> Sketch:
        gives = dict.fromkeys(self._of[one] for one in self._graph.outputs if one in self._of)
        steps = tuple(self._step(step) for step in self._steps)
        return Sketch(steps, tuple(gives), sum(bool(node.operands) for node in self._graph.nodes))

    def _step(self, step: _Open) -> Step:
        said = [node for node in step.nodes if node.op not in _LAYOUT] or step.nodes
        ops = tuple(dict.fromkeys(node.op for node in said if node.operands))
        word = next((node.word for node in step.nodes if node.word), "")
        what = step.what or word or ", ".join(sorted(step.modules)) or ", ".join(ops)
        line = next((str(node.line) for node in step.nodes if node.line), "")
        return Step(what, ops, step.nodes[-1].shape, line, tuple(step.leaves), tuple(sorted(step.takes)))
