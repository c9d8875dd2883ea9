"""Which tensors of a program may share their storage: what changes in one of them changes in the others.

The reader takes a tensor for the axes it has, so ``relu(x)`` is ``x`` to it, and ``x.view(-1)`` another one.
Where storage is of interest it is the other way round. The tables of a machine are exchanged for a while:
each result is a tensor of its own, and shares its storage as the row of the operation says.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ml_switcheroo.operations import Storage, operation
from ml_switcheroo.sources.static.python.frames import Frame
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.tables import Reader, Tables
from ml_switcheroo.sources.static.python.values import (
    JOINED,
    Arguments,
    Builtin,
    Instance,
    Maybe,
    OneOf,
    Repeat,
    Unknown,
    Value,
    next_serial,
)
from ml_switcheroo.sources.static.torch.given import Given
from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = ["Storages", "following_storage"]

_DEEPEST = 4

_SHARING = frozenset(("Identity", "Flatten", "Unflatten"))
"""Layers that may give what they are given, as those that only do something in training."""


class Storages:
    """What each tensor shares its storage with, as numbers of storages."""

    def __init__(self) -> None:
        self._of: dict[int, frozenset[int]] = {}
        self.changing = False  # whether an operator changes its left side: ``x += y``

    def of(self, value: Value) -> frozenset[int]:
        """Return the storages of the tensors that a value is or holds."""
        found: frozenset[int] = frozenset()
        for tensor in tensors_in(value):
            found |= self._of.get(tensor.serial, frozenset((tensor.serial,)))
        return found

    def shared(self, result: Value, given: Value) -> Value:
        """Note that a result may have the storage of what was given; return it."""
        before = self.of(given)
        for tensor in tensors_in(result) if before else ():
            self._of[tensor.serial] = self._of.get(tensor.serial, frozenset()) | before
        return result

    def settled(self, result: Value, given: list[Value], storage: Storage) -> Value:
        """Return a result as a tensor of its own, or one that shares what it was given."""
        if storage is not Storage.NEW:
            return self.shared(result, given[:1] if storage is Storage.IN_PLACE else given)
        before = {tensor.serial for tensor in tensors_in(given)}
        return _own(result, before)


def _own(result: Value, before: set[int]) -> Value:
    if isinstance(result, Tensor):
        passed = result.serial in before and not result.role
        return replace(result, serial=next_serial()) if passed else result
    if isinstance(result, tuple):
        return tuple(_own(one, before) for one in result)
    if isinstance(result, OneOf):
        return OneOf(tuple(_own(one, before) for one in result.choices))
    return result


def tensors_in(value: Value, depth: int = 0) -> Iterator[Tensor]:
    """Yield the tensors that a value is or holds."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Maybe | Repeat):
        yield from tensors_in(value.value, depth)
    elif depth < _DEEPEST:
        for one in _held(value):
            yield from tensors_in(one, depth + 1)


def _held(value: Value) -> list[Value]:
    if isinstance(value, OneOf):
        return list(value.choices)
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, Arguments):
        return [*value.positional, *value.keyword.values()]
    return []


@contextmanager
def following_storage(machine: Machine) -> Iterator[Storages]:
    """Follow which tensors share their storage, as far as a program is read meanwhile."""
    storages, before, joined = Storages(), machine.tables, JOINED[Tensor]

    def together(tensors: list[Any]) -> Value | None:
        found = joined(tensors)
        return found if found is None else storages.shared(found, tensors)

    machine.tables, JOINED[Tensor] = _Followed(before, storages).tables(), together
    try:
        yield storages
    finally:
        machine.tables, JOINED[Tensor] = before, joined


