"""What the modules of a model compute without weights, as its source says."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from ml_switcheroo.computed import Computed, Pool, named, pool_of
from ml_switcheroo.computed.code import called
from ml_switcheroo.computed.words import attention_scale, is_attention, scale_of
from ml_switcheroo.sources.static.python.classes import lineage
from ml_switcheroo.sources.static.python.frames import Class, Function
from ml_switcheroo.sources.static.python.machine import Budget, Machine
from ml_switcheroo.sources.static.python.own_code import module_name
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    External,
    Instance,
    Partial,
    Raised,
    Value,
    known,
)
from ml_switcheroo.sources.static.reading.attempt import Attempt

__all__ = ["computed_of", "pools_of"]

Words = tuple[Computed, ...]

# The activation of a composite of torch.nn is an argument; without it the default.
_ACTIVATION = {
    name: External("torch.nn.functional.relu")
    for name in ("TransformerEncoderLayer", "TransformerDecoderLayer", "Transformer")
}
_STEPS = 100_000


def computed_of(attempt: Attempt) -> dict[str, Words]:
    """Return what each module of a reading computes, by path; of a module that may be several, nothing."""
    reader = _Reader(attempt.machine)
    attempt.machine.steps = _STEPS
    found: dict[str, Words] = {}
    for path, made in attempt.fit.modules.items():
        words = tuple(dict.fromkeys(reader.of_instance(made[0]))) if len(made) == 1 else ()
        if words:
            found[path] = words
    return found


def pools_of(attempt: Attempt) -> dict[str, Pool]:
    """Return the pools of a reading, by path; without arguments where nobody knows what they do."""
    found: dict[str, Pool] = {}
    for path, made in attempt.fit.modules.items():
        pool = pool_of(f"torch.nn.{made[0].base}", made[0].args) if made[0].base else None
        if pool is not None:
            certain = len(made) == 1 and not _is_own(made[0])
            found[path] = pool if certain else Pool(pool.kind, pool.rank, {})
    return found


def _is_own(made: Instance) -> bool:
    return any(isinstance(one, Class) and "forward" in one.attrs for one in lineage(made.cls))


class _Reader:
    """Reads each class and function once."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._read: dict[ast.AST, Words] = {}

    def of_instance(self, made: Instance) -> Iterator[Computed]:
        """Yield what a module computes by itself; its children are modules of their own."""
        args = {name: value for name, value in made.args.items() if known(value)}
        if made.base in _ACTIVATION:
            yield from self.of_value(_activation(made))
        elif made.base == "MultiheadAttention":
            yield from _attention(args)
        elif made.base:
            word = named(f"torch.nn.{made.base}", args if len(args) == len(made.args) else made.args)
            yield from [word] if word is not None else ()
        for one in lineage(made.cls):
            if isinstance(one, Class):
                yield from self.of_class(one)
        if is_attention(getattr(made.cls, "name", "")):
            yield from attention_scale({k: v for k, v in made.attrs.items() if isinstance(k, str)})
        for value in made.attrs.values():
            yield from self.of_value(value)

    def of_value(self, value: Value) -> Iterator[Computed]:
        """Yield what a function computes that a module holds."""
        if isinstance(value, External):
            word = named(value.name, {})
            yield from [word] if word is not None else ()
        elif isinstance(value, Partial) and isinstance(value.function, External):
            word = named(value.function.name, value.args.keyword)
            yield from [word] if word is not None else ()
        elif isinstance(value, Function):
            yield from self.of_function(value)

    def of_class(self, cls: Class) -> Iterator[Computed]:
        for value in cls.attrs.values():
            if isinstance(value, Function) and value.owner in (None, cls):
                yield from self.of_function(value)

    def of_function(self, function: Function) -> Words:
        if function.node not in self._read:
            holder = ast.Module(body=[], type_ignores=[])
            holder.body = [
                ast.Expr(function.node) if isinstance(function.node, ast.Lambda) else function.node
            ]
            found = called(holder, lambda dotted: self._resolved(function, dotted))
            self._read[function.node] = tuple(dict.fromkeys(found))
        return self._read[function.node]

    def _resolved(self, function: Function, dotted: str) -> str:
        """Return what a dotted name stands for, where that is a package that is not read."""
        head, *parts = dotted.split(".")
        if head in ("self", "?"):
            return ""
        try:
            value = module_name(self._machine, function.source, head)
            for part in parts:
                value = self._machine.read(value, part) if isinstance(value, External) else ABSENT
        except (Raised, Budget, RecursionError):
            return ""
        return value.name if isinstance(value, External) else ""


def _activation(made: Instance) -> Value:
    value = made.args.get("activation", _ACTIVATION[made.base])
    return External(f"torch.nn.functional.{value}") if isinstance(value, str) else value


def _attention(args: Mapping[str, Any]) -> Words:
    width, heads = args.get("embed_dim"), args.get("num_heads")
    return scale_of(width // heads) if isinstance(width, int) and isinstance(heads, int) and heads else ()
