"""The reader's machine with other tables: tensors are drawn, and what is not known ends it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager

from ml_switcheroo.code.library import Library
from ml_switcheroo.graph.graph import Line
from ml_switcheroo.graph.of_source.drawn import Drawn, Lost, Undecided
from ml_switcheroo.graph.of_source.pen import Pen
from ml_switcheroo.graph.of_source.state import State
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.tables import Tables
from ml_switcheroo.sources.static.python.values import Arguments, Instance, OneOf, Raised, Value
from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = ["Drawer", "nodes"]


def nodes(args: Arguments) -> list[int]:
    """Return the nodes of the tensors that a call is given."""
    return [one.node for one in (*args.positional, *args.keyword.values()) if isinstance(one, Drawn)]


class Drawer(Machine):
    """A machine that draws.

    While a model is made, what is not known is as for any other reading. While it is drawn, it is an end.

    Attributes:
        pen: What draws.
        strict: Whether a model is drawn.
        state: Where the tensors of the model come from.
    """

    def __init__(
        self, library: Library, tables: Tables[Machine], steps: int, before: Machine | None = None
    ) -> None:
        super().__init__(library, tables, steps, before)
        self.pen: Pen = before.pen if isinstance(before, Drawer) else Pen()
        self.strict = False
        self.state = State()

    @property
    def line(self) -> Line | None:
        """The line of the program that is read."""
        site = self.site
        return Line(site.source.label, site.node.lineno) if site is not None else None

    @contextmanager
    def drawing(self, word: str) -> Iterator[None]:
        """Draw what the program calls by a word; within a layer, its parts go by its own."""
        draft = self.pen.draft
        before = draft.line, draft.word
        draft.line, draft.word = self.line, before[1] or word
        try:
            yield
        finally:
            draft.line, draft.word = before

    def lost(self, why: str, *operands: int) -> Lost:
        """Return a value that nobody can follow."""
        draft = self.pen.draft
        draft.line, before = self.line, draft.line
        try:
            return self.pen.lost(why, *operands)
        finally:
            draft.line = before

    def truth(self, value: Value) -> bool | None:
        """Tell whether a value counts as true.

        Raises:
            Undecided: Nobody knows, and a model is drawn.
        """
        answer = super().truth(value)
        if answer is None and self.strict and not self.heap.at_module_level:
            site = self.site
            what = ast.unparse(getattr(site.node, "test", site.node))[:80] if site is not None else "a test"
            raise Undecided(f"{self.line}: the program goes on by what is not known: {what}")
        return answer

    def call(self, function: Value, args: Arguments) -> Value:
        """Call a value."""
        if isinstance(function, OneOf) and self.strict:
            function = self.state.chosen(function)
        if isinstance(function, Lost):
            return function
        if self.strict and (isinstance(function, OneOf) or type(function) not in self.tables.calls):
            lost = next((one for one in args.positional if isinstance(one, Lost)), None)
            return lost or self.lost("a call of what is not known", *nodes(args))
        return super().call(function, args)

    def read(self, owner: Value, name: str) -> Value:
        """Return an attribute; that of a module may be a tensor of the state dict."""
        if not self.strict:
            return super().read(owner, name)
        owner = self.state.chosen(owner)
        if name == "training" and isinstance(owner, Instance):
            return False
        if isinstance(owner, Instance) and self.state.lacks(owner, name):
            raise Raised("AttributeError", name)
        if isinstance(owner, Instance) and (made := self.state.made_of(self, owner, name)) is not None:
            return made
        value = self.state.chosen(super().read(owner, name))
        return self.state.drawn(self, value) if isinstance(value, Tensor) else value
