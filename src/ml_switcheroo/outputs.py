"""Into which format a conversion writes, and what goes together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats import write_npz, write_safetensors, write_shards
from ml_switcheroo.formats.hdf5_writer import Hdf5Layout, write_hdf5
from ml_switcheroo.formats.orbax_writer import write_orbax
from ml_switcheroo.plan import Plan
from ml_switcheroo.recipes import Target
from ml_switcheroo.targets import TARGETS, find_target

__all__ = ["FORMATS", "Output", "choose_output"]

Writer = Callable[..., object]

FORMATS = {"safetensors": ".safetensors", "npz": ".npz", "keras": ".weights.h5", "orbax": ""}
"""The formats that are written, each with the end of its names; a name without one is a folder."""


@dataclass(frozen=True, slots=True)
class Output:
    """How a conversion writes.

    Attributes:
        format: A name from :data:`FORMATS`.
        target: Name of the target.
        max_shard_bytes: Largest size of a file, where there are to be several.
        resume: Whether the run can be interrupted.
    """

    format: str
    target: str
    max_shard_bytes: int | None = None
    resume: bool = False

    def writer(self, plan: Plan, like: Any, key: str, say: Callable[[str], object]) -> Writer:
        """Return the function that writes: called with path, specs, leaves and metadata.

        Args:
            plan: What is written.
            like: The live model; the one of Keras decides where its variables lie in a file.
            key: What the leaves are made of and how.
            say: Called with a sentence about the run.

        Raises:
            UsageError: The format needs a live model.
        """
        for note in _notes(self.format, plan):
            say(note)
        if self.format == "keras":
            return partial(write_hdf5, layout=_keras_layout(plan, like, say))
        if self.format == "orbax":
            return partial(write_orbax, separator=find_target(self.target).naming.separator)
        if self.format == "npz":
            return write_npz
        if self.max_shard_bytes is not None:
            return partial(write_shards, max_bytes=self.max_shard_bytes)
        return partial(write_safetensors, resume=key if self.resume else None, say=say)


def choose_output(
    out: Path,
    name: str | None,
    target: str,
    *,
    resume: bool = False,
    max_shard_bytes: int | None = None,
) -> Output:
    """Decide the format by what was asked for, else by the end of the file's name.

    Args:
        out: The file or folder.
        name: A name from :data:`FORMATS`; None leaves it to ``out``.
        target: Name of the target.
        resume: Whether the run can be interrupted.
        max_shard_bytes: Largest size of a file, where there are to be several.

    Raises:
        UsageError: Nothing decides the format, or things do not go together; all of them are named.

    >>> choose_output(Path("weights.npz"), None, "jax").format
    'npz'
    """
    row = find_target(target)
    by_name = next((form for form, suffix in FORMATS.items() if suffix and out.name.endswith(suffix)), None)
    if name is None and by_name is None and max_shard_bytes is not None:
        by_name = "safetensors"
    if name is None and by_name is None and not out.suffix and "orbax" in row.files.formats:
        by_name = "orbax"
    found = name or by_name
    if found not in FORMATS:
        known = ", ".join(suffix for suffix in FORMATS.values() if suffix)
        raise UsageError(
            f"{out}: the suffix is none of {known}; say which format ({', '.join(FORMATS)}) is meant"
        )
    problems = list(_problems(out, found, row, resume=resume, sharded=max_shard_bytes is not None))
    if problems:
        raise UsageError(f"{out}: {'; '.join(problems)}")
    return Output(found, row.name, max_shard_bytes, resume)


def _problems(out: Path, form: str, target: Target, *, resume: bool, sharded: bool) -> Iterator[str]:
    if form == "keras" and form not in target.files.formats:
        yield f"Keras's weights are those of the target {_written_to(form)}, not of {target.name}"
    if form == "keras" and not out.name.endswith(".weights.h5"):
        yield "Keras reads only names that end in .weights.h5"
    if form == "orbax" and form not in target.files.formats:
        yield f"only trees of {_written_to(form)} are written as an Orbax folder, not those of {target.name}"
    if form == "orbax" and out.is_file():
        yield "an Orbax checkpoint is a folder; this is a file"
    if resume and form != "safetensors":
        yield "only a run into a .safetensors file can be resumed"
    if sharded:
        if form != "safetensors":
            yield "only safetensors are written in several files"
        elif out.name.endswith(tuple(suffix for suffix in FORMATS.values() if suffix)) or out.is_file():
            yield "several files go into a folder; give its name"
        if resume:
            yield "a run into several files cannot be resumed: leave out resume or the largest size"


def _written_to(form: str) -> str:
    """Name the targets that a format is for."""
    return ", ".join(target.name for target in TARGETS.values() if form in target.files.formats)


def _notes(form: str, plan: Plan) -> Iterator[str]:
    """Say what the target's own library will not read."""
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
