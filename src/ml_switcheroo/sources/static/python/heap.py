"""The state of the program that is read: what changes it, and how two branches come together.

Where a condition is unknown, both branches are read from the same state, one after the other. A
journal keeps what each of them changed; afterwards every changed place holds what it is after the
one *or* the other (:func:`~ml_switcheroo.sources.static.python.values.join`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from ml_switcheroo.sources.static.python.mappings import OpenDict
from ml_switcheroo.sources.static.python.marks import Marks
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    Maybe,
    Raised,
    Repeat,
    Value,
    join,
    next_serial,
    options,
    same,
)

__all__ = ["Changed", "Heap", "plain"]

T = TypeVar("T")
State: TypeAlias = Any  # a list, a dict, a set, or the marks of an instance


class Changed(Exception):  # a limit of the reader, caught where reading starts
    """What the modules hold is about to change, and another reading relies on it."""


class _Journal:
    def __init__(self, loop: bool = False, count: str = "") -> None:
        self.loop = loop
        self.count = count
        self.before: dict[int, tuple[State, State]] = {}
        self.born: dict[int, State] = {}

    def rewind(self) -> dict[int, State]:
        """Put every place back as it was; return what they were at the end."""
        after = {}
        for key, (place, before) in self.before.items():
            after[key] = place.copy()
            _write(place, before)
        return after


class Heap:
    """Everything that can be changed, with the journals of the branches being read.

    Attributes:
        raised: What was raised on paths that count as not taken, since another one came to an end.
        changed: Whether anything but a module's own code has changed what the modules hold.
        edition: How often a module's own code has changed what another statement at module level has made.
        fixed: Whether what the modules hold must not change.
    """

    def __init__(self, before: Heap | None = None) -> None:
        self._journals: list[_Journal] = []
        self.raised: list[Raised] = []
        self._born: dict[int, tuple[int, State]] = {}
        self._lasting: dict[int, tuple[int, State]] = before._lasting if before is not None else {}
        self._statement = 0  # the number of the module-level statement that is read
        self._oldest: float = 0
        self.changed = False
        self.edition: int = before.edition if before is not None else 0
        self.fixed = before is not None

    def new(self, place: T) -> T:
        """Register a list, dict or set that has just been made."""
        if self._journals:
            self._journals[-1].born[id(place)] = place
        if self._statement:
            self._lasting[id(place)] = (self._statement, place)
        else:
            self._born[id(place)] = (next_serial(), place)
        return place

    def lasting(self, place: State) -> bool:
        """Tell whether a list, dict or set was made by a module's own code."""
        return id(place) in self._lasting

    @property
    def at_module_level(self) -> bool:
        """Whether a module's own code is being read."""
        return bool(self._statement)

    def born(self, place: State) -> int:
        """Return when a list, dict or set was made; 0 where that is not known."""
        return self._born[id(place)][0] if id(place) in self._born else 0

    @contextmanager
    def watch(self, first: int) -> Iterator[list[State]]:
        """Note, as an item of the list, whether anything changes that was there before ``first``."""
        changes: list[State] = []
        before, self._oldest = self._oldest, float("inf")
        try:
            yield changes
        finally:
            if self._oldest < first:
                changes.append(self._oldest)
            self._oldest = min(before, self._oldest)

    def _note(self, place: State) -> None:
        """Note that a place changes."""
        key = id(place)
        if self._statement:
            self.edition += key in self._lasting and self._lasting[key][0] not in (0, self._statement)
            return
        born = self._born[key][0] if key in self._born else 0
        self._oldest = min(self._oldest, born)
        if not born:
            if self.fixed:
                raise Changed
            self.changed = True

    def touch(self, place: T) -> T:
        """Announce that a list, dict or set is about to change."""
        self._note(place)
        if self._journals:
            journal = self._journals[-1]
            key = id(place)
            if key not in journal.before and key not in journal.born:
                journal.before[key] = (place, place.copy())  # type: ignore[attr-defined]
        return place

    def branch(self, runs: Sequence[Callable[[], T]]) -> list[T | Raised]:
        """Read each run from the same state; leave the state that is one of theirs.

        A run that raises is a path nobody takes: it counts only where every run raises.

        Returns:
            For each run its result, or what it raised.

        Raises:
            Raised: Every run raised.
        """
        results: list[T | Raised] = []
        journals: list[tuple[_Journal, dict[int, State]]] = []
        for run in runs:
            journal = _Journal()
            self._journals.append(journal)
            try:
                results.append(run())
            except Raised as error:
                results.append(error)
            finally:
                self._journals.pop()
                after = journal.rewind()
            if not isinstance(results[-1], Raised):
                journals.append((journal, after))
        if not journals:
            raise next(result for result in results if isinstance(result, Raised))
        self._merge(journals)
        self.raised.extend(result for result in results if isinstance(result, Raised))
        return results

    @contextmanager
    def loop(self, count: str = "") -> Iterator[None]:
        """Read what may happen any number of times: what is added meanwhile counts as repeated.

        ``count`` is the symbol of the number of times, where there is one.
        """
        journal = _Journal(loop=True, count=count)
        self._journals.append(journal)
        try:
            yield
        finally:
            self._journals.pop()
            if self._journals:
                outer = self._journals[-1]
                for key, (place, before) in journal.before.items():
                    if key not in outer.born:
                        outer.before.setdefault(key, (place, before))
                outer.born.update(journal.born)

    def repeats(self, place: State) -> bool:
        """Tell whether something added to ``place`` now is added any number of times."""
        for journal in reversed(self._journals):
            if id(place) in journal.born:
                return False
            if journal.loop:
                return True
        return False

    @contextmanager
    def apart(self, names: State) -> Iterator[None]:
        """Read what happens once and for all, whatever branch asks for it first: a module's own code."""
        journals, self._journals = self._journals, []
        self._lasting[id(names)] = (0, names)  # each statement of the module adds to its names
        before, self._statement = self._statement, next_serial()
        try:
            yield
        finally:
            self._journals, self._statement = journals, before

    @property
    def depth(self) -> int:
        """How many branches and loops, each within the other, are being read."""
        return len(self._journals)

    @property
    def count(self) -> str:
        """The symbol of how often the innermost loop runs; empty where there is none."""
        return next((journal.count for journal in reversed(self._journals) if journal.loop), "")

    def attempt(self, run: Callable[[], T]) -> T:
        """Read a run and forget every change it made."""
        journal = _Journal()
        self._journals.append(journal)
        try:
            return run()
        finally:
            self._journals.pop()
            journal.rewind()

    def _merge(self, journals: Sequence[tuple[_Journal, dict[int, State]]]) -> None:
        places: dict[int, State] = {}
        born: dict[int, State] = {}
        for journal, _ in journals:
            places.update({key: place for key, (place, _) in journal.before.items()})
            born.update(journal.born)
        for key, place in places.items():
            states = [after[key] if key in after else place.copy() for _, after in journals]
            self.touch(place)
            _write(place, _join_states(states))
        if self._journals:
            self._journals[-1].born.update(born)


