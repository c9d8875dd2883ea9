"""What a row says of an operation."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["REQUIRED", "Axes", "Elements", "Operation", "Parameter", "Storage"]


class Axes(Enum):
    """What becomes of the axes, and with them of the shape."""

    SAME = "each axis stays"
    BROADCAST = "those of two tensors, element by element"
    CHOSEN = "those of two tensors, by a third"
    REDUCED = "those of dim are gone, or of size 1 with keepdim"
    EXTREME = "as reduced, with places beside; of two tensors, those of both"
    RESHAPED = "others, of the given sizes"
    AS_OTHER = "those of another tensor"
    FLATTENED = "start_dim to end_dim become one"
    UNFLATTENED = "dim becomes several"
    SQUEEZED = "those of size 1 are gone"
    UNSQUEEZED = "there is one more, of size 1"
    EXPANDED = "those of size 1 have another size"
    REPEATED = "each is so many times as long"
    INTERLEAVED = "each element of dim comes several times"
    PERMUTED = "they change places"
    TRANSPOSED = "two change places"
    MOVED = "one changes its place"
    TURNED = "the last two change places"
    ROLLED = "they stay, and their elements change places"
    CHUNKED = "dim is cut into so many parts"
    SPLIT = "dim is cut into parts of these sizes"
    UNBOUND = "dim is gone: a tensor for each element"
    NARROWED = "dim is shorter"
    SELECTED = "dim is gone"
    PICKED = "dim has the elements of an index"
    JOINED = "dim is as long as those of all tensors"
    STACKED = "tensors are put side by side"
    MULTIPLIED = "those of a product of matrices"
    ADDED_PRODUCT = "those of a product of matrices, with something added"
    SUMMED = "those of the equation"
    LINEAR = "the last one is the output's"
    LOOKED_UP = "there is one more, of features"
    ATTENDED = "the places of the queries, the features of the values"
    CONVOLVED = "the channels are others, the spatial ones behind a window"
    POOLED = "the spatial ones behind a window"
    ADAPTED = "the spatial ones have the given sizes"
    RESIZED = "the spatial ones have other sizes"
    PADDED = "the last ones are longer"
    SHUFFLED = "channels become places"
    UNSHUFFLED = "places become channels"
    SLID = "dim becomes windows, and places in them"
    UNFOLDED = "channels and places of each window become one"
    FOLDED = "windows become places"
    HALVED = "dim is half as long"
    PATTERN = "those of the pattern"
    PACKED = "padded steps become packed ones, or the way back"
    MADE = "the given sizes: it takes no tensor"
    LIKE = "as those of a tensor, whose values do not matter"
    NONE = "it gives no tensor"
    OTHER = "something else"


class Storage(Enum):
    """Whose storage the result has."""

    NEW = "its own"
    VIEW = "that of what it is given"
    MAYBE = "its own, or that of what it is given"
    IN_PLACE = "its own, changed"


class Elements(Enum):
    """What becomes of the elements."""

    KEPT = "they are what and where they were"
    ARRANGED = "they are what they were, elsewhere"
    EACH = "each is a function of what it was"
    ACTIVATED = "each is a function of what it was, and that of an activation"
    DROPPED = "as before, but in training"
    NORMED = "each is scaled by what all are together"
    ALONG = "each depends on all along an axis"
    MIXED = "each depends on several"
    SET = "they are others"
    ASIDE = "they do not matter"


class _Required:
    """Type of :data:`REQUIRED`."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()
"""Stands for the default of a parameter that has none."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation.

    Attributes:
        name: Its name.
        default: Its default, or REQUIRED.
        also: Other names of it, such as ``axis`` for ``dim``.
        role: What a parameter of a model that is handed over there is to the operation: ``linear``, ``bias``.
        many: Whether it may come as several arguments: ``view(2, 3)``.
    """

    name: str
    default: object = REQUIRED
    also: tuple[str, ...] = ()
    role: str = ""
    many: bool = False

    def __str__(self) -> str:
        text = f"*{self.name}" if self.many else self.name
        return text if self.default is REQUIRED else f"{text}={self.default!r}"


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operation is.

    Attributes:
        name: Its name.
        also: Its other names.
        homes: The modules it is a function of: ``torch``, ``torch.nn.functional``, ``einops``.
        method: Whether tensors have it as a method.
        parameters: Its parameters, the tensor that it is a method of first.
        axes: What becomes of the axes.
        elements: What becomes of the elements.
        storage: Whose storage the result has.
        operator: The operator that does the same: ``+``.
    """

    name: str
    also: tuple[str, ...]
    homes: tuple[str, ...]
    method: bool
    parameters: tuple[Parameter, ...]
    axes: Axes
    elements: Elements
    storage: Storage
    operator: str = ""
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places = {parameter.name: place for place, parameter in enumerate(self.parameters)}
        object.__setattr__(self, "_places", places)

    @property
    def functions(self) -> tuple[str, ...]:
        """Its dotted names as a function."""
        return tuple(f"{home}.{name}" for home in self.homes for name in (self.name, *self.also))

    def place(self, name: str) -> int:
        """Return which parameter has a name, counted from 0.

        Raises:
            KeyError: None has.
        """
        return self._places[name]

    def role(self, name: str) -> str:
        """Return what a parameter is for: of the weight of a convolution, the kind whose weight it is.

        Raises:
            KeyError: There is no such parameter.
        """
        return self.parameters[self.place(name)].role


_PARAMETER = re.compile(r"(\*?)([\w|]+)(?::([^=]+))?(?:=(.+))?")


def parameters(text: str) -> tuple[Parameter, ...]:
    """Read parameters as they stand in the rows.

    >>> [str(one) for one in parameters("input, *shape|size, weight:linear=None")]
    ['input', '*shape', 'weight=None']
    >>> parameters("dim|axis=None")[0].also
    ('axis',)
    """
    found = []
    for one in text.split(", ") if text else ():
        match = _PARAMETER.fullmatch(one)
        if match is None:
            raise ValueError(f"no parameter: {one!r}")
        many, names, role, default = match.groups()
        name, *also = names.split("|")
        value = REQUIRED if default is None else ast.literal_eval(default)
        found.append(Parameter(name, value, tuple(also), role or "", bool(many)))
    return tuple(found)
