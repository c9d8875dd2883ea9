"""One move: which tensors become which leaves, by which operations, and who decided it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ml_switcheroo.errors import AxesError, RuleError, UsageError, described
from ml_switcheroo.ops import Arrays, Axes, Op, Specs, op_from_json, op_to_json, run, trace
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Move", "spec_from_json", "spec_to_json"]


def literal(value: Any) -> str:
    """Write a value as Python does, with the quotes of JSON.

    >>> print(literal(["a", 1, {"b": True}]))
    ["a", 1, {"b": True}]
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # one line, whatever stands in it
    return repr(value)


def _words(ops: tuple[Op, ...]) -> Any:
    """Return operations as a rule takes them: an axis equation, or records."""
    if len(ops) == 1 and isinstance(ops[0], Axes) and not ops[0].sizes:
        return ops[0].equation
    return [op_to_json(op) for op in ops]


@dataclass(frozen=True, slots=True, repr=False)
class Move:
    """Some source tensors, the leaves they become, and how.

    Every source and every leaf belongs to at most one move of a plan, so that the inverses of the moves make
    the inverse of the plan. A move is also a rule that a user writes. Then single names and an axis equation
    may be plain strings, operations may be mappings as in a saved plan, and the specs come from the
    checkpoint. Names may have braces, as in a pattern; the move then holds for each tensor that they match.

    >>> Move("tok.weight", "embed.table", "vocab dim -> dim vocab").ops
    (Axes(equation='vocab dim -> dim vocab', sizes=()),)

    Attributes:
        sources: Names of the source tensors.
        leaves: Paths of the target leaves.
        ops: The operations, in order.
        inputs: Specs of the sources.
        outputs: Specs of the leaves.
        kind: Kind of the layer.
        origin: Who decided the kind: rules, live, static, target or evidence; settled if values did.
        reason: What decided it, for people.
        where: Its ``file:line``, if there is one.
    """

    sources: tuple[str, ...]
    leaves: tuple[str, ...]
    ops: tuple[Op, ...] = ()
    inputs: Specs = ()
    outputs: Specs = ()
    kind: str = "parameter"
    origin: str = "rules"
    reason: str = "a rule says so"
    where: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("sources", "leaves"):
            value = getattr(self, name)
            names = (value,) if isinstance(value, str) else value
            if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
                raise RuleError(f"Move: {name}= is {described(value)}; expected a name, or a list of names")
            object.__setattr__(self, name, tuple(names))
        ops: Any = self.ops
        if isinstance(ops, str):
            ops = (Axes(ops),) if ops else ()
        made = (op_from_json(op) if isinstance(op, Mapping) else op for op in ops)
        object.__setattr__(self, "ops", tuple(made))

    def bind(self, specs: Mapping[str, TensorSpec]) -> Move:
        """Return the move with the specs of a checkpoint.

        Raises:
            UsageError: A source is not there, or does not fit the operations.
        """
        absent = [name for name in self.sources if name not in specs]
        if absent:
            raise UsageError(f"{self}: not in the checkpoint: {', '.join(absent)}")
        inputs = tuple(specs[name] for name in self.sources)
        return replace(self, inputs=inputs, outputs=trace(self.ops, inputs)[-1])

    def __repr__(self) -> str:
        names = [one[0] if len(one) == 1 else list(one) for one in (self.sources, self.leaves)]
        return f"Move({', '.join(map(literal, [*names, *([_words(self.ops)] if self.ops else [])]))})"

    def __str__(self) -> str:
        return f"{', '.join(self.sources)} -> {', '.join(self.leaves)} ({self.what})"

    def __call__(self, arrays: Arrays) -> Arrays:
        """Return the leaves for the source arrays, both in the order of the move."""
        return run(self.ops, arrays)

    @property
    def exact(self) -> bool:
        """Whether the inverse gives back the same bits."""
        return all(op.exact for op in self.ops)

    @property
    def what(self) -> str:
        """The operations in words."""
        return ", ".join(map(str, self.ops)) or "as it is"

    def __invert__(self) -> Move:
        """Return the move back.

        Raises:
            UsageError: An operation has no inverse.
        """
        back: list[Op] = []
        stations = trace(self.ops, self.inputs)
        for op, specs in zip(self.ops, stations, strict=False):
            inverse = op.inverse(specs)
            if inverse is None:
                raise UsageError(f"{', '.join(self.sources)}: {op} has no inverse")
            back.insert(0, inverse)
        return Move(
            sources=self.leaves,
            leaves=self.sources,
            ops=tuple(back),
            inputs=self.outputs,
            outputs=self.inputs,
            kind=self.kind,
            origin=self.origin,
            reason=self.reason,
            where=self.where,
            notes=() if self.exact else (f"the same layer, not the same bits: {', '.join(map(str, back))}",),
        )

    def verify(self) -> None:
        """Trace the specs through the operations.

        Raises:
            AxesError: The leaves would not get the specs that the move promises.
        """
        found = trace(self.ops, self.inputs)[-1]
        if found != self.outputs:
            raise AxesError(f"{', '.join(self.leaves)}: expected {self.outputs}, found {found}")

    def to_json(self) -> dict[str, Any]:
        """Describe the move with JSON's types."""
        return {
            "sources": {
                name: spec_to_json(spec) for name, spec in zip(self.sources, self.inputs, strict=True)
            },
            "leaves": {
                path: spec_to_json(spec) for path, spec in zip(self.leaves, self.outputs, strict=True)
            },
            "ops": [op_to_json(op) for op in self.ops],
            "kind": self.kind,
            "origin": self.origin,
            "reason": self.reason,
            "where": self.where,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Move:
        """Make the move that :meth:`to_json` described, and verify it."""
        move = cls(
            sources=tuple(record["sources"]),
            leaves=tuple(record["leaves"]),
            ops=tuple(map(op_from_json, record["ops"])),
            inputs=tuple(map(spec_from_json, record["sources"].values())),
            outputs=tuple(map(spec_from_json, record["leaves"].values())),
            kind=record["kind"],
            origin=record["origin"],
            reason=record["reason"],
            where=record.get("where", ""),
            notes=tuple(record.get("notes", ())),
        )
        move.verify()
        return move


def spec_to_json(spec: TensorSpec) -> list[Any]:
    """Describe a spec: the dtype, then the shape."""
    return [spec.dtype, *spec.shape]


def spec_from_json(record: list[Any]) -> TensorSpec:
    """Make the spec that :func:`spec_to_json` described."""
    return TensorSpec(tuple(record[1:]), record[0])