def _write(place: State, state: State) -> None:
    if place is state:
        return
    if isinstance(place, Marks):
        place.become(state)
        return
    place.clear()
    if isinstance(place, list):
        place.extend(state)
    else:
        place.update(state)


def plain(items: Sequence[Value]) -> bool:
    """Tell whether every item of a list is certainly there, once."""
    return not any(isinstance(item, Maybe | Repeat) for item in items)


def _join_states(states: list[State]) -> State:
    if len(states) == 1:
        return states[0]
    if isinstance(states[0], list):
        return functools.reduce(_join_lists, states)
    if isinstance(states[0], Marks):
        return Marks(
            join(state.contents for state in states),
            join(state.reparametrized for state in states),
            join(state.hooked for state in states),
            join(state.calls for state in states),
        )
    if isinstance(states[0], set):
        return set().union(*states)
    keys = list(dict.fromkeys(key for state in states for key in state))
    joined = {key: join(state.get(key, ABSENT) for state in states) for key in keys}
    opened = any(isinstance(state, OpenDict) for state in states)
    return OpenDict(joined) if opened else joined


def _join_lists(left: list[Value], right: list[Value]) -> list[Value]:
    head: list[Value] = []
    for mine, other in zip(left, right, strict=False):
        if not _same_item(mine, other):
            break
        head.append(mine)
    left, right = left[len(head) :], right[len(head) :]
    if len(left) == len(right) and plain(left) and plain(right):
        return head + [join(pair) for pair in zip(left, right, strict=True)]
    return head + [_maybe(item) for item in left] + [_maybe(item) for item in right]


def _same_item(left: Value, right: Value) -> bool:
    if isinstance(left, Maybe | Repeat):
        return type(left) is type(right) and (left is right or same(left.value, right.value))
    return same(left, right)


def _maybe(item: Value) -> Value:
    if isinstance(item, Maybe | Repeat):
        return item
    return Maybe(join(choice for choice in options(item)))
