"""``read_layers``: from ``model.py:Net`` and the names of a checkpoint to what every tensor is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from ml_switcheroo.code.library import Library, Source
from ml_switcheroo.errors import SourceError, did_you_mean
from ml_switcheroo.sources.findings import Knowledge
from ml_switcheroo.sources.static.python.classes import find
from ml_switcheroo.sources.static.python.containing import contained
from ml_switcheroo.sources.static.python.frames import Class, Frame, Function
from ml_switcheroo.sources.static.python.heap import Changed
from ml_switcheroo.sources.static.python.lazily import handed_out
from ml_switcheroo.sources.static.python.limits import deep_recursion, little_garbage
from ml_switcheroo.sources.static.python.machine import STEPS, Budget, Machine
from ml_switcheroo.sources.static.python.own_code import imported, module_name
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    Arguments,
    Bound,
    Builtin,
    External,
    Instance,
    Partial,
    Raised,
    Site,
    Unknown,
    Value,
    options,
)
from ml_switcheroo.sources.static.python.wrapping import unwrapped
from ml_switcheroo.sources.static.reading.attempt import Attempt
from ml_switcheroo.sources.static.reading.called import refuse_call
from ml_switcheroo.sources.static.reading.defaults import Other, doubt_defaults
from ml_switcheroo.sources.static.reading.fit import Claim, Fit, Names, fit
from ml_switcheroo.sources.static.reading.forward import observed
from ml_switcheroo.sources.static.reading.knowledge import knowledge_of
from ml_switcheroo.sources.static.reading.observed import Observed
from ml_switcheroo.sources.static.reading.places import open_source
from ml_switcheroo.sources.static.torch.interpreter import new_machine
from ml_switcheroo.tensors import TensorSpec

__all__ = ["observe_forward", "read_layers", "reading"]


def read_layers(spec: str, specs: Mapping[str, TensorSpec], *, root: Path | None = None) -> Knowledge:
    """Read what the layers of a model are from its source code, without running it.

    The code is parsed and followed by a reader that knows Python and ``torch.nn``; nothing is
    imported. Arguments of the model that have no default are unknown; where the checkpoint shows
    that other arguments than the defaults were used, those are unknown too.

    Args:
        spec: ``path/model.py:Net``, ``path/model.py:resnet50``, ``package.module:Net``, or a file
            or module alone where one class of it fits the checkpoint.
        specs: The checkpoint: shape and dtype by tensor name.
        root: Folder that the path and the imports are relative to; the working directory if None.

    Returns:
        What the code says, and only of names the checkpoint has.

    Raises:
        SourceError: The file cannot be read, or has no such class.
    """
    with reading(spec, specs, root=root) as attempt:
        return knowledge_of(attempt, specs)


def observe_forward(
    spec: str,
    specs: Mapping[str, TensorSpec] = MappingProxyType({}),
    *,
    inputs: Sequence[Sequence[int]] = (),
    root: Path | None = None,
) -> tuple[Observed, tuple[str, ...]]:
    """Return what each expression of a model's ``forward`` is, and notes on what could not be followed.

    Args:
        spec: As for :func:`read_layers`.
        specs: The checkpoint; without one, arguments are what they are by default.
        inputs: The shapes of the first arguments of ``forward``; any further one is a tensor of any shape.
        root: As for :func:`read_layers`.

    Raises:
        SourceError: The file cannot be read, or has no such class.
    """
    notes: list[str] = []
    with reading(spec, specs, root=root) as attempt:
        if attempt.failure:
            notes.append(f"{attempt.label}:{attempt.name} could not be followed: {attempt.failure}.")
        return observed(attempt, specs, notes, inputs), tuple(notes)


@contextmanager
def reading(
    spec: str,
    specs: Mapping[str, TensorSpec],
    *,
    root: Path | None = None,
    machine: Callable[[Library, int, Machine | None], Machine] = new_machine,
) -> Iterator[Attempt]:
    """Read a model, by a machine of one's own; what is done with it meanwhile may go as deep as that."""
    refuse_call(spec)
    source, library, name = open_source(spec, root)
    names = [name] if name else [node.name for node in source.classes]
    if not names:
        raise SourceError(source.label, "defines no class", cure="Name a class or a function: file.py:Net")
    with deep_recursion(), little_garbage():
        attempts = [_best(_Entry(library, source.path, one, specs, machine)) for one in names]
        if not name:
            attempts = _fitting(attempts, source)
        yield attempts[0]


