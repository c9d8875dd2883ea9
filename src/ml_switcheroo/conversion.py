"""From file to file: plan, check, and write leaf by leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ml_switcheroo._version import __version__
from ml_switcheroo.errors import CastError, UsageError
from ml_switcheroo.export import check_ties, to_torch
from ml_switcheroo.formats import Checkpoint, open_checkpoint
from ml_switcheroo.formats.apart import keep_apart
from ml_switcheroo.formats.given import Paths, is_files, layers_of, opened
from ml_switcheroo.formats.output import left_behind
from ml_switcheroo.ops import Array
from ml_switcheroo.outputs import choose_output, writer_of_state_dicts
from ml_switcheroo.plan import Plan
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.progress import beginning
from ml_switcheroo.provenance import exported, stamp, stamped_target
from ml_switcheroo.rules import Rule
from ml_switcheroo.scales import said_of_values
from ml_switcheroo.sources.evidence import tied_in
from ml_switcheroo.targets import find_target
from ml_switcheroo.tensors import TensorSpec, as_numpy, read_array, spec_of

__all__ = ["Conversion", "convert", "export"]


@dataclass(frozen=True, repr=False)
class Conversion:
    """What a checkpoint file becomes, apart from the file it is written to.

    Attributes:
        checkpoint: The PyTorch checkpoint: its path, those of all shards, a state dict, or a module.
        to: Name of the target.
        layers: What the PyTorch side is, as in :func:`~ml_switcheroo.planning.planner.make_plan`.
        like: What the target side is, likewise.
        rules: The user's rules.
        dtype: The dtype that floating-point leaves get.
        layout: Where the target model has the channels of its images, likewise.
        inputs: What the PyTorch model is given, so that both programs are read, likewise.
        target_inputs: What the target's model takes, if that differs, likewise.
        target_call: What runs the target's model, likewise.
        select: Which state dict, if the file holds several.
        ema: Whether to take averaged weights, as in
            :func:`~ml_switcheroo.formats.opening.open_checkpoint`.
        merge: An adapter of LoRA to merge into the weights, as in
            :func:`~ml_switcheroo.formats.opening.open_checkpoint`.
        dequantise: Whether to compute the weights that quantised ones stand for, as in
            :func:`~ml_switcheroo.formats.opening.open_checkpoint`.
        plan: A plan made before. Then ``layers``, ``rules``, ``dtype`` and ``layout`` are not used, and
            ``like`` only to lay out a file of Keras.
        allow_missing: Write even if leaves of ``like`` are not filled.
        allow_unexpected: Write even if tensors are left over.
        allow_overflow: Write even if finite values become infinite, NaN, 0 or other integers.
    """

    checkpoint: Mapping[str, Any] | Paths
    _: KW_ONLY
    to: str
    layers: Any = None
    like: Any = None
    rules: Iterable[Rule] | str | Path = ()
    dtype: Any = None
    layout: str | None = None
    inputs: Any = None
    target_inputs: Any = None
    target_call: Callable[..., Any] | None = None
    select: str | None = None
    ema: bool = False
    dequantise: bool = False
    merge: str | Path | None = None
    plan: Plan | None = None
    allow_missing: bool = False
    allow_unexpected: bool = False
    allow_overflow: bool = False

    def __repr__(self) -> str:
        given = self.checkpoint if is_files(self.checkpoint) else type(self.checkpoint).__name__
        return f"<Conversion {given} -> {self.to}>"

    def write(
        self,
        out: str | Path,
        *,
        format: str | None = None,  # noqa: A002 (the word users know)
        max_shard_bytes: int | None = None,
        resume: bool = False,
        say: Callable[[str], object] = str,
        progress: Callable[[int, int], object] | None = None,
    ) -> Plan:
        """Write the leaves; the output appears whole or not at all.

        Args:
            out: The file to write; its suffix decides the format (``.safetensors``, ``.npz``,
                ``.weights.h5``; ``.pt`` for the target ``numpy``). A name without a suffix is a folder: of
                safetensors with ``max_shard_bytes``, else of Orbax.
            format: ``safetensors``, ``npz``, ``torch``, ``keras`` or ``orbax``, if no suffix decides.
            max_shard_bytes: Write safetensors files of at most that many bytes, and their index.
            resume: Keep what is done if the run is interrupted. Go on with what an interrupted run of the
                same plan, source and version left.
            say: Called with a sentence when a run goes on or starts anew, or a person should know something.
            progress: Called with the bytes of leaves that are written and those of all leaves.

        Returns:
            The plan that was carried out.

        Raises:
            CastError: A dtype cannot hold what it gets; nothing was written.
            PlanError: Something is missing, unexpected or ambiguous; nothing was written.
            CheckpointError: The source cannot be read, or changed; or ``out`` cannot be written.
            UsageError: Nothing decides the format, the options do not go together, or the checkpoint was
                converted already.
        """
        out = Path(out)
        if not isinstance(max_shard_bytes, int | None):
            raise UsageError(f"max_shard_bytes={max_shard_bytes!r}: a number of bytes, such as 5_000_000_000")
        keep_apart(out, self.checkpoint, self.layers, self.like, self.rules)
        output = choose_output(out, format, self.to, resume=resume, max_shard_bytes=max_shard_bytes)
        for note in _left_over(out):
            say(note)
        with opened(self.checkpoint, **self._reading) as state:
            plan = self._plan(state, output.target)
            leaves = plan.apply(state, partial=True, allow_overflow=self.allow_overflow)
            beginning(f"writing {out}")
            for note in said_of_values(plan.moves, state):
                say(note)
            key = f"{__version__} {plan.digest} {state.fingerprint}"
            write = output.writer(plan, self.like, key, say, tied_in(state))
            stream = _counted(leaves.stream(), sum(spec.nbytes for spec in plan.outputs.values()), progress)
            try:
                write(out, plan.outputs, stream, stamp(plan, state.digest))
            except CastError:
                leaves.check_values()  # the first leaf stopped the run; this names all
                raise
        return plan

    def is_up_to_date(self, out: str | Path) -> bool:
        """Tell whether a file is, leaf for leaf and bit for bit, what :meth:`write` would write."""
        if not Path(out).exists():
            return False
        with opened(self.checkpoint, **self._reading) as state, open_checkpoint(out) as there:
            plan = self._plan(state, find_target(self.to).name)
            if dict(there.specs) != dict(plan.outputs):
                return False
            leaves = plan.apply(state, partial=True, allow_overflow=self.allow_overflow).stream()
            return all(np.array_equal(_bytes(leaf), _bytes(there[path].read())) for path, leaf in leaves)

    @property
    def _reading(self) -> dict[str, Any]:
        """How the checkpoint is read."""
        return {"select": self.select, "ema": self.ema, "dequantise": self.dequantise, "merge": self.merge}

    def _plan(self, state: Checkpoint, target: str) -> Plan:
        """Return the plan to carry out, checked."""
        plan = self.plan or make_plan(
            state,
            to=self.to,
            layers=layers_of(self.checkpoint, self.layers),
            like=self.like,
            rules=self.rules,
            dtype=self.dtype,
            layout=self.layout,
            inputs=self.inputs,
            target_inputs=self.target_inputs,
            target_call=self.target_call,
        )
        if plan.target != target:
            raise UsageError(f"the plan is one to {plan.target}, not to {target}")
        if not self.allow_unexpected:
            plan.check_names(state)
        plan.check(allow_missing=self.allow_missing, allow_unexpected=self.allow_unexpected)
        return plan


def convert(
    checkpoint: Mapping[str, Any] | Paths,
    out: str | Path,
    *,
    to: str,
    layers: Any = None,
    like: Any = None,
    rules: Iterable[Rule] | str | Path = (),
    dtype: Any = None,
    layout: str | None = None,
    inputs: Any = None,
    target_inputs: Any = None,
    target_call: Callable[..., Any] | None = None,
    select: str | None = None,
    ema: bool = False,
    dequantise: bool = False,
    merge: str | Path | None = None,
    plan: Plan | None = None,
    allow_missing: bool = False,
    allow_unexpected: bool = False,
    allow_overflow: bool = False,
    format: str | None = None,  # noqa: A002 (the word users know)
    max_shard_bytes: int | None = None,
    resume: bool = False,
    say: Callable[[str], object] = str,
    progress: Callable[[int, int], object] | None = None,
) -> Plan:
    """Convert a checkpoint file; the output appears whole or not at all.

    A shortcut for :meth:`Conversion.write`, which documents ``out``, ``format``, ``max_shard_bytes``,
    ``resume``, ``say``, ``progress``, the result and the errors. The other arguments are the attributes of
    :class:`Conversion`.
    """
    conversion = Conversion(
        checkpoint,
        to=to,
        layers=layers,
        like=like,
        rules=rules,
        dtype=dtype,
        layout=layout,
        inputs=inputs,
        target_inputs=target_inputs,
        target_call=target_call,
        select=select,
        ema=ema,
        dequantise=dequantise,
        merge=merge,
        plan=plan,
        allow_missing=allow_missing,
        allow_unexpected=allow_unexpected,
        allow_overflow=allow_overflow,
    )
    return conversion.write(
        out, format=format, max_shard_bytes=max_shard_bytes, resume=resume, say=say, progress=progress
    )


def _left_over(out: Path) -> Iterator[str]:
    """Say what runs that were killed have left beside an output; nothing is deleted that nobody named."""
    for file in left_behind(out):
        named = out.with_name(file.name)
        yield f"{named} ({file.stat().st_size:,} bytes) was left by a run that was killed: rm {named}"


def _counted(
    leaves: Iterable[tuple[str, Any]], total: int, progress: Callable[[int, int], object] | None
) -> Iterator[tuple[str, Any]]:
    """Report the bytes of each leaf when the next one is asked for: all but some strips are written then."""
    done = 0
    for path, leaf in leaves:
        yield path, leaf
        done += leaf.nbytes
        if progress is not None:
            progress(done, total)


def export(
    converted: Paths,
    out: str | Path,
    *,
    like: Mapping[str, Any] | Paths | None = None,
    to: str | None = None,
    layers: Any = None,
    rules: Iterable[Rule] | str | Path = (),
    layout: str | None = None,
    select: str | None = None,
    plan: Plan | None = None,
    say: Callable[[str], object] = str,
) -> dict[str, TensorSpec]:
    """Turn a converted checkpoint back into one of PyTorch.

    With the plan of the conversion its moves are undone one by one, and memory is bounded by the largest of
    them; else the plan is made anew from ``like``, and the result is in memory before it is written.

    Args:
        converted: The file that :func:`convert` wrote, or one with the same leaves.
        out: The file to write; its suffix decides the format (``.safetensors``, ``.npz`` or ``.pt``).
        like: The PyTorch checkpoint whose names, layouts and dtypes the result has; with ``plan`` only that
            from which tensors without a place in the target are copied.
        to: What it was converted to, if its stamp does not say so.
        layers: What the PyTorch side is, as in :func:`make_plan`.
        rules: The rules it was converted with.
        layout: The layout it was converted with.
        select: Which state dict of ``like``, if it holds several.
        plan: The plan it was converted with. Then ``layers``, ``rules`` and ``layout`` are not used.
        say: Called with a sentence about what is not written.

    Returns:
        The specs of what was written, by PyTorch's names.

    Raises:
        LoadError: The leaves are not those of ``like``.
        UsageError: Nothing says what it was converted to, or it is a checkpoint of PyTorch already.
    """
    out = Path(out)
    writer_of_state_dicts(out)
    if like is None and plan is None:
        raise UsageError("export: say what the PyTorch names are: like= (--like), or the plan= (--plan)")
    keep_apart(out, converted, like, layers, rules)
    with opened(converted) as leaves, opened({} if like is None else like, select=select) as state:
        target = _converted_to(converted, stamped_target(leaves), to, plan)
        if plan is not None:
            specs, stream = _undone(plan, target, leaves, state, say)
        else:
            named = layers_of(like, layers)
            specs, stream = _made_anew(leaves, state, target, layers=named, rules=rules, layout=layout)
        write = writer_of_state_dicts(out, tied_in(state))
        write(out, specs, stream, exported(leaves.path))
    return specs


Stream = tuple[dict[str, TensorSpec], Iterator[tuple[str, Any]]]


def _converted_to(converted: Paths, stamped: str | None, said: str | None, plan: Plan | None) -> str:
    if stamped == "torch":
        raise UsageError(f"{converted} was already turned back into a checkpoint of PyTorch")
    target = said or stamped or (plan.target if plan else None)
    if target is None:
        raise UsageError(f"{converted} has no stamp that says what it was converted to; say to= (--to)")
    return target


def _made_anew(leaves: Checkpoint, state: Mapping[str, Any], target: str, **options: Any) -> Stream:
    arrays = {path: tensor.read() for path, tensor in leaves.items()}
    made = {
        name: as_numpy(value)
        for name, value in to_torch(arrays, like=state, to=target, tensors=False, **options).items()
    }
    return {name: spec_of(array) for name, array in made.items()}, iter(made.items())


def _undone(
    plan: Plan, target: str, leaves: Checkpoint, state: Mapping[str, Any], say: Callable[[str], object]
) -> Stream:
    """Undo the moves of a plan; what it has dropped is copied, where there is something to copy it from."""
    if find_target(target).name != plan.target:
        raise UsageError(f"the plan is one to {plan.target}; the leaves are those of {target}")
    plan.check(allow_missing=True, allow_unexpected=True)
    back = replace(~plan, missing={})  # these tensors are copied below
    specs = {**back.outputs}
    left = [*plan.dropped, *plan.unexpected]
    copied = {name: spec_of(state[name]) for name in left if name in state}
    absent = [name for name in left if name not in state]
    if absent:
        few = ", ".join(absent[:5]) + (" ..." if len(absent) > 5 else "")
        say(f"not written, since the plan moves it nowhere (--like has it): {few}")
    order = [name for name in state if name in specs or name in copied] or list(specs)
    both = {**specs, **copied}
    ordered = {name: both[name] for name in dict.fromkeys([*order, *both])}
    moved = back.apply(leaves)
    check_ties(tied_in(state), moved)
    rest = ((name, read_array(state[name])) for name in copied)
    return ordered, chain(moved.stream(), rest)


def _bytes(array: Any) -> Array:
    return np.ascontiguousarray(np.asarray(array)).reshape(-1).view(np.uint8)