class _Followed:
    """What the rows of the tables do, with the storage of each result."""

    def __init__(self, before: Tables[Machine], storages: Storages) -> None:
        self._before = before
        self._storages = storages

    def tables(self) -> Tables[Machine]:
        before, reading = self._before, self._while
        binary, changing = reading(before.expressions[ast.BinOp], False), before.statements[ast.AugAssign]
        unknown = dict.fromkeys((Tensor, Unknown), self._unknown)
        return replace(
            before,
            expressions={**before.expressions, ast.BinOp: binary, ast.UnaryOp: self._negate},
            statements={**before.statements, ast.AugAssign: reading(changing, True)},
            calls={**before.calls, **unknown},
            readers={**before.readers, Tensor: self._read},
            operators={**before.operators, Tensor: self._operate},
            subscripts={Tensor: self._subscript},
            items={Tensor: self._items},
            unpacked={**before.unpacked, Tensor: self._unpacked},
            widened={Tensor: self._widened},
            outside=replace(before.outside, call=self._call, call_instance=self._forward),
        )

    def _read(self, machine: Machine, tensor: Tensor, name: str) -> Value:
        found = self._before.readers[Tensor](machine, tensor, name)
        if not isinstance(found, Builtin):
            return self._storages.shared(found, tensor)
        row = operation(name, method=True)
        storage = row.storage if row is not None else Storage.MAYBE

        def run(machine: Machine, args: Arguments) -> Value:
            return self._storages.settled(found.run(machine, args), [tensor, args], storage)

        return replace(found, run=run)

    def _call(self, machine: Machine, name: str, args: Arguments) -> Value:
        row = operation(name)
        storage = row.storage if row is not None else Storage.MAYBE
        if row is not None and any(one.name == "inplace" for one in row.parameters):
            storage = storage if Given(row, args, 0)["inplace"] is False else Storage.MAYBE
        return self._storages.settled(self._before.outside.call(machine, name, args), [args], storage)

    def _forward(self, machine: Machine, layer: Instance, args: Arguments) -> Value:
        found = self._before.outside.call_instance(machine, layer, args)
        if layer.base in ("", "Sequential"):  # what its children give has been settled
            return found
        may = layer.base in _SHARING or "Dropout" in layer.base
        kept = not may and layer.args.get("inplace", False) is False
        return self._storages.settled(found, [args], Storage.NEW if kept else Storage.MAYBE)

    def _unknown(self, machine: Machine, function: Value, args: Arguments) -> Value:
        return self._storages.shared(self._before.calls[type(function)](machine, function, args), args)

    def _operate(self, machine: Machine, op: type, left: Value, right: Value) -> Value:
        found = self._before.operators[Tensor](machine, op, left, right)
        if self._storages.changing and isinstance(left, Tensor):
            return self._storages.shared(found, left)
        return self._storages.settled(found, [left, right], Storage.NEW)

    def _subscript(self, machine: Machine, tensor: Tensor, index: Value) -> Value:
        return self._storages.shared(self._before.subscripts[Tensor](machine, tensor, index), tensor)

    def _items(self, machine: Machine, tensor: Tensor) -> list[Value] | None:
        return self._several(self._before.items[Tensor](machine, tensor), tensor)

    def _unpacked(self, tensor: Tensor, count: int) -> list[Value] | None:
        return self._several(self._before.unpacked[Tensor](tensor, count), tensor)

    def _several(self, found: list[Value] | None, tensor: Tensor) -> list[Value] | None:
        self._storages.shared(found, tensor)
        return found

    def _widened(self, before: Tensor, after: Value) -> Value:
        found = self._before.widened[Tensor](before, after)
        return found if found is NotImplemented else self._storages.shared(found, [before, after])

    def _negate(self, machine: Machine, node: ast.UnaryOp, frame: Frame) -> Value:
        found = self._before.expressions[ast.UnaryOp](machine, node, frame)
        return self._storages.settled(found, [found], Storage.NEW)

    def _while(self, read: Reader[Machine], changing: bool) -> Reader[Machine]:
        """Read something while operators change their left side, or do not."""

        def run(machine: Machine, node: Any, frame: Frame) -> Any:
            before, self._storages.changing = self._storages.changing, changing
            try:
                return read(machine, node, frame)
            finally:
                self._storages.changing = before

        return run
