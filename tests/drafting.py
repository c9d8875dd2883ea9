"""Small graphs for tests, written in a line or two, and what becomes of their leaves."""

import numpy as np

from ml_switcheroo.graph.graph import Draft
from ml_switcheroo.graph.matching.lockstep import match_graphs
from ml_switcheroo.graph.moving import moves_of


class Pen(Draft):
    """A graph in the making, with words for what tests need most."""

    def data(self, *shape):
        return self.input(shape, "float32")

    def weight(self, path, *shape):
        return self.leaf(path, shape, "float32")

    def product(self, data, leaf, axis=0):
        """Return rows times a matrix, one of whose axes is contracted."""
        return self.add("dot", data, leaf, contract=((len(self.shape(data)) - 1,), (axis,)), batch=((), ()))

    def plus(self, data, leaf):
        """Return rows with a vector added to each."""
        return self.add("add", data, self.row(data, leaf))

    def times(self, data, leaf):
        """Return rows with each multiplied by a vector."""
        return self.add("mul", data, self.row(data, leaf))

    def row(self, data, leaf):
        ones = (1,) * (len(self.shape(data)) - len(self.shape(leaf)))
        return self.add("reshape", leaf, shape=(*ones, *self.shape(leaf)))

    def part(self, data, start, stop):
        """Return some of the last axis."""
        shape = self.shape(data)
        lead = (0,) * (len(shape) - 1)
        return self.add("slice", data, start=(*lead, start), stop=(*shape[:-1], stop), step=(1,) * len(shape))

    def number(self, value):
        return self.constant(value, "float32")


def matched(source, target, *inputs):
    """Return the match of two graphs that are given the same."""
    return match_graphs(source, target, inputs, inputs)


def moves(source, target, *inputs):
    """Return the moves of two graphs as texts by leaf, and the leaves that are refused, with why."""
    found = matched(source, target, *inputs)
    shapes, leaves = (
        {path: graph.nodes[number].shape for path, number in graph.leaves.items()}
        for graph in (source, target)
    )
    drawn, refused = moves_of(found, shapes, leaves)
    return (
        {one.leaves: (one.sources, ", ".join(map(str, one.ops))) for one in drawn},
        {one.leaf: one.why for one in refused},
    )


def random(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape)
