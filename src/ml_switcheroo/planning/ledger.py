"""What becomes of each tensor and each leaf while a plan is made: what is known, who said it, and why.

A stage takes the ledger and adds to it. What an earlier stage has said is never rewritten: a move that is
taken back, or a doubt that is answered, is one more entry. What holds at the end is the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from ml_switcheroo.moves import Move
from ml_switcheroo.sketch import Sketch
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.unmoved import Ambiguity, Unmoved

__all__ = ["Entry", "Ledger"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one stage has made of some tensors or leaves.

    Attributes:
        stage: The stage, as a person calls it: ``by name``.
        what: ``moved``, ``changed``, ``taken back``, ``dropped``, ``refused``, ``admitted``, ``asked``,
            ``answered``, ``kept`` or ``missing``.
        names: The tensors and leaves.
        why: The reason.
    """

    stage: str
    what: str
    names: tuple[str, ...]
    why: str


class _Moved(NamedTuple):
    """Moves that one stage has made or changed; what there is to say of each is said when it is asked for."""

    stage: str
    what: str
    moves: Sequence[Move]

    def entries(self) -> Iterator[Entry]:
        for move in self.moves:
            why = move.what if self.what == "changed" else f"{move.what}: {move.reason}"
            yield Entry(self.stage, self.what, (*move.sources, *move.leaves), why)


class Ledger:
    """The moves so far, and what became of everything else.

    Args:
        specs: The specs of the source tensors.
        leaves: The leaves of the target, where it is known.
    """

    def __init__(self, specs: Mapping[str, TensorSpec], leaves: Mapping[str, TensorSpec] | None) -> None:
        self._specs, self._leaves = specs, leaves or {}
        self._entries: list[Entry | _Moved] = []
        self._moves: list[Move] = []
        self._dropped: dict[str, Unmoved] = {}
        self._refused: dict[str, Unmoved] = {}
        self._asked: list[Ambiguity] = []
        self._notes: list[str] = []
        self._differences: list[str] = []
        self.programs: tuple[Sketch, Sketch] | None = None
        self._kept: dict[str, Unmoved] = {}
        self._missing: dict[str, Unmoved] = {}

    # ---- what holds now ----------------------------------------------------------------------------

    @property
    def moves(self) -> Sequence[Move]:
        """The moves, in the order in which they were made."""
        return tuple(self._moves)

    @property
    def moved(self) -> set[str]:
        """The tensors that moves take."""
        return {name for move in self._moves for name in move.sources}

    @property
    def dropped(self) -> Mapping[str, Unmoved]:
        """The tensors that are left behind for a good reason."""
        return MappingProxyType(self._dropped)

    @property
    def refused(self) -> Mapping[str, Unmoved]:
        """The tensors that no leaf takes."""
        return MappingProxyType(self._refused)

    @property
    def asked(self) -> Sequence[Ambiguity]:
        """What has several answers."""
        return tuple(self._asked)

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know."""
        return tuple(self._notes)

    @property
    def differences(self) -> Sequence[str]:
        """Where the two programs compute something else."""
        return tuple(self._differences)

    @property
    def kept(self) -> Mapping[str, Unmoved]:
        """The leaves that stay as they are for a good reason."""
        return MappingProxyType(self._kept)

    @property
    def missing(self) -> Mapping[str, Unmoved]:
        """The leaves that nothing fills."""
        return MappingProxyType(self._missing)

    # ---- what stages say ---------------------------------------------------------------------------

    def move(self, stage: str, moves: Sequence[Move]) -> None:
        """Add moves."""
        if moves:
            self._entries.append(_Moved(stage, "moved", tuple(moves)))
            self._moves += moves

    def change(self, stage: str, moves: Sequence[Move]) -> None:
        """Put other moves in place of all: those that were there stay as they are."""
        before = {id(move) for move in self._moves}
        changed = [move for move in moves if id(move) not in before]
        if changed:
            self._entries.append(_Moved(stage, "changed", changed))
        self._moves = list(moves)

    def take_back(self, stage: str, unwanted: Callable[[Move], bool], why: str) -> None:
        """Take moves out again."""
        gone = [move for move in self._moves if unwanted(move)]
        if gone:
            names = tuple(name for move in gone for name in (*move.sources, *move.leaves))
            self._add(stage, "taken back", names, why)
            self._moves = [move for move in self._moves if not unwanted(move)]

    def drop(self, stage: str, why: Mapping[str, str]) -> None:
        """Leave tensors behind, each for a good reason."""
        self._leave(stage, "dropped", self._dropped, why, self._specs)

    def refuse(self, stage: str, why: Mapping[str, str]) -> None:
        """Say of tensors why no leaf takes them."""
        self._leave(stage, "refused", self._refused, why, self._specs)

    def admit(self, stage: str, names: Iterable[str], why: str) -> None:
        """Say of tensors that were refused that they have found a place."""
        found = tuple(name for name in names if name in self._refused)
        if found:
            self._add(stage, "admitted", found, why)
        for name in found:
            del self._refused[name]

    def ask(self, stage: str, doubts: Iterable[Ambiguity]) -> None:
        """Ask about tensors for which several answers fit."""
        for doubt in doubts:
            self._add(stage, "asked", doubt.names, "; or ".join(doubt.candidates))
            self._asked.append(replace(doubt, specs=tuple(self._specs[name] for name in doubt.names)))

    def answer(self, stage: str, answered: Callable[[Ambiguity], bool], why: str) -> None:
        """Ask no more what has been answered meanwhile."""
        for doubt in filter(answered, self._asked):
            self._add(stage, "answered", doubt.names, why)
        self._asked = [doubt for doubt in self._asked if not answered(doubt)]

    def note(self, notes: Iterable[str]) -> None:
        """Say what a person should know."""
        self._notes += notes

    def keep(self, stage: str, why: Mapping[str, str]) -> None:
        """Leave leaves as they are, each for a good reason."""
        self._leave(stage, "kept", self._kept, why, self._leaves)

    def lack(self, stage: str, why: Mapping[str, str]) -> None:
        """Say of leaves why nothing fills them."""
        self._leave(stage, "missing", self._missing, why, self._leaves)

    def _leave(
        self,
        stage: str,
        what: str,
        table: dict[str, Unmoved],
        reasons: Mapping[str, str],
        specs: Mapping[str, TensorSpec],
    ) -> None:
        for name, why in reasons.items():
            self._add(stage, what, (name,), why)
            table[name] = Unmoved(specs[name], why)

    def _add(self, stage: str, what: str, names: tuple[str, ...], why: str) -> None:
        self._entries.append(Entry(stage, what, names, why))

    def part(self, stage: str, differences: Iterable[str]) -> None:
        """Say where the two programs compute something else."""
        for difference in differences:
            self._add(stage, "differs", (), difference)
            self._differences.append(difference)

    # ---- who said what -----------------------------------------------------------------------------

    def history(self, name: str) -> Iterator[Entry]:
        """Yield what became of a tensor or a leaf, from the first stage to the last."""
        for said in self._entries:
            entries = (said,) if isinstance(said, Entry) else said.entries()
            yield from (entry for entry in entries if name in entry.names)
