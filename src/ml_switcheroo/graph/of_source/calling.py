"""A call of an operation: what it is given is bound to its row, and what the row draws comes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_switcheroo.graph.of_source.drawn import Drawn, Lost, Unlowered, inside
from ml_switcheroo.graph.of_source.lowering import Lowering, bound
from ml_switcheroo.sources.static.python.values import Arguments, Maybe, OneOf, Repeat, Text, Unknown, Value
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.graph.of_source.machine import Drawer

__all__ = ["SURPRISES", "apply", "drawn_in", "leaves", "lower", "undrawn"]

SURPRISES = (TypeError, ValueError, KeyError, IndexError, AttributeError, ZeroDivisionError, OverflowError)
"""What a row may end in that is given what it does not expect."""

_ORDERED = frozenset("view view_as unsqueeze squeeze unflatten".split())
"""Views that have the elements in the order of what they look at, whatever its strides."""


def lower(machine: Drawer, row: Lowering, args: Arguments, word: str = "") -> Value:
    """Return what an operation of the program gives; a gap where that is not known."""
    if machine.strict:
        args = leaves(machine, args)
    given = list(inside([args.positional, args.keyword]))
    if (lost := next((one for one in given if isinstance(one, Lost)), None)) is not None:
        return lost
    operands = [one.node for one in given if isinstance(one, Drawn)]
    vague = any(isinstance(one, Unknown | OneOf | Maybe | Repeat | Text) for one in given)
    if vague or args.open_positional or args.open_keyword:
        return machine.lost(f"{word or row.name}: an argument is not known", *operands)
    if any(isinstance(one, Drawn) and one.stale for one in given):
        return machine.lost(f"{word or row.name} of what was changed through another tensor", *operands)
    try:
        return apply(machine, row, args.positional, args.keyword, word)
    except Unlowered as error:
        return machine.lost(f"{word or row.name}: {error}", *operands)
    except SURPRISES as error:
        return machine.lost(f"{word or row.name}: {type(error).__name__}: {error}", *operands)


def leaves(machine: Drawer, args: Arguments) -> Arguments:
    """Return arguments in which parameters are the leaves that they are."""
    if not undrawn(args):
        return args

    def leaf(value: Value) -> Value:
        if isinstance(value, Tensor):
            return machine.state.drawn(machine, value)
        return type(value)(map(leaf, value)) if isinstance(value, list | tuple) else value

    words = {name: leaf(value) for name, value in args.keyword.items()}
    return Arguments([*map(leaf, args.positional)], words, args.open_positional, args.open_keyword)


def apply(
    machine: Drawer, row: Lowering, positional: Sequence[Any], keyword: Mapping[str, Any], word: str = ""
) -> Any:
    """Return what a row draws; what is done in place is done to the tensor itself.

    Raises:
        Unlowered: It cannot be drawn.
    """
    pen, words = machine.pen, dict(keyword)
    out = words.pop("out", None)
    args, words = bound(row, positional, words)
    with machine.drawing(word.removesuffix("_") or row.name):
        found = row.run(pen, *args, **words)
    first = next((one for one in (*args, *words.values()) if isinstance(one, Drawn)), None)
    if isinstance(out, Drawn):
        return out.become(pen.cast(found, out.dtype))
    if first is None or not isinstance(found, Drawn | tuple):
        return found
    if _in_place(row, word, args, words) and isinstance(found, Drawn) and found is not first:
        return first.become(pen.cast(pen.broadcast(found, first.shape), first.dtype))
    if row.view:
        return _viewed(machine, first, found, word or row.name)
    return found


def _in_place(row: Lowering, word: str, args: Sequence[Any], words: Mapping[str, Any]) -> bool:
    if word.endswith("_") and not word.endswith("__"):
        return True
    if "inplace" not in row.parameters:
        return False
    place = row.parameters.index("inplace")
    return (args[place] if place < len(args) else words.get("inplace")) is True


def _viewed(machine: Drawer, base: Drawn, found: Any, word: str) -> Any:
    if isinstance(found, tuple):
        return tuple(base.view(one) if isinstance(one, Drawn) else one for one in found)
    shape = base.shape
    back = (lambda new: machine.pen.reshape(new, shape)) if word in _ORDERED else None
    return base.view(found, back)


def drawn_in(args: Arguments) -> Iterator[Drawn | Lost]:
    """Yield the tensors that a call is given."""
    for one in inside([args.positional, args.keyword]):
        if isinstance(one, Drawn | Lost):
            yield one


def undrawn(args: Arguments) -> bool:
    """Tell whether a call is given a tensor that is not drawn: while a model is made, its parameters."""
    return any(isinstance(one, Tensor) for one in inside([args.positional, args.keyword]))
