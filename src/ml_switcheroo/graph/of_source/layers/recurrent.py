"""Recurrent layers and cells, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.layers.called import Called
from ml_switcheroo.graph.of_source.operations.joining import stack
from ml_switcheroo.graph.of_source.operations.products import linear
from ml_switcheroo.graph.of_source.operations.shapes import unbind
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["RECURRENT"]

State = tuple[Drawn, ...]


class _Cell:
    """One layer in one direction: its tensors, and one step."""

    def __init__(self, called: Called, kind: str, suffix: str) -> None:
        self.pen, self.kind = called.pen, kind
        self.into, self.back = called.weight(f"weight_ih{suffix}"), called.weight(f"weight_hh{suffix}")
        self.out = called.slot(f"weight_hr{suffix}") if kind == "lstm" and suffix else None
        self.biases = [called.slot(f"bias_ih{suffix}"), called.slot(f"bias_hh{suffix}")]
        self.hidden = self.back.shape[0] // {"lstm": 4, "gru": 3}.get(kind, 1)
        plain = kind == "rnn"
        self.active = (
            {"tanh": "tanh", "relu": "max"}[called.argument("nonlinearity", "tanh")] if plain else ""
        )

    def start(self, batch: int) -> State:
        """Return a state of zeros."""
        pen, width = self.pen, self.back.shape[1]
        zeros = pen.full((batch, width), 0.0, self.back.dtype)
        return (
            (zeros, pen.full((batch, self.hidden), 0.0, self.back.dtype)) if self.kind == "lstm" else (zeros,)
        )

    def prepared(self, x: Drawn) -> Drawn:
        """Return what the inputs of all steps add to the gates."""
        found = linear(self.pen, x, self.into)
        if self.kind == "gru":
            return found if self.biases[0] is None else found + self.biases[0]
        bias = self.bias
        return found if bias is None else found + bias

    @property
    def bias(self) -> Drawn | None:
        """Both biases, added to each other."""
        one, other = self.biases
        return other if one is None else one if other is None else one + other

    def step(self, x: Drawn, state: State) -> State:
        """Return the state behind a step whose input has been prepared."""
        pen = self.pen
        seen = linear(pen, state[0], self.back)
        if self.kind == "lstm":
            return self._lstm(x + seen, state)
        if self.kind == "gru":
            seen = seen if self.biases[1] is None else seen + self.biases[1]
            return (self._gru(x, seen, state[0]),)
        total = x + seen
        return (pen.each("max", total, 0.0) if self.active == "max" else pen.each("tanh", total),)

    def _lstm(self, gates: Drawn, state: State) -> State:
        pen = self.pen
        into, forget, cell, out = self._parts(gates, 4)
        kept = pen.each("logistic", forget) * state[1]
        cell = kept + pen.each("logistic", into) * pen.each("tanh", cell)
        hidden = pen.each("logistic", out) * pen.each("tanh", cell)
        return (hidden if self.out is None else linear(pen, hidden, self.out)), cell

    def _gru(self, x: Drawn, seen: Drawn, hidden: Drawn) -> Drawn:
        pen = self.pen
        mine, theirs = self._parts(x, 3), self._parts(seen, 3)
        reset = pen.each("logistic", mine[0] + theirs[0])
        update = pen.each("logistic", mine[1] + theirs[1])
        new = pen.each("tanh", mine[2] + reset * theirs[2])
        return (1.0 - update) * new + update * hidden

    def _parts(self, gates: Drawn, count: int) -> list[Drawn]:
        axis, size = gates.rank - 1, self.hidden
        return [self.pen.slice(gates, axis, part * size, (part + 1) * size) for part in range(count)]


def _layers(kind: str) -> Callable[[Called], Any]:
    def run(called: Called) -> Any:
        pen, x = called.pen, called.input
        single = x.rank == 2
        first = bool(called.argument("batch_first")) and not single
        x = pen.insert(x, 1) if single else pen.transpose(x, (1, 0, 2)) if first else x
        ways = ["", "_reverse"] if called.argument("bidirectional") else [""]
        start = _start(called, single)
        last: list[State] = []
        for layer in range(called.argument("num_layers")):
            outs = []
            for way in ways:
                cell = _Cell(called, kind, f"_l{layer}{way}")
                state = cell.start(x.shape[1]) if start is None else tuple(part[len(last)] for part in start)
                steps, state = _unrolled(pen, cell, x, state, turned=bool(way))
                outs.append(steps)
                last.append(state)
            x = pen.concat(outs, x.rank - 1)
        states = [stack(pen, list(parts)) for parts in zip(*last, strict=True)]
        if single:
            x, states = (
                pen.reshape(x, (x.shape[0], x.shape[2])),
                [pen.reshape(one, (one.shape[0], one.shape[2])) for one in states],
            )
        x = pen.transpose(x, (1, 0, 2)) if first else x
        return x, (tuple(states) if kind == "lstm" else states[0])

    return run


def _start(called: Called, single: bool) -> list[Sequence[Drawn]] | None:
    """Return the states to start with, for each layer and direction; None where they are zeros."""
    given = called.given(1, "hx")
    if given is None:
        return None
    parts = list(given) if isinstance(given, tuple | list) else [given]
    if not all(isinstance(one, Drawn) for one in parts):
        raise Unlowered("the state that a recurrent layer starts with is not known")
    return [unbind(called.pen, called.pen.insert(one, 1) if single else one) for one in parts]


def _unrolled(pen: Pen, cell: _Cell, x: Drawn, state: State, *, turned: bool) -> tuple[Drawn, State]:
    steps: list[Drawn] = []
    prepared = unbind(pen, cell.prepared(x))
    for one in prepared[::-1] if turned else prepared:
        state = cell.step(one, state)
        steps.append(state[0])
    return stack(pen, steps[::-1] if turned else steps), state


def _cell(kind: str) -> Callable[[Called], Any]:
    def run(called: Called) -> Any:
        pen, x = called.pen, called.input
        single = x.rank == 1
        x = pen.insert(x, 0) if single else x
        cell = _Cell(called, kind, "")
        given = called.given(1, "hx")
        state = (
            cell.start(x.shape[0])
            if given is None
            else tuple(given)
            if isinstance(given, tuple | list)
            else (given,)
        )
        state = tuple(pen.insert(one, 0) if one.rank == 1 else one for one in state)
        found = cell.step(cell.prepared(x), state)
        found = tuple(pen.reshape(one, one.shape[1:]) for one in found) if single else found
        return found if kind == "lstm" else found[0]

    return run


RECURRENT: Mapping[str, Callable[[Called], Any]] = {
    **{kind: _layers(kind) for kind in ("rnn", "lstm", "gru")},
    **{f"{kind}_cell": _cell(kind) for kind in ("rnn", "lstm", "gru")},
}
"""By kind."""
