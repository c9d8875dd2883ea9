"""The arguments of an operation, by the names that its row has for them."""

from __future__ import annotations

from ml_switcheroo.operations import REQUIRED, Operation, operation
from ml_switcheroo.sources.static.python.values import UNKNOWN, Arguments, Value

__all__ = ["Given", "given"]


class Given:
    """What an operation is given besides the tensor that it is applied to.

    Args:
        row: The operation.
        args: The arguments of its call.
        first: How many parameters come before them: 1 behind the tensor itself.
    """

    __slots__ = ("args", "first", "row")

    def __init__(self, row: Operation, args: Arguments, first: int = 1) -> None:
        self.row = row
        self.args = args
        self.first = first

    def __getitem__(self, name: str) -> Value:
        """Return an argument or its default: None where it lacks one, unknown where the call is open."""
        place = self.row.place(name)
        args, parameter = self.args, self.row.parameters[place]
        if place - self.first < len(args.positional):
            return args.positional[place - self.first]
        for word in (name, *parameter.also):
            if word in args.keyword:
                return args.keyword[word]
        if args.open_keyword or args.open_positional:
            return UNKNOWN
        return None if parameter.default is REQUIRED else parameter.default

    def __contains__(self, name: str) -> bool:
        """Tell whether the row has such a parameter, and the call an argument for it."""
        if all(parameter.name != name for parameter in self.row.parameters):
            return False
        place, args = self.row.place(name), self.args
        words = (name, *self.row.parameters[place].also)
        return place - self.first < len(args.positional) or any(word in args.keyword for word in words)

    @property
    def counted(self) -> bool:
        """Whether it is known how many arguments there are, where there may be any number."""
        return not (self.args.open_positional and any(one.many for one in self.row.parameters))

    def many(self, name: str) -> list[Value]:
        """Return what may come as one sequence or one by one: ``view(2, 3)``, ``view((2, 3))``."""
        positional = self.args.positional[max(self.row.place(name) - self.first, 0) :]
        listed = positional or [self[name]]
        if len(listed) == 1 and isinstance(listed[0], tuple | list):
            return list(listed[0])
        return [] if not positional and listed == [None] else list(listed)

    def values(self) -> list[Value]:
        """Return all arguments."""
        return [*self.args.positional, *self.args.keyword.values()]


def given(word: str, *positional: Value) -> Given:
    """Return the arguments of an operation that the reader itself asks for, by its name."""
    row = operation(word)
    assert row is not None, word
    return Given(row, Arguments(list(positional)))
