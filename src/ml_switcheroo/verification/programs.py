"""Two programs that are read and compared: nothing is run, and no weights are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.formats.given import Paths, as_state, is_files
from ml_switcheroo.planning.planner import matched_programs, specs_of
from ml_switcheroo.report.programs import gap_lines, refused_lines
from ml_switcheroo.shown import html_text
from ml_switcheroo.verification.sides import Sides

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two programs have in common, and where they part; print it, or read its attributes.

    Attributes:
        source: The PyTorch model: its class, or ``"model.py:Net"``.
        target: Name of the target.
        same: Whether both give the same, all the way to the outputs.
        differences: Where they compute something else, each with a line of both.
        gaps: What of either could not be followed.
        leaves: The tensors that each leaf is, by path, as far as both do the same with them.
        total: How many leaves the target's model has.
        notes: What else a person should know.
    """

    source: str
    target: str
    same: bool
    differences: tuple[str, ...]
    gaps: tuple[str, ...]
    leaves: Mapping[str, tuple[str, ...]]
    total: int
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Literal["compute the same", "differ", "not followed"]:
        """Whether they compute the same, differ, or could not be followed far enough to tell."""
        if self.same and not self.differences:
            return "compute the same"
        return "differ" if self.differences else "not followed"

    @property
    def agrees(self) -> bool:
        """Whether both compute the same; false where that could not be seen."""
        return self.verdict == "compute the same"

    def to_json(self) -> dict[str, Any]:
        """Describe the comparison with JSON's types."""
        return {**asdict(self), "agrees": self.agrees, "verdict": self.verdict}

    def __repr__(self) -> str:
        return f"<Comparison {self.source} -> {self.target}: {self.verdict}>"

    def _repr_html_(self) -> str:
        return html_text(str(self))

    def __str__(self) -> str:
        head = f"{self.source} (torch) and its port ({self.target})"
        count = f"{len(self.leaves)} of {self.total} leaves are matched"
        said = {
            "compute the same": f"both compute the same; {count}",
            "differ": f"they compute something else; {count}",
            "not followed": f"it is not known whether they compute the same; {count}",
        }
        lines = [f"{head}: {said[self.verdict]}", *(f"  {line}" for line in self.differences)]
        # What could not be followed is no news where both were seen to give the same.
        lines += [f"  {gap}" for gap in self.gaps if not self.agrees]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def compare(
    state: Mapping[str, Any] | Paths | None = None,
    *,
    layers: Any,
    like: Any,
    inputs: Any,
    to: str | None = None,
    target_inputs: Any = None,
    target_call: Callable[..., Any] | None = None,
) -> Comparison:
    """Read a PyTorch model and its port, and say where they compute something else.

    Neither is run. The PyTorch model is read (its source, or the source of a live module's classes), and the
    target's model is traced on shapes.

    Args:
        state: A checkpoint, its path or a state dict, for the names and shapes of the tensors; no value is
            read. A live module has its own.
        layers: The PyTorch model: ``"model.py:Net"``, or a ``torch.nn.Module``.
        like: The live model of the target.
        inputs: What the PyTorch model is given: ``"float32[1,3,64,64]"``, or as in
            :func:`~ml_switcheroo.planning.planner.make_plan`.
        to: Name of the target, where the model is a plain tree that does not show it.
        target_inputs: What the target's model takes, if that differs.
        target_call: What runs the target's model; needed for the variables of Linen and Haiku.

    Raises:
        SourceError: The PyTorch model cannot be read.
        SwitcherooError: The target's model cannot be traced.
        UsageError: An argument does not fit the others.
    """
    if is_files(state):
        with open_checkpoint(state) as opened:
            return compare(
                opened,
                layers=layers,
                like=like,
                inputs=inputs,
                to=to,
                target_inputs=target_inputs,
                target_call=target_call,
            )
    if state is None:
        if not hasattr(layers, "state_dict"):
            raise UsageError("say which checkpoint: the names and shapes of its tensors are read, no value")
        state = layers
    state = as_state(state)
    target = Sides.target_of(like, to).name
    matched = matched_programs(
        state,
        to=target,
        layers=layers,
        like=like,
        inputs=inputs,
        target_inputs=target_inputs,
        target_call=target_call,
    )
    # Imported where programs are read.
    from ml_switcheroo.graph.differences import differences
    from ml_switcheroo.graph.moving import moves_of

    there = matched.target.graph
    shapes = {name: spec.shape for name, spec in specs_of(state).items()}
    shapes |= {
        name: matched.source.graph.nodes[one].shape for name, one in matched.source.graph.leaves.items()
    }
    paths = {path: there.nodes[number].shape for path, number in there.leaves.items()}
    drawn, refused = moves_of(matched, shapes, paths)
    return Comparison(
        source=str(layers) if isinstance(layers, str | Path) else type(layers).__name__,
        target=target,
        same=matched.complete,
        differences=tuple(differences(matched)),
        gaps=tuple(gap_lines(matched)),
        leaves={path: move.sources for move in drawn if not move.likely for path in move.leaves},
        total=len(paths),
        notes=tuple(refused_lines(refused)),
    )