@dataclass(slots=True)
class _Entry:
    """One class or function to start from.

    Attributes:
        machine: Makes a machine.
        before: A reading that has left the modules as they are; None where there is none.
        shared: Whether a reading may go on with what another one has read of the modules.
        tests: How tests of arguments that are not their defaults come out, by their symbols.
    """

    library: Library
    path: Path
    name: str
    specs: Mapping[str, TensorSpec]
    machine: Callable[[Library, int, Machine | None], Machine]
    before: Machine | None = None
    shared: bool = True
    tests: Mapping[str, bool] = field(default_factory=dict)


def _best(entry: _Entry) -> Attempt:
    """Read with the defaults; where that contradicts the checkpoint, with arguments left open.

    What is left open and shows in the checkpoint (a width, a depth) is put in, and the code is read
    again: then more of it can be told, and more of it has to fit.
    """
    first = best = _attempt(entry, _by_default, {}, STEPS)
    if not entry.specs:  # nothing that could contradict the defaults
        return first
    steps = _FEW if first.steps > STEPS else min(_FEW + _TIMES * first.steps, STEPS)
    opened = _opened(first.target, _by_default)
    for opening in (_numbers_open, _plain_open, _all_open):
        if best.exact:
            break
        now = _opened(first.target, opening)
        if now != opened:
            best = min(best, _solved(entry, opening, steps), key=_rank)
            opened = now
    if best is first and first.exact:
        if _opened(first.target, _flags_open) - _opened(first.target, _by_default):
            best.doubts = _doubts(_attempt(entry, _flags_open, {}, steps))
        doubt_defaults(first, _parameters(first.target), steps, lambda other, left: _with(entry, other, left))
    return best


def _with(entry: _Entry, other: Other, steps: int) -> Attempt:
    """Read with arguments that are not their defaults."""

    def opening(name: str, default: Value) -> Value:
        return other.values[name] if name in other.values else _by_default(name, default)

    return _attempt(replace(entry, tests=other.tests), opening, {}, steps)


def _doubts(attempt: Attempt) -> dict[str, tuple[Claim, ...]]:
    """Return the tensors that are of another kind, and fit as well, where a switch is not as by default."""
    if not attempt.exact:
        return {}
    claims = attempt.fit.claims.items()
    return {name: found for name, found in claims if len({claim.kind for claim in found}) > 1}


_FEW, _TIMES = 200_000, 3
"""What one with open arguments may take: a share of its own, and so many times what the first took.

Where the first did not come to an end, one that knows less is hardly any shorter.
"""


def _solved(entry: _Entry, opening: Opening, steps: int) -> Attempt:
    """Read again and again, each time with what the reading before has shown."""
    known: dict[str, Value] = {}
    best = _attempt(entry, opening, known, steps)
    for _ in range(_ROUNDS):
        found = {name: min(sizes) for name, sizes in best.fit.sizes.items() if name and len(sizes) == 1}
        if best.failure or found.items() <= known.items():
            break
        known = {**known, **found}
        again = _attempt(entry, opening, known, steps)
        if _rank(again) > _rank(best):
            break
        best = again
    return best


def _rank(attempt: Attempt) -> tuple[bool, bool, int]:
    """Order readings: first one that came to an end and says something, then by what speaks against it."""
    unsure = sum(len(claims) > 1 for claims in attempt.fit.claims.values())
    against = attempt.fit.contradictions + len(attempt.fit.open) + unsure
    return bool(attempt.failure), not attempt.fit.claims, against


_ROUNDS = 4

Opening = Callable[[str, Value], Value]


def _by_default(name: str, default: Value) -> Value:
    return Unknown(name) if default is ABSENT else default


def _flags_open(name: str, default: Value) -> Value:
    return Unknown(name) if isinstance(default, bool) else _by_default(name, default)


def _numbers_open(name: str, default: Value) -> Value:
    return default if isinstance(default, bool | str) else _plain_open(name, default)


def _plain_open(name: str, default: Value) -> Value:
    closed = default is None or isinstance(default, Class | Function | Builtin | Bound | External | Partial)
    return default if closed else Unknown(name)


def _all_open(name: str, default: Value) -> Value:
    return Unknown(name)


def _attempt(entry: _Entry, opening: Opening, solved: Mapping[str, Value], steps: int) -> Attempt:
    if entry.before is not None:
        try:
            return _one_reading(
                entry, entry.machine(entry.before.library, steps, entry.before), opening, solved
            )
        except Changed:
            entry.before, entry.shared = None, False
    found = _one_reading(entry, entry.machine(entry.library.again(), steps, None), opening, solved)
    if entry.shared and found.alone:
        entry.before = found.machine
    return found


