"""The format that a conversion writes, and which options go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats.hdf5_writer import Hdf5Layout
from ml_switcheroo.formats.writing import SUFFIXES, WRITERS, Writer
from ml_switcheroo.plan import Plan
from ml_switcheroo.recipes import Target
from ml_switcheroo.targets import all_targets, find_target

__all__ = ["Output", "choose_output", "writer_of_state_dicts"]


@dataclass(frozen=True, slots=True)
class Output:
    """How a conversion writes.

    Attributes:
        format: A name from :data:`~ml_switcheroo.formats.writing.WRITERS`.
        target: Name of the target.
        max_shard_bytes: Largest size of a file, if there may be several.
        resume: Whether the run can be interrupted.
    """

    format: str
    target: str
    max_shard_bytes: int | None = None
    resume: bool = False

    def writer(
        self,
        plan: Plan,
        like: Any,
        key: str,
        say: Callable[[str], object],
        tied: Iterable[Sequence[str]] = (),
    ) -> Writer:
        """Return the function that writes: called with path, specs, leaves and metadata.

        Args:
            plan: What is written.
            like: The live model; a Keras model decides where its variables lie in a file.
            key: Identifies what the leaves are made from, and how.
            say: Called with a sentence about the run.
            tied: Source tensors that are one.

        Raises:
            UsageError: The format needs a live model.
        """
        row = WRITERS[self.format]
        for note in _notes(self.format, plan):
            say(note)
        if self.max_shard_bytes is not None and row.write_shards is not None:
            return partial(row.write_shards, max_bytes=self.max_shard_bytes)
        made: dict[str, Callable[[], Any]] = {
            "layout": lambda: _keras_layout(plan, like, say),
            "separator": lambda: find_target(self.target).naming.separator,
            "resume": lambda: key if self.resume else None,
            "say": lambda: say,
            "tied": lambda: _tied(plan, tied),
        }
        return partial(row.write, **{option: made[option]() for option in row.options})


def _tied(plan: Plan, tied: Iterable[Sequence[str]]) -> tuple[Sequence[str], ...]:
    """Return the leaves that are one tensor: their sources are, and nothing is done to these."""
    same = {move.sources[0]: move.leaves[0] for move in plan.moves if not move.ops}
    return tuple([same[name] for name in names if name in same] for names in tied)


def choose_output(
    out: Path,
    name: str | None,
    target: str,
    *,
    resume: bool = False,
    max_shard_bytes: int | None = None,
) -> Output:
    """Decide the format: the one that was asked for, else by how the name ends.

    Args:
        out: The file or folder.
        name: A name from :data:`~ml_switcheroo.formats.writing.WRITERS`; None leaves it to ``out``.
        target: Name of the target.
        resume: Whether the run can be interrupted.
        max_shard_bytes: Largest size of a file, if there may be several.

    Raises:
        UsageError: Nothing decides the format, or options do not go together; all problems are named.

    >>> choose_output(Path("weights.npz"), None, "jax").format
    'npz'
    """
    row = find_target(target)
    by_name = next((form for suffix, form in SUFFIXES.items() if out.name.endswith(suffix)), None)
    if by_name is None and max_shard_bytes is not None:
        by_name = next(form for form, one in WRITERS.items() if one.write_shards)
    if by_name is None and not out.suffix:
        by_name = next((form for form in row.files.formats if not WRITERS[form].suffix), None)
    found = name or by_name
    if found is None or found not in WRITERS:
        known = ", ".join(SUFFIXES)
        raise UsageError(f"{out}: the suffix is none of {known}; say which format: {', '.join(WRITERS)}")
    problems = list(_problems(out, found, row, resume=resume, sharded=max_shard_bytes is not None))
    if problems:
        raise UsageError(f"{out}: {'; '.join(problems)}")
    return Output(found, row.name, max_shard_bytes, resume)


def writer_of_state_dicts(out: Path, tied: Iterable[Sequence[str]] = ()) -> Writer:
    """Return the function that writes a PyTorch state dict to a file.

    Args:
        out: The file.
        tied: Names that are one tensor, for a format that can say so.

    Raises:
        UsageError: No format with this suffix holds one.
    """
    holding = {row.suffix: row for row in WRITERS.values() if row.of_torch}
    if out.suffix not in holding:
        *some, last = holding
        raise UsageError(f"{out}: a PyTorch state dict is written as {', '.join(some)} or {last}")
    row = holding[out.suffix]
    return partial(row.write, tied=tuple(tied)) if "tied" in row.options else row.write


def _problems(out: Path, form: str, target: Target, *, resume: bool, sharded: bool) -> Iterator[str]:
    row = WRITERS[form]
    if row.why_only and form not in target.files.formats:
        yield row.why_only.format(targets=_written_to(form), target=target.name)
    if "layout" in row.options and not out.name.endswith(row.suffix):
        yield f"Keras reads only names that end in {row.suffix}"
    if not row.suffix and out.is_file():
        yield "an Orbax checkpoint is a folder; this is a file"
    if resume and not row.resumable:
        yield "only a run into a .safetensors file can be resumed"
    if sharded:
        if row.write_shards is None:
            yield "only safetensors are written in several files"
        elif out.name.endswith(tuple(SUFFIXES)) or out.is_file():
            yield "several files go into a folder; give its name"
        if resume:
            yield "a run into several files cannot be resumed: leave out resume or the largest size"


def _written_to(form: str) -> str:
    """Name the targets that a format is for."""
    return ", ".join(target.name for target in all_targets().values() if form in target.files.formats)


def _notes(form: str, plan: Plan) -> Iterator[str]:
    """Warn about dtypes that the target's own library does not read."""
    files = find_target(plan.target).files
    unreadable = files.unreadable.get(form, ())
    wrong = [path for path, spec in plan.outputs.items() if spec.dtype in unreadable]
    if wrong:
        few = ", ".join(wrong[:3]) + (" ..." if len(wrong) > 3 else "")
        yield (
            f"{files.loader} reads no {plan.outputs[wrong[0]].dtype} from {form} ({len(wrong)} leaves:"
            f" {few}); floating-point leaves can be cast with a dtype such as float32"
        )


def _keras_layout(plan: Plan, like: Any, say: Callable[[str], object]) -> Hdf5Layout:
    live = find_target(plan.target).live
    if live is None or not live.owns(like):
        raise UsageError(
            "a .weights.h5 file is laid out by the attributes and classes of the live Keras model:"
            " give it as like= (--like port.py:make_model)"
        )
    from ml_switcheroo.targets.keras_file import layout_of

    found = layout_of(like)
    absent = sorted(set(plan.outputs) - set(found.places))
    if absent:
        raise UsageError(f"the Keras model has no variables {', '.join(absent[:10])}; make the plan for it")
    left = {path: place for path, place in found.places.items() if path not in plan.outputs}
    if left:
        few = ", ".join(sorted(left)[:3]) + (" ..." if len(left) > 3 else "")
        say(f"{len(left)} variables keep the values of the model, because a layer's are read together: {few}")
    values = live.read(like) if left else {}
    rest = {**found.rest, **{place: values[path] for path, place in left.items()}}
    places = {path: found.places[path] for path in plan.outputs}
    return Hdf5Layout(places, found.groups, rest)
