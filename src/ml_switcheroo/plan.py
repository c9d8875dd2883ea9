"""The plan: what is said of every tensor and leaf, checked, applied, inverted and saved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ml_switcheroo.apply import Leaves
from ml_switcheroo.errors import PlanError, UsageError, cannot_read
from ml_switcheroo.formats.apart import write_text
from ml_switcheroo.formats.given import as_state
from ml_switcheroo.moves import Move, spec_from_json, spec_to_json
from ml_switcheroo.outcome import Outcome
from ml_switcheroo.provenance import refuse_converted
from ml_switcheroo.report import changes_text, plan_table, plan_text, problems_text, summary
from ml_switcheroo.rule_lines import rules_given
from ml_switcheroo.rules import Rule
from ml_switcheroo.unmoved import Ambiguity, Unmoved

__all__ = ["Plan"]

FORMAT = 1


@dataclass(frozen=True, repr=False)
class Plan(Outcome):
    """What is going to happen, made from names, shapes, dtypes and kinds alone.

    Its attributes are those of an outcome; ``str(plan)`` is all of it for people.
    """

    def __str__(self) -> str:
        return plan_text(self)

    def __repr__(self) -> str:
        return f"<Plan {self.source or 'state dict'} -> {self.target}: {summary(self)}>"

    def _repr_html_(self) -> str:
        return plan_table(self)

    def check(self, *, allow_missing: bool = False, allow_unexpected: bool = False) -> None:
        """Raise unless every tensor and every leaf is accounted for.

        Raises:
            PlanError: Something is missing, unexpected or ambiguous, or the programs compute something
                else; all of it is listed.
        """
        missing = () if allow_missing else tuple(self.missing)
        unexpected = () if allow_unexpected else tuple(self.unexpected)
        if missing or unexpected or self.ambiguous or self.differences:
            short, full = problems_text(self, missing, unexpected)
            raise PlanError(
                short,
                missing=missing,
                unexpected=unexpected,
                ambiguous=self.doubted,
                full=full,
            )

    def apply(
        self, state: Mapping[str, Any], *, partial: bool = False, allow_overflow: bool = False
    ) -> Leaves:
        """Return the leaves for a checkpoint or state dict, each computed when it is asked for.

        Args:
            state: The tensors the plan was made for, or others with the same names and specs.
            partial: Give the leaves that are certain, although others are missing or ambiguous, or
                tensors of the state are not accounted for.
            allow_overflow: Give a leaf although finite values became infinite, NaN, 0 or other integers in
                the dtype that it has; otherwise that raises :class:`CastError` when it is asked for.

        Raises:
            PlanError: Something is missing or ambiguous, or the state is not what was planned for.
            UsageError: The state was converted already.
        """
        state = as_state(state)
        if self.target != "torch":
            refuse_converted(state)
        if not partial:
            self.check(allow_unexpected=True)
            self.check_names(state)
        return Leaves(self.moves, state, allow_overflow=allow_overflow)

    def check_names(self, state: Mapping[str, Any]) -> None:
        """Raise if the plan does not mention a tensor: it was made for another checkpoint, or edited.

        Raises:
            PlanError: Some tensors are not accounted for; all of them are named.
        """
        known = {*self.inputs, *self.dropped, *self.unexpected, *self.doubted}
        strange = sorted(set(state) - known)
        if strange:
            raise PlanError(
                f"the plan does not mention {len(strange)} of {len(state)} tensors: {', '.join(strange)}\n"
                'Make the plan anew, or write a move of them, or list them under "dropped" with the reason.',
                unexpected=strange,
            )

    def changes(self, new: Plan) -> str:
        """Write how this plan and a new one treat each tensor differently; empty if they do not."""
        return changes_text(self, new)

    def to_html(
        self,
        *,
        rules: Iterable[Rule | str] | Rule | str | Path = (),
        state: Mapping[str, Any] | None = None,
        sources: Iterable[str] = (),
    ) -> str:
        """Write the plan as one HTML page that needs nothing else, in which what is open can be settled.

        Args:
            rules: The rules that the plan was made with: the file that the page exports has them, too.
            state: The tensors, to show samples of their values before and after: each of them is read once.
            sources: The files of the models, as ``model.py`` or ``model.py:Net``, for the lines that decided.
        """
        from ml_switcheroo.report.page import plan_html

        opened = as_state(state) if state is not None else None
        return plan_html(self, rules=rules_given(rules), state=opened, sources=sources)

    def __invert__(self) -> Plan:
        """Return the plan back to PyTorch's names and layouts.

        Raises:
            UsageError: A move has arithmetic in it that cannot be undone; the error names all such.
        """
        back, lost = [], []
        for move in self.moves:
            try:
                back.append(~move)
            except UsageError as error:
                lost.append(str(error))
        if lost:
            raise UsageError("this plan has no inverse:\n" + "\n".join(f"  {line}" for line in sorted(lost)))
        return replace(
            self,
            target="torch" if self.target != "torch" else "",
            moves=tuple(back),
            dropped=self.kept,
            kept=self.dropped,
            unexpected=self.missing,
            missing=self.unexpected,
        )

    def to_json(self) -> dict[str, Any]:
        """Describe the plan with JSON's types.

        ``differences``, a list of sentences, is there only where the two programs were read and compute
        something else; a move that this reading has found has the ``origin`` ``graph``.
        """
        return {
            "format": FORMAT,
            "target": self.target,
            "source": self.source,
            "moves": [move.to_json() for move in self.moves],
            **{name: _left_to_json(getattr(self, name)) for name in _LEFT},
            "ambiguous": [
                {
                    "names": list(a.names),
                    "candidates": list(a.candidates),
                    "rules": list(a.rules),
                    "specs": [spec_to_json(spec) for spec in a.specs],
                }
                for a in self.ambiguous
            ],
            "notes": list(self.notes),
            **({"differences": list(self.differences)} if self.differences else {}),
        }

    def save(self, path: str | Path, *inputs: Any) -> None:
        """Write the plan as JSON; the file appears whole or not at all.

        Args:
            path: The file to write.
            inputs: What must not be overwritten, besides the checkpoint that the plan was made for.

        Raises:
            CheckpointError: The file cannot be written.
            UsageError: It is one of the inputs.
        """
        write_text(path, json.dumps(self.to_json(), indent=1) + "\n", self.source, *inputs)

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan, which may have been edited, and verify it.

        Raises:
            UsageError: The file is no plan of a format that this version reads; or a move does not give
                what it promises, or a tensor or leaf stands in two places. All of that is listed.
        """
        try:
            record = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: {cannot_read(path, error)}", where=path) from error
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}: {error}", where=path) from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise UsageError(f"{path}: expected a plan of format {FORMAT}")
        try:
            moves, problems = _moves_from_json(record["moves"])
            left: dict[str, Any] = {name: _left_from_json(record[name]) for name in _LEFT}
            plan = cls(
                target=record["target"],
                moves=tuple(moves),
                **left,
                ambiguous=tuple(
                    Ambiguity(
                        tuple(a["names"]),
                        tuple(a["candidates"]),
                        tuple(a["rules"]),
                        tuple(map(spec_from_json, a.get("specs", ()))),
                    )
                    for a in record["ambiguous"]
                ),
                notes=tuple(record["notes"]),
                source=record["source"],
                differences=tuple(record.get("differences", ())),
            )
        except (KeyError, TypeError, AttributeError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise UsageError(f"{path}: not a plan: {why}", where=path) from error
        problems += [f"{name}: in two places of the plan" for name in plan.twice]
        if problems:
            listed = "\n".join(f"  {line}" for line in problems)
            raise UsageError(f"{path}: {len(problems)} of its entries make no sense\n{listed}")
        return plan

    @property
    def twice(self) -> tuple[str, ...]:
        """Tensors, then leaves, that the plan accounts for in two places; there must be none."""
        moved = [name for move in self.moves for name in move.sources]
        filled = [path for move in self.moves for path in move.leaves]
        sources = Counter([*moved, *self.dropped, *self.unexpected, *self.doubted])
        leaves = Counter([*filled, *self.kept, *self.missing])
        return tuple(name for counted in (sources, leaves) for name in sorted(counted) if counted[name] > 1)


_LEFT = ("dropped", "kept", "unexpected", "missing")


def _left_to_json(left: Mapping[str, Unmoved]) -> dict[str, Any]:
    return {name: {"spec": spec_to_json(entry.spec), "why": entry.why} for name, entry in left.items()}


def _left_from_json(record: Mapping[str, Any]) -> Mapping[str, Unmoved]:
    return {name: Unmoved(spec_from_json(entry["spec"]), entry["why"]) for name, entry in record.items()}


def _moves_from_json(records: list[Mapping[str, Any]]) -> tuple[list[Move], list[str]]:
    """Make the moves, and say of each that cannot be made why."""
    moves, problems = [], []
    for place, record in enumerate(records):
        try:
            moves.append(Move.from_json(record))
        except UsageError as error:
            problems.append(f"moves[{place}], {', '.join(record['sources'])}: {error}")
    return moves, problems
