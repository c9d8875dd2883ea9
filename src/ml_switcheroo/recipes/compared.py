"""What a live module of a target must agree in beside its weights, and what it may be wrapped in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Compared", "Difference", "Lack", "Padding", "Wrapper"]


@dataclass(frozen=True, slots=True)
class Difference:
    """An attribute of a live module that must agree with a constructor argument in PyTorch.

    Attributes:
        arg: The argument in PyTorch, such as ``eps``; empty where PyTorch knows one value only.
        attribute: The attribute of the target's module, such as ``epsilon``.
        convert: The attribute's value for an argument's; for None where there is no argument.
        nothing: What the attribute stands for where it is None.
    """

    arg: str
    attribute: str
    convert: Callable[[Any], Any] = lambda value: value
    nothing: Any = None

    @classmethod
    def always(cls, attribute: str, value: Any) -> Difference:
        """Make one of an attribute that must have one value.

        >>> Difference.always("reset_after", True).convert(None)
        True
        """
        return cls("", attribute, lambda _: value)


@dataclass(frozen=True, slots=True)
class Padding:
    """How the live convolutions of a target say what they pad, which must agree with PyTorch's padding.

    Attributes:
        stride: The attribute of the step.
        dilation: The attribute of the distance between taps.
        mode: The attribute that says what is padded with; empty where that is always zeros.
        transposed: Empty for a convolution; for a transposed one what the padding counts: ``cut``, rows cut
            off from the whole output, with the words of TensorFlow; ``numbers``, the same without words;
            ``spread``, rows around the spread-out input, as in ``jax.lax.conv_transpose``.
        attribute: The attribute of the padding.
    """

    stride: str
    dilation: str
    mode: str = ""
    transposed: Literal["", "cut", "numbers", "spread"] = ""
    attribute: str = "padding"

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes with a number, or a pair of numbers, for each axis."""
        return self.stride, self.dilation, self.attribute


@dataclass(frozen=True, slots=True)
class Lack:
    """A constructor argument in PyTorch that has one fixed value in the target's own layer.

    Attributes:
        arg: The argument in PyTorch, such as ``ceil_mode``.
        only: The value that the target has.
        beside: An argument that must not be 0 for this one to decide anything; empty for none.
    """

    arg: str
    only: Any
    beside: str = ""


Compared: TypeAlias = Difference | Padding | Lack
"""What is compared of a kind of layer beside its weights."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A layer of the target around another one, which keeps a norm of its weight as PyTorch does.

    Attributes:
        inner: The attribute that holds the layer within.
        leaves: The leaves of the wrapper, by PyTorch's names for what they hold: ``g`` of a weight norm,
            ``u``, ``v`` and ``sigma`` of a spectral norm; ``{leaf}`` is the name of the weight within.
        axes: The attribute that says which axes of the weight have a length each.
        default: Those axes where no attribute is to be seen; of a spectral norm the axis of ``u``.
        whole: Whether the lengths have the rank of the weight.
        collection: The collection of the leaves in targets that have collections.
        folded: Whether the weight within is the normalised one.
        note: What a person should know of a plan that keeps the norm.
    """

    inner: str
    leaves: Mapping[str, str]
    axes: str = ""
    default: int = -1
    whole: bool = False
    collection: str = "params"
    folded: bool = False
    note: str = ""
