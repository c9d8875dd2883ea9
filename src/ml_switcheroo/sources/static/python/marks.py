"""Facts about an instance that are no attributes."""

from __future__ import annotations

from dataclasses import dataclass

from ml_switcheroo.sources.static.python.value import Value

__all__ = ["Marks"]


@dataclass(slots=True, eq=False)
class Marks:
    """Facts about an instance that are no attributes. They change as the program does: the heap keeps them.

    Attributes:
        contents: The dictionary that an instance of a subclass of dict is; None for any other.
        reparametrized: What makes up which of its values, such as ``weight_norm``: pairs of both.
        hooked: Whether hooks are registered on it.
        calls: What it does when it is called: a layer of a package that is known by itself.
    """

    contents: Value = None
    reparametrized: Value = ()
    hooked: Value = False
    calls: Value = None

    def copy(self) -> Marks:
        """Return the same facts."""
        return Marks(self.contents, self.reparametrized, self.hooked, self.calls)

    def become(self, other: Marks) -> None:
        """Take the facts of another."""
        self.contents, self.reparametrized = other.contents, other.reparametrized
        self.hooked, self.calls = other.hooked, other.calls
