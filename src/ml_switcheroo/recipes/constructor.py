"""How the layers of a target are made: which class, and how each argument of PyTorch's is spelled there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ml_switcheroo.recipes.compared import Difference, Lack
from ml_switcheroo.recipes.parts import NOTHING, Unsupported

__all__ = ["LEFT_OUT", "Also", "Aside", "Both", "Constructor", "Joint", "Made", "Name", "Needs", "Spelled"]


class Name(str):
    """A dotted name of the target's library: a function or a class, and no text."""

    __slots__ = ()


LEFT_OUT = Name("left out")
"""What an argument becomes that the target's class does not have."""


@dataclass(frozen=True, slots=True)
class Joint:
    """An argument of the target that several of PyTorch's make up.

    Attributes:
        args: The arguments in PyTorch; ``rank`` is the number of spatial axes.
        attribute: The argument of the target.
        convert: Its value for theirs, in that order; LEFT_OUT for none.
    """

    args: tuple[str, ...]
    attribute: str
    convert: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Needs:
    """What several arguments must be to one another, for the target's layer to do the same.

    Attributes:
        args: The arguments in PyTorch.
        holds: Tells whether it can be.
        why: Why it cannot where it does not hold.
    """

    args: tuple[str, ...]
    holds: Callable[..., bool]
    why: str


@dataclass(frozen=True, slots=True)
class Aside:
    """Arguments that the target's constructor does not take, and that its layer does not need to.

    Attributes:
        args: The arguments in PyTorch.
        note: What the code around the layer does instead; empty where they decide nothing of the output.
        plain: Tells whether there is nothing to do.
    """

    args: tuple[str, ...]
    note: str = ""
    plain: Callable[..., bool] = lambda *_: False


@dataclass(frozen=True, slots=True)
class Also:
    """A second layer that is made of the same arguments.

    Attributes:
        place: ``before`` or ``behind`` the layer; or the attribute of it that it is put in place of.
        constructor: How it is made.
        args: The arguments in PyTorch that decide whether it is needed.
        when: Tells whether it is.
    """

    place: str
    constructor: Constructor
    args: tuple[str, ...] = ()
    when: Callable[..., bool] = lambda *_: True


Spelled: TypeAlias = Difference | Joint | Lack | Needs | Aside | Also
"""What becomes of arguments of PyTorch's."""


@dataclass(frozen=True, slots=True)
class Both:
    """The layer that runs another one forwards and backwards, and joins what they give along the features.

    Attributes:
        cls: Its class, dotted.
        ways: Its arguments for the layer of each direction; one where it makes the other itself.
        given: Arguments that the code around it has.
    """

    cls: str
    ways: tuple[str, ...]
    given: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Constructor:
    """How a layer of a kind is made.

    Attributes:
        cls: The class, dotted; ``{rank}`` stands for the number of spatial axes.
        spelled: What becomes of each argument of PyTorch's.
        given: Arguments that the code around the layer has: ``rngs`` of Flax, ``key`` of JAX.
        inner: An argument that is a layer by itself, and how that is made: the cell of a recurrent layer.
        returns: How the class is used where a call does more or less than PyTorch's, for a person.
        both: Of a recurrent layer: what makes it read both ways; None where the framework has nothing.
    """

    cls: str
    spelled: tuple[Spelled, ...] = ()
    given: tuple[str, ...] = ()
    inner: Mapping[str, Constructor] = field(default_factory=lambda: NOTHING)
    returns: str = ""
    both: Both | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A layer of a target as data.

    Attributes:
        cls: The class, dotted; empty where it is several layers.
        arguments: Its arguments, all by name; a value is plain, a :class:`Name`, or another layer.
        given: Arguments beside, which the code around the layer has.
        also: Other layers that it needs, by place: ``before`` and ``behind`` it, or the attribute of it that
            gets them.
        notes: What the code around it has to do.
        layers: Where it is several layers, those, in the order that they are called in.
    """

    cls: str
    arguments: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    given: tuple[str, ...] = ()
    also: Mapping[str, Made] = field(default_factory=lambda: NOTHING)
    notes: tuple[str, ...] = ()
    layers: tuple[Made, ...] = ()


_NO_BACKWARDS = (
    "the framework has no layer that reads both ways: make one for each direction, hand the second one the"
    " steps in reverse, reverse what it gives, and join both along the features"
)
_IN_TURN = "it is a list of layers: call one after the other"
_DROPOUT = "it is a list of layers: call one after the other, with dropout {} between them in training"


def made_recurrent(constructor: Constructor, values: Mapping[str, Any]) -> Made | Unsupported:
    """Make a recurrent layer: one for each of PyTorch's layers, in something that reads both ways."""
    count, ways = values.get("num_layers", 1), 1 + bool(values.get("bidirectional"))
    if ways == 2 and constructor.both is None:
        return Unsupported(_NO_BACKWARDS)
    width = ways * (values.get("proj_size") or values["hidden_size"])
    layers: list[Made] = []
    for number in range(count):
        one = made(constructor, {**values, "input_size": width} if number else values, 0)
        if isinstance(one, Unsupported):
            return one
        layers.append(one if ways == 1 else _both(constructor.both, one))
    if count == 1:
        return layers[0]
    dropout = values.get("dropout")
    notes = (_DROPOUT.format(dropout) if dropout else _IN_TURN,)
    return Made("", notes=notes, layers=tuple(layers))


