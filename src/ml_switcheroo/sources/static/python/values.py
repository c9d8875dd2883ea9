"""What an expression of the model's source can be, when it is read and not run.

A value that is known is itself: an ``int``, a ``str``, a ``tuple``, a ``list`` of values. What Python
has and a reader cannot hold gets a class: functions, classes, instances. What a package that is not read
makes is :class:`Foreign`: the shelf above says what that is.
What is not known is :class:`Unknown`; what is one of several things is :class:`OneOf`.
"""

from __future__ import annotations

import ast
import enum
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ml_switcheroo.sources.static.python.mappings import OpenDict
from ml_switcheroo.sources.static.python.marks import Marks
from ml_switcheroo.sources.static.python.value import Value

if TYPE_CHECKING:
    from ml_switcheroo.code.library import Source

__all__ = [
    "ABSENT",
    "JOINED",
    "MOST",
    "UNKNOWN",
    "Absent",
    "Arguments",
    "Bound",
    "Builtin",
    "External",
    "Foreign",
    "Instance",
    "Maybe",
    "Measure",
    "Names",
    "OneOf",
    "Partial",
    "Raised",
    "Repeat",
    "Site",
    "Text",
    "Unknown",
    "Value",
    "contents",
    "join",
    "known",
    "next_serial",
    "options",
    "same",
]

T = TypeVar("T")

next_serial = itertools.count(1).__next__
"""Numbers what a reading makes, in order."""

MOST = 12
"""How many alternatives a value may have before it counts as unknown."""

JOINED: dict[type, Callable[[list[Any]], Value | None]] = {}
"""By type, how several values become one; None where they do not. Who gives a type its meaning adds it."""


class Absent(enum.Enum):
    """Type of :data:`ABSENT`: the attribute, item or name may not be there at all."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value nobody can tell. Two unknowns with the same (non-empty) symbol are the same value."""

    symbol: str = ""


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True, eq=False)
class OneOf:
    """A value that is one of several, depending on something unknown."""

    choices: tuple[Value, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Maybe:
    """An item of a list that may be missing."""

    value: Value


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """An item of a list that stands for any number of such items; ``count`` is the symbol of how many."""

    value: Value
    count: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A string that is known in part (None: any text), such as ``f"layer{i}"``."""

    parts: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class External:
    """Something of a package that is not read, by its dotted name: ``numpy.prod``."""

    name: str


class Foreign:
    """What a package makes that is not read, such as an array.

    The shelf that derives from it says in the tables what such a value is to operators, loops and calls.
    Neither its truth nor what it equals is known; ``-x`` and the like give such a value again.
    """

    __slots__ = ()

    def copied(self) -> Foreign:
        """Return what ``copy.deepcopy`` gives."""
        raise NotImplementedError

    def made_again(self, inside: Callable[[Value], Value], first: int) -> Foreign | None:
        """Return what a constructor would make that runs once more; None where that is not known.

        Args:
            inside: Returns the same for a value that this one holds.
            first: The serial of the first thing that the constructor has made.
        """
        raise NotImplementedError


class Measure:
    """A number that nobody knows, measured on what a package makes. Equal ones are the same number."""

    __slots__ = ()


class Raised(Exception):  # a value of the program that is read, not an error of this one
    """An exception of the program that is read."""

    def __init__(self, kind: str, text: str = "", *, meant: bool = False) -> None:
        self.kind = kind
        self.meant = meant  # by a statement of the program
        super().__init__(f"{kind}: {text}" if text else kind)


@dataclass(slots=True)
class Arguments:
    """The arguments of a call; open where ``*unknown`` or ``**unknown`` was passed."""

    positional: list[Value] = field(default_factory=list)
    keyword: dict[str, Value] = field(default_factory=dict)
    open_positional: bool = False
    open_keyword: bool = False

    def get(self, index: int, name: str, default: Value = None) -> Value:
        """Return one argument by position or name."""
        if index < len(self.positional):
            return self.positional[index]
        if name in self.keyword:
            return self.keyword[name]
        opened = self.open_keyword or self.open_positional
        return UNKNOWN if opened else default

    def owner(self, kind: type[T]) -> T:
        """Return the object whose method is called.

        Raises:
            Raised: TypeError, where it is none of that kind.
        """
        first = self.positional[0] if self.positional else None
        if not isinstance(first, kind):
            raise Raised("TypeError", f"not a method of {type(first).__name__}")
        return first

    def after(self, first: Value) -> Arguments:
        """Return the same arguments with one more in front."""
        return Arguments([first, *self.positional], self.keyword, self.open_positional, self.open_keyword)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Site:
    """A place in a source file."""

    source: Source
    node: ast.expr | ast.stmt

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.source.label}:{self.node.lineno}"


@dataclass(slots=True, eq=False, repr=False)
class Instance:
    """An instance of a class: of the user's own, of a package's (``cls`` is External), or of both.

    Attributes:
        cls: A :class:`Class` or an :class:`External`.
        attrs: Attributes by name; a key may be a :class:`Text`.
        items: Children named by position, None for what is no such container.
        base: The class of a package that is not read whose constructor ran, by the name its shelf knows.
        args: The arguments of that constructor, by name.
        args_open: Whether it may have had more arguments.
        slots: What that constructor made and somebody has asked for, by name.
        site: Where the instance is made.
        marks: Facts about it that are no attributes, and that the program may change.
        uses: What the program does with it, as far as the shelf above has followed that.
        open: Whether it may hold more than could be read.
    """

    cls: Value
    attrs: dict[Any, Value] = field(default_factory=dict)
    items: list[Value] | None = None
    base: str = ""
    args: dict[str, Value] = field(default_factory=dict)
    args_open: bool = False
    slots: dict[str, Foreign] = field(default_factory=dict)
    site: Site | None = None
    marks: Marks = field(default_factory=Marks)
    uses: Any = None
    open: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """A function with its ``self`` (or ``cls``)."""

    function: Value
    owner: Value


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """``functools.partial``."""

    function: Value
    args: Arguments


@dataclass(frozen=True, slots=True)
class Names:
    """The dictionary of a module's names: ``models.__dict__``."""

    source: Source


@dataclass(frozen=True, slots=True, eq=False)
class Builtin:
    """A function that this reader knows by itself; of a property, ``setter`` is what sets it."""

    name: str
    run: Callable[..., Value]
    owner: Value = None
    setter: Value = None


def options(value: Value) -> tuple[Value, ...]:
    """Return the alternatives of a value: itself, unless it is a :class:`OneOf`."""
    return value.choices if isinstance(value, OneOf) else (value,)


def contents(value: Value) -> Value:
    """Return the dictionary that an instance of a subclass of dict is; any other value as it is."""
    held = value.marks.contents if isinstance(value, Instance) else None
    return value if held is None else held


_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), Absent)