def _one_reading(entry: _Entry, machine: Machine, opening: Opening, solved: Mapping[str, Value]) -> Attempt:
    machine.solved.update(solved)
    machine.told.update(entry.tests)
    steps = machine.steps
    source = machine.library.file(entry.path)
    imported(machine, source)
    failures: list[str] = []
    target = _target(machine, source, entry.name)

    def make() -> Value:
        try:
            return _make(
                machine, source, target, lambda name, default: solved.get(name, opening(name, default))
            )
        except Raised as error:
            failures.append(str(error))
        except (Budget, RecursionError):
            failures.append("the code is too long to follow")
        return Unknown()

    otherwise: Value = Unknown()
    value = contained("", make, otherwise, failures)
    failure = failures[0].removeprefix(" could not be followed: ") if failures else ""
    modules = [one for one in options(value) if isinstance(one, Instance)]
    names = Names.of(entry.specs)
    result = fit(value, names, "") if modules else Fit(open=list(entry.specs))
    took = steps - machine.steps
    machine.heap.fixed = False
    return Attempt(machine, entry.name, source.label, value, result, "", failure, target, took)


def _target(machine: Machine, source: Source, name: str) -> Value:
    target = module_name(machine, source, name)
    target = handed_out(machine, source, name) if target is ABSENT else target
    if target is ABSENT:
        there = [*(one.name for one in source.classes), *(one.name for one in source.functions)]
        raise SourceError(
            source.label,
            f"has no class {name}{did_you_mean(name, there)}",
            cure=f"It has: {', '.join(there) or 'nothing'}.",
        )
    return target


def _make(machine: Machine, source: Source, target: Value, opening: Opening) -> Value:
    node = getattr(target, "node", None) or source.tree.body[0]
    machine.sites.append(Site(source, node))
    machine.frame = Frame(source.values, source)
    try:
        return machine.call(target, _arguments(target, opening))
    finally:
        machine.sites.pop()


def _arguments(target: Value, opening: Opening) -> Arguments:
    """Return the arguments to start with: the defaults, or unknowns by the parameters' names."""
    if _start(target) is not _started(target):  # a wrapper may take other ones, and has its own defaults
        parameters = [(name, default, opening(name, default)) for name, default, _ in _parameters(target)]
        return Arguments([], {name: value for name, default, value in parameters if value is not default})
    made = Arguments(
        [opening(name, default) for name, default, keyword in _parameters(target) if not keyword],
        {name: opening(name, default) for name, default, keyword in _parameters(target) if keyword},
    )
    made.open_keyword = _takes_any(target) and isinstance(opening("", None), Unknown)
    function = _started(target)
    if function is not None and function.node.args.vararg is not None and not made.positional:
        made.open_positional = made.open_keyword = True  # it hands on whatever it is given
    return made


def _opened(target: Value, opening: Opening) -> set[str]:
    """Return the parameters that are left open; the empty name stands for ``**kwargs``."""
    names = {name for name, default, _ in _parameters(target) if isinstance(opening(name, default), Unknown)}
    return names | ({""} if _takes_any(target) and isinstance(opening("", None), Unknown) else set())


def _start(target: Value) -> Value:
    """Return the function that runs when a class or function is called."""
    return find(target, "__init__")[0] if isinstance(target, Class) else target


def _started(target: Value) -> Function | None:
    """Return the same function without the wrappers that decorators have put around it."""
    function = unwrapped(_start(target))
    return function if isinstance(function, Function) else None


def _takes_any(target: Value) -> bool:
    function = _started(target)
    return function is not None and function.node.args.kwarg is not None


def _parameters(target: Value) -> Iterator[tuple[str, Value, bool]]:
    """Yield name, default (or ABSENT), and whether it is keyword-only, of each parameter."""
    function = _started(target)
    if function is None:
        return
    spec = function.node.args
    names = [*spec.posonlyargs, *spec.args]
    defaults = [ABSENT] * (len(names) - len(function.defaults)) + function.defaults
    pairs = list(zip(names, defaults, strict=True))[1 if isinstance(target, Class) else 0 :]
    yield from ((name.arg, default, False) for name, default in pairs)
    for name, node, default in zip(spec.kwonlyargs, spec.kw_defaults, function.keyword_defaults, strict=True):
        yield name.arg, ABSENT if node is None else default, True


def _fitting(attempts: list[Attempt], source: Source) -> list[Attempt]:
    """Return the one class that fits the checkpoint, first.

    Raises:
        SourceError: None fits, or several do.
    """
    exact = [one for one in attempts if one.exact]
    if len(exact) == 1:
        return exact
    names = ", ".join(one.name for one in exact or attempts)
    reason = "several classes fit the checkpoint" if exact else "no class fits the checkpoint by itself"
    raise SourceError(source.label, f"{reason}: {names}", cure=f"Name one: {source.label}:{attempts[0].name}")
