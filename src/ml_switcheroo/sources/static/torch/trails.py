"""What is done to a parameter between its module and the operation it enters: values that carry their trail.

Here a tensor is one of two things: made of parameters, with what was done to them since, or *moving*: made of
what the model is given. Where the first meets the second, the parameter is used, and that is written down.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.values import Arguments, Instance, Maybe, OneOf, Repeat, Site, Value
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["GIVEN", "MOVING", "TRACED", "Step", "Traced", "Trail", "Used", "Writing", "step_of", "traced_in"]

TRACED = "traced"
"""The role of tensors that carry a trail: they are no state of anything."""

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done to a parameter.

    Attributes:
        word: ``plus`` or ``times`` a known number; ``turned`` (its two axes); ``shaped``, ``arranged`` or
            ``piece``, which change no value; ``other``; ``unsure`` where nobody knows what.
        amount: The number.
        text: The code, such as ``self.weight * self.mask``.
        where: ``file:line``.
    """

    word: str
    amount: float = 0.0
    text: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Trail:
    """A parameter, and what was done to it, in order."""

    tensor: Tensor
    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> Trail:
        """Return the trail with one more step."""
        return Trail(self.tensor, (*self.steps, step)[:_MOST])


_MOST = 12


@dataclass(slots=True, eq=False)
class Traced(Tensor):
    """A tensor with its trails: of the parameters it is made of, or moving.

    Attributes:
        trails: The parameters; none where it is moving.
        moving: Whether it depends on what the model is given.
        of: The layer that has just put it out, whatever constants it was multiplied by since.
        scaled: Those constants.
        given: Whether it is just what the module was given, but for those constants.
        times: The parameters that it has just been multiplied by.
    """

    trails: tuple[Trail, ...] = ()
    moving: bool = False
    of: Instance | None = None
    scaled: tuple[Step, ...] = ()
    given: bool = False
    times: tuple[Trail, ...] = ()

    @classmethod
    def made(cls, trails: tuple[Trail, ...]) -> Traced:
        """Return a tensor that is made of parameters."""
        return cls(None, TRACED, trails=tuple(dict.fromkeys(trails))[:_MOST])

    @classmethod
    def put_out(cls, of: Instance | None = None) -> Traced:
        """Return a moving tensor."""
        return cls(None, TRACED, moving=True, of=of)

    def then(self, step: Step) -> Traced:
        """Return the tensor with one more step on every trail."""
        return Traced.made(tuple(trail.then(step) for trail in self.trails)) if self.trails else self


MOVING = Traced.put_out()
"""Any tensor that depends on what the model is given: one object, so that alternatives of it are one."""

GIVEN = Traced(None, TRACED, moving=True, given=True)
"""What the module is given."""


@dataclass(frozen=True, slots=True)
class Used:
    """A parameter enters an operation with what the model is given.

    Attributes:
        trail: The parameter, and what was done to it before.
        word: The operation: ``linear``, ``conv``, ``scale``, ``bias``, ``right of @`` ...
        text: The code.
        where: ``file:line``.
    """

    trail: Trail
    word: str
    text: str
    where: str


@dataclass(slots=True)
class Writing:
    """What is written down while a ``forward`` is followed.

    Attributes:
        uses: Where parameters are used.
        calls: The layers of torch that are called.
        entries: What enters the operation of the module's own layer: whether it is just what the module is
            given, and the constants that it was multiplied by.
        returned: What ``forward`` has given.
        long: Whether it was too long to be followed to its end.
    """

    uses: list[Used] = field(default_factory=list)
    calls: list[Instance] = field(default_factory=list)
    entries: list[tuple[bool, tuple[Step, ...]]] = field(default_factory=list)
    returned: Value = None
    long: bool = False

    def use(self, machine: Machine, value: Value, word: str) -> None:
        """Write down that what a value is made of is used."""
        text, where = place_of(machine)
        for one in traced_in(value):
            self.uses += [Used(trail, word, text, where) for trail in one.trails]


def place_of(machine: Machine) -> tuple[str, str]:
    """Return the code that is being read, and ``file:line``."""
    site: Site | None = machine.site
    if site is None:
        return "", ""
    text = " ".join(ast.unparse(site.node).split()) if isinstance(site.node, ast.expr | ast.AugAssign) else ""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...", site.where


def step_of(machine: Machine, word: str, amount: float = 0.0) -> Step:
    """Return a step with the place that is being read."""
    return Step(word, amount, *place_of(machine))


def traced_in(value: Value) -> Iterator[Traced]:
    """Yield the tensors with trails that a value is, or holds; bare parameters come with an empty trail."""
    if isinstance(value, Traced):
        yield value
    elif isinstance(value, Tensor) and value.role == "parameter":
        yield Traced.made((Trail(value),))
    elif isinstance(value, OneOf):
        for one in value.choices:
            yield from traced_in(one)
    elif isinstance(value, Maybe | Repeat):
        yield from traced_in(value.value)
    elif isinstance(value, list | tuple):
        for one in value[:_ITEMS]:
            yield from traced_in(one)
    elif isinstance(value, dict):
        yield from traced_in(list(value.values()))
    elif isinstance(value, Arguments):
        yield from traced_in([*value.positional, *value.keyword.values()])


_ITEMS = 64
