"""The reader that walks through the source: its state, and the tables it looks everything up in."""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ml_switcheroo.code.library import Library
from ml_switcheroo.code.outline import bound_names
from ml_switcheroo.sources.static.python.counted import is_number, number
from ml_switcheroo.sources.static.python.frames import Frame, assigned
from ml_switcheroo.sources.static.python.heap import Heap
from ml_switcheroo.sources.static.python.made import Made
from ml_switcheroo.sources.static.python.registering import Registrations
from ml_switcheroo.sources.static.python.tables import Ending, Outcome, Tables, Watcher
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    Foreign,
    OneOf,
    Raised,
    Site,
    Unknown,
    Value,
    join,
    options,
)

__all__ = ["STEPS", "Budget", "Machine"]

STEPS = 2_000_000
"""Expressions and statements that a reading may take: some 15 seconds."""

_DEEPEST = 120
"""Nested calls of the program that is read; deeper ones count as unknown."""

_UNSURE = 4
"""Calls of a function by itself under conditions nobody can tell; deeper ones count as unknown."""


class Budget(Exception):  # a limit of the reader, caught where reading starts
    """The source asks for more steps than a reader is willing to take."""


class Machine:
    """Reads a program: evaluates what is known, and keeps apart what is not.

    Args:
        library: Where source files come from.
        tables: What the constructs of Python mean.
        steps: How many expressions and statements to read at most.
        before: A machine that has read the same library, and changed nothing in it.

    Attributes:
        made: What constructors have made, by class, arguments, and the place of the call; see ``memory``.
        cut: How many calls were cut off.
        told: How tests come out of arguments that are not their defaults, by symbol.
        following: Whether what the model computes is followed: what goes wrong may be the reader's fault.
        trying: How many ``try`` statements are being read.
        blind: Where the program runs code that it makes at run time; after that nothing is certain.
    """

    def __init__(
        self, library: Library, tables: Tables[Machine], steps: int, before: Machine | None = None
    ) -> None:
        self.library = library
        self.tables = tables
        self.heap: Heap = Heap(before.heap if before is not None else None)
        self.made: dict[Hashable, Made] = before.made if before is not None else {}
        self.builtins = tables.builtins
        self.assumed: dict[str, bool] = {}
        self.solved: dict[str, Value] = {}
        self.told: dict[str, bool] = {}
        self.sites: list[Site] = []
        self.frame: Frame | None = None
        self.guarded = 0
        self.depth = 0
        self.running: dict[ast.AST, list[int]] = {}
        self.patched: dict[str, Value] = {}
        self.steps = steps
        self.held = 0
        self.blind = ""
        self.cut = 0
        self._elsewhere = 0  # steps of modules' own code
        self.noted: Any = None  # what whoever follows the program writes down
        self.following = False
        self.trying = 0
        self.follower: Watcher[Machine] | None = None  # where rows are followed
        self.registrations: Registrations = (
            before.registrations if before is not None else Registrations(library)
        )

    @property
    def site(self) -> Site | None:
        """Where the program is read."""
        return self.sites[-1] if self.sites else None

    # Reading ------------------------------------------------------------------------------

    def evaluate(self, node: ast.expr, frame: Frame) -> Value:
        """Return the value of an expression."""
        self.steps -= 1
        if self.steps < 0:
            raise Budget
        try:
            read = self.tables.expressions[type(node)]
        except KeyError:
            read = self.tables.unread
        return read(self, node, frame)

    def run(self, body: Sequence[ast.stmt], frame: Frame) -> Outcome:
        """Run statements until one of them leaves the block."""
        tables = self.tables
        for index, statement in enumerate(body):
            self.take(1)
            read = tables.statements.get(type(statement))
            fork = tables.forks.get(type(statement)) if read is None else None
            outcome: Outcome | None
            try:
                if read is not None:
                    outcome = read(self, statement, frame)
                elif fork is not None:
                    outcome = fork(self, statement, body[index + 1 :], frame)
                else:
                    outcome = tables.unread(self, statement, frame)
            except Raised as error:
                # What goes wrong may be this reader's own fault: the rest is still worth reading.
                if not self.following or self.trying or error.meant:
                    raise
                self.lose(statement, frame)
                if isinstance(statement, ast.Return):
                    return Outcome(Ending.RETURN, UNKNOWN)
                continue
            if outcome is not None and (fork is not None or outcome.ending is not Ending.NEXT):
                return outcome
        return Outcome()

    def lose(self, statement: ast.stmt, frame: Frame) -> None:
        """Go on behind a statement that this reader cannot make sense of."""
        self.cut += 1
        self.forget(statement, frame)

    def forget(self, node: ast.expr | ast.stmt, frame: Frame) -> None:
        """Forget what a node binds: whatever it does, nothing is known of that any more."""
        for name in assigned((node,)):
            self.bind(frame, name, UNKNOWN)

    def take(self, steps: int) -> None:
        """Count steps.

        Raises:
            Budget: There are not so many left.
        """
        self.steps -= steps
        if self.steps < 0:
            raise Budget

    @property
    def taken(self) -> int:
        """The steps taken so far, without those of modules' own code; only differences mean something."""
        return -(self.steps + self.held + self._elsewhere)

    @contextmanager
    def at_most(self, steps: int) -> Iterator[None]:
        """Read something that may take so many steps.

        Raises:
            Budget: It takes more.
        """
        before, rest = self.held, max(self.steps - steps, 0)
        self.steps -= rest
        self.held += rest
        try:
            yield
        finally:
            self.steps += self.held - before
            self.held = before

    def call(self, function: Value, args: Arguments) -> Value:
        """Call a value; what comes back from an unknown one is unknown."""
        if isinstance(function, OneOf):
            return self.choose([partial(self.call, choice, args) for choice in function.choices])
        caller = self.tables.calls.get(type(function))
        if caller is None or self.depth >= _DEEPEST:
            self.cut += caller is not None
            return UNKNOWN if self.follower is None else self.follower.passed(args)
        self.depth += 1
        try:
            return caller(self, function, args)
        finally:
            self.depth -= 1

    def enter(self, node: ast.AST) -> bool:
        """Note that a function starts to run; False where it calls itself and nothing shows an end.

        A recursion whose every call depends on one more unknown condition would go on for ever, with
        twice the alternatives each time.
        """
        levels = self.running.setdefault(node, [])
        if len({level for level in levels if level < self.heap.depth}) >= _UNSURE:
            self.cut += 1
            return False
        levels.append(self.heap.depth)
        return True

    def leave(self, node: ast.AST) -> None:
        """Note that a function has ended."""
        self.running[node].pop()

    def read(self, owner: Value, name: str) -> Value:
        """Return an attribute."""
        if isinstance(owner, OneOf):
            return self.choose([partial(self.read, choice, name) for choice in owner.choices])
        if isinstance(owner, Unknown):
            return self.unknown(f"{owner.symbol}.{name}") if owner.symbol else UNKNOWN
        reader = self.tables.readers.get(type(owner), self.tables.readers[object])
        return reader(self, owner, name)

    def unknown(self, symbol: str) -> Value:
        """Return the value that goes by a symbol: what the checkpoint has shown it to be, or unknown."""
        return self.solved.get(symbol, Unknown(symbol))

    def item(self, owner: Unknown, index: Value) -> Value:
        """Return an item of what is unknown; of a shape that nobody knows, a number."""
        if is_number(owner):
            return number()
        plainly = isinstance(index, int | str) and owner.symbol
        return self.unknown(f"{owner.symbol}[{index!r}]") if plainly else UNKNOWN

    def write(self, owner: Value, name: Value, value: Value) -> None:
        """Set an attribute."""
        if self.follower is not None:
            self.follower.named(self, name, value)
        if isinstance(owner, OneOf):
            live = [choice for choice in owner.choices if choice is not None]
            self.heap.branch([partial(self.write, choice, name, value) for choice in live])
            return
        writer = self.tables.writers.get(type(owner))
        if writer is not None:
            writer(self, owner, name, value)

    def truth(self, value: Value) -> bool | None:
        """Tell whether a value counts as true; None where nobody knows."""
        if isinstance(value, OneOf):
            answers = {self.truth(choice) for choice in value.choices}
            return answers.pop() if len(answers) == 1 else None
        if isinstance(value, Unknown):
            return self.assumed.get(value.symbol, self.told.get(value.symbol))
        if isinstance(value, Foreign):
            return None
        known = self.tables.truths.get(type(value))
        return known(self, value) if known is not None else True

    # Branches -----------------------------------------------------------------------------

    def choose(self, runs: Sequence[Callable[[], Value]]) -> Value:
        """Read each alternative from the same state; return the joined value."""
        results = self.heap.branch(runs)
        return join(result for result in results if not isinstance(result, Raised))

    def assume(self, test: Value, answer: bool, run: Callable[[], Any]) -> Any:
        """Read something under the assumption that an unknown test came out as ``answer``."""
        symbol = test.symbol if isinstance(test, Unknown) else ""
        if not symbol or symbol in self.assumed:
            return run()
        self.assumed[symbol] = answer
        try:
            return run()
        finally:
            del self.assumed[symbol]

    def spread(self, run: Callable[..., Value], *values: Value) -> Value:
        """Apply a function without effects to every combination of alternatives."""
        for value in values:
            if isinstance(value, OneOf):
                break
        else:
            return run(*values)
        combinations: list[list[Value]] = [[]]
        for value in values:
            combinations = [[*before, choice] for before in combinations for choice in options(value)]
            if len(combinations) > 36:
                return UNKNOWN
        results = []
        failed: Raised | None = None
        for combination in combinations:
            try:
                results.append(run(*combination))
            except Raised as error:
                failed = error
        if not results:
            raise failed or Raised("TypeError")
        return join(results)

    # Names --------------------------------------------------------------------------------

    def bind(self, frame: Frame, name: str, value: Value) -> None:
        """Bind a name."""
        if self.follower is not None:
            self.follower.named(self, name, value)
        names = frame.elsewhere.get(name, frame.names)
        self.heap.touch(names)
        names[name] = value

    def run_at_module_level(self, statement: ast.stmt, frame: Frame) -> None:
        """Run a statement of a module's own code, whoever asks for it first."""
        assumed, self.assumed = self.assumed, {}
        taken, inside = self.taken, self._elsewhere
        limit, self.steps, self.held = self.steps, self.steps + self.held, 0  # whoever asks for it first
        try:
            with self.heap.apart(frame.names):
                self.run([statement], frame)
        except Raised:
            for name in bound_names(statement):  # it is bound when the module is imported, to something
                frame.names.setdefault(name, UNKNOWN)
        finally:
            self.assumed = assumed
            self.held, self.steps = max(self.steps - limit, 0), min(limit, self.steps)
            self._elsewhere = inside
            self._elsewhere += self.taken - taken