def _both(both: Both | None, one: Made) -> Made:
    assert both is not None
    return Made(both.cls, dict.fromkeys(both.ways, one), both.given, notes=one.notes)


def made(constructor: Constructor, values: Mapping[str, Any], rank: int) -> Made | Unsupported:
    """Make a layer of a target as data; or say why it cannot be.

    Args:
        constructor: How it is made.
        values: The value of each argument in PyTorch.
        rank: How many spatial axes the class has.
    """
    why = next(_refusals(constructor, values), None)
    if why is not None:
        return Unsupported(why)
    inner = {name: made(one, values, rank) for name, one in constructor.inner.items()}
    also = {
        one.place: made(one.constructor, values, rank)
        for one in constructor.spelled
        if isinstance(one, Also) and one.when(*(values.get(arg) for arg in one.args))
    }
    for other in (*inner.values(), *also.values()):
        if isinstance(other, Unsupported):
            return other
    return Made(
        constructor.cls.format(rank=rank),
        {**inner, **_arguments(constructor, values)},
        constructor.given,
        {place: other for place, other in also.items() if isinstance(other, Made)},
        tuple(_notes(constructor, values)),
    )


def _refusals(constructor: Constructor, values: Mapping[str, Any]) -> Iterator[str]:
    for one in constructor.spelled:
        if isinstance(one, Lack) and _lacks(one, values):
            cls = constructor.cls.format(rank=values.get("rank"))
            yield f"{one.arg} is {values[one.arg]!r}, and {cls} has {one.only!r} alone"
        elif isinstance(one, Needs) and not one.holds(*(values.get(arg) for arg in one.args)):
            yield one.why


def _arguments(constructor: Constructor, values: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for one in constructor.spelled:
        if isinstance(one, Difference):
            found[one.attribute] = one.convert(values.get(one.arg) if one.arg else None)
        elif isinstance(one, Joint):
            found[one.attribute] = one.convert(*(values.get(arg) for arg in one.args))
    return {name: value for name, value in found.items() if value is not LEFT_OUT}


def _notes(constructor: Constructor, values: Mapping[str, Any]) -> Iterator[str]:
    if constructor.returns:
        yield constructor.returns
    for one in constructor.spelled:
        if isinstance(one, Aside) and one.note and not one.plain(*(values.get(arg) for arg in one.args)):
            yield one.note


def _lacks(one: Lack, values: Mapping[str, Any]) -> bool:
    """Tell whether an argument has not the target's only value; one number stands for that of each axis."""
    value = values.get(one.arg, one.only)
    if one.beside and not any(_each(values.get(one.beside))):
        return False
    several = isinstance(value, tuple) and not isinstance(one.only, tuple)
    return any(each != one.only for each in value) if several else bool(value != one.only)


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