def same(left: Value, right: Value) -> bool:
    """Tell whether two values are certainly the same."""
    if left is right:
        return not (isinstance(left, Unknown) and not left.symbol)
    if type(left) is not type(right):
        return False
    if isinstance(left, Unknown):
        return bool(left.symbol) and left == right
    if isinstance(left, (*_PLAIN, External, Text, Measure)):
        return bool(left == right)
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Bound) and isinstance(right, Bound):
        return left.function is right.function and left.owner is right.owner
    return False


def join(values: Iterable[Value]) -> Value:
    """Return the value that is one of ``values``."""
    listed = list(values)
    if len(listed) == 1 and not isinstance(listed[0], OneOf):
        return listed[0]
    found: list[Value] = []
    for value in itertools.chain.from_iterable(map(options, listed)):
        if isinstance(value, Unknown) and not value.symbol:
            return UNKNOWN
        if not any(same(value, other) for other in found):
            found.append(value)
            if len(found) > MOST and not isinstance(value, Foreign):
                return UNKNOWN
    if len(found) == 1:
        return found[0]
    run = JOINED.get(type(found[0])) if found else None
    whole = run(found) if run is not None else None
    if whole is not None:
        return whole
    return OneOf(tuple(found)) if 0 < len(found) <= MOST else UNKNOWN


def known(value: Value) -> bool:
    """Tell whether a value is a plain Python value through and through."""
    if isinstance(value, _PLAIN):
        return value is not ABSENT
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(known, value))
    if isinstance(value, OpenDict):
        return False
    if isinstance(value, Mapping):
        return all(known(key) and known(item) for key, item in value.items())
    if isinstance(value, slice):
        return known((value.start, value.stop, value.step))
    return isinstance(value, range)
