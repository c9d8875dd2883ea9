"""The flattens before linears: ``forward`` is followed once, with the layers the checkpoint chose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ml_switcheroo.layers import KIND_OF_CLASS
from ml_switcheroo.sources.findings import NO_FLATTEN, Finding, Flatten, Parts, Split
from ml_switcheroo.sources.static.atoms import REST, Atom
from ml_switcheroo.sources.static.classes import find
from ml_switcheroo.sources.static.machine import Budget, Machine
from ml_switcheroo.sources.static.memory import Memory
from ml_switcheroo.sources.static.rows.reading import read_parts
from ml_switcheroo.sources.static.sequences import in_order
from ml_switcheroo.sources.static.splits import split_of
from ml_switcheroo.sources.static.values import (
    ABSENT,
    Arguments,
    Bound,
    Class,
    Function,
    Instance,
    Raised,
    Site,
    Tensor,
    Value,
    options,
)
from ml_switcheroo.tensors import TensorSpec

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.entry import Attempt

__all__ = ["Use", "answer_of", "image_behind", "image_of", "run_forward", "settled", "used_as", "uses"]

_STEPS = 600_000

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Use:
    """What ``forward`` does before and behind one linear, or before a norm."""

    flatten: Flatten | None = None
    unflatten: Flatten | None = None
    split: Split | None = None
    flattens: tuple[Flatten, ...] = ()
    """What may be flattened before it, where an image is and nobody knows its channels."""
    parts: Parts | None = None


def uses(attempt: Attempt, specs: Mapping[str, TensorSpec]) -> dict[str, Use]:
    """Return what each linear is given and how its output is divided, as far as ``forward`` shows it.

    Returns:
        The uses by module path.
    """
    for path, modules in attempt.fit.modules.items():
        weight = specs.get(f"{path}.weight" if path else "weight")
        for made in modules:
            if weight is not None and weight.shape:
                size = weight.shape[-1 if KIND_OF_CLASS.get(made.torch) == "linear_in_out" else 0]
                made.marks["out"] = size if made.marks.setdefault("out", size) == size else None
    sizes = attempt.fit.sizes.items()
    attempt.machine.solved.update({name: min(real) for name, real in sizes if name and len(real) == 1})
    ended = True
    for root in options(attempt.value):
        if isinstance(root, Instance):
            ended = run_forward(attempt.machine, root) and ended
    own = _own_tensors(attempt)
    read = read_parts(attempt.machine, attempt.fit.modules, own, specs)
    paths: dict[int, str] = {}
    channels: dict[int, int] = {}
    for path, modules in attempt.fit.modules.items():
        for made in modules:
            count = _channels(made, path, specs)
            again = id(made) in channels and channels[id(made)] != count
            paths[id(made)], channels[id(made)] = path, 0 if again else count
    found = {}
    for path, modules in attempt.fit.modules.items():
        answers = [
            answer_of(given, paths, channels) for made in modules for given in made.marks.get("inputs", ())
        ]
        same = bool(answers) and all(answer == answers[0] for answer in answers)
        flatten = answers[0] if same and _divides(answers[0], path, specs) else None
        split = _agreed([split_of(made, ended) for made in modules])
        image = _agreed([image_of(made, paths) for made in modules])
        behind = [image_behind(made, paths) for made in modules]
        if flatten is None and behind and behind[0] is not None and all(one == behind[0] for one in behind):
            flatten = behind[0]
        parts = read.parts.get(f"{path}.weight" if path else "weight")
        use = Use(flatten, image, split, parts=parts)
        found[path] = settled(use, _size(path, specs), paths, channels)
    return found | {name: Use(parts=read.parts[name]) for name in own if name in read.parts}


def _own_tensors(attempt: Attempt) -> dict[str, list[Tensor]]:
    """Return the tensors that classes of the user's own keep, by name."""
    return {
        name: [owner.maker for owner in found if isinstance(owner.maker, Tensor) and owner.key == name]
        for name, found in attempt.fit.owners.items()
    }


def _agreed(found: Sequence[Answer | None]) -> Answer | None:
    return found[0] if found and all(one == found[0] for one in found) else None


def settled(use: Use, size: int, paths: Mapping[int, str], channels: Mapping[int, int]) -> Use:
    """Return a use without a flatten of channels that nobody knows: those of any layer may be meant.

    Args:
        use: What is known; its flatten is of 0 channels where they are unknown.
        size: What the module takes in.
        paths: The path of each module, by the id of its instance.
        channels: How many channels each module puts out, by the id of its instance; 0 for unknown.
    """
    if use.flatten is None or use.flatten.channels:
        return use
    makers: dict[int, str] = {}
    for one, count in channels.items():
        if 1 < count < size and size % count == 0:
            makers.setdefault(count, paths.get(one, ""))
    possible = [Flatten(count, of, use.flatten.where) for count, of in makers.items()]
    return replace(use, flatten=None, flattens=(NO_FLATTEN, *possible) if possible else ())


def image_of(made: Instance, paths: Mapping[int, str]) -> Flatten | None:
    """Return the image that the output of a linear becomes; None where that is not known, or differs."""
    images = made.marks.get("images", ())
    channels = {count for count, _ in images}
    if len(channels) != 1 or not isinstance(count := channels.pop(), int):
        return None
    layer = images[0][1]
    if count == 1:
        return NO_FLATTEN
    return Flatten(count, paths.get(id(layer), ""), layer.site.where if layer.site is not None else "")


def image_behind(made: Instance, paths: Mapping[int, str]) -> Flatten | None:
    """Return the image that a norm between a linear and an Unflatten belongs to."""
    images = {image_of(linear, paths) for linear in made.marks.get("behind", ())}
    found = images.pop() if len(images) == 1 else None
    return found if found is not None and found.channels > 1 else None


def used_as(finding: Finding, use: Use) -> tuple[Finding, ...]:
    """Return a finding with what ``forward`` shows of its module; several where that leaves a choice."""
    if finding.kind == "linear" and use.flattens:
        known = replace(finding, unflatten=use.unflatten, split=use.split, parts=use.parts)
        return tuple(replace(known, flatten=one) for one in use.flattens)
    return (_used(finding, use),)


def _used(finding: Finding, use: Use) -> Finding:
    finding = replace(finding, parts=use.parts) if use.parts is not None else finding
    if finding.kind == "linear_in_out":
        return replace(finding, split=use.split)
    if finding.kind == "linear":
        return replace(finding, flatten=use.flatten, unflatten=use.unflatten, split=use.split)
    if finding.kind in _NORMS and use.flatten is not None and use.flatten.channels > 1:
        return replace(finding, flatten=use.flatten)
    return finding


_NORMS = frozenset({"batch_norm", "layer_norm", "rms_norm"})


def _divides(flatten: Flatten | None, path: str, specs: Mapping[str, TensorSpec]) -> bool:
    """Tell whether the input of a linear can consist of so many channels."""
    size = _size(path, specs)
    return flatten is not None and size > 0 and (not flatten.channels or size % flatten.channels == 0)


def _size(path: str, specs: Mapping[str, TensorSpec]) -> int:
    """Return what a linear, a recurrent layer or a norm of one axis takes in; 0 for anything else."""
    names = (f"{path}.{slot}" if path else slot for slot in ("weight", "weight_ih_l0", "weight_ih"))
    weight = next((specs[name] for name in names if name in specs), None)
    return weight.shape[-1] if weight is not None and len(weight.shape) in (1, 2) else 0


def run_forward(machine: Machine, root: Instance) -> bool:
    """Follow ``forward`` of a module, as far as it can be followed; tell whether that was to its end."""
    machine.steps = _STEPS
    machine.frame = None
    machine.memory = Memory()
    machine.assumed.clear()
    method, where = find(root.cls, "forward")
    runs: list[tuple[Value, list[Value]]]
    if isinstance(method, Function) and isinstance(where, Class):
        machine.sites.append(Site(method.source, method.node))
        runs = [(Bound(method, root), given) for given in _inputs(_wrapped(method))]
    else:
        runs = [(root, [_input()])]
    for called, given in runs:
        try:
            machine.call(called, Arguments(given))
        except Raised:
            continue  # what was seen until here has been written down
        except Budget:
            return False
        return True
    return False


def _input() -> Tensor:
    return Tensor(axes=((REST,), (Atom("input"),)))


def _wrapped(method: Function) -> Function:
    """Return the function that says what a method takes: the one inside of ``wrapper(*args)``."""
    frame = method.frame
    while frame is not None and method.node.args.vararg is not None:
        inner = [one for one in frame.names.values() if isinstance(one, Function) and one.name == "forward"]
        if inner:
            return _wrapped(inner[0])
        frame = frame.outer
    return method


_MOST_INPUTS = 4


def _inputs(method: Function) -> Iterator[list[Value]]:
    """Yield what to call ``forward`` with: what has no default is a tensor.

    Where everything has a default, that of the inputs is None: the first is a tensor, then the first two.
    """
    start, spec = _input(), method.node.args
    names = [*spec.posonlyargs, *spec.args][1:]
    defaults: list[Value] = []
    if names:
        defaults = [ABSENT] * (len(names) - len(method.defaults)) + method.defaults[-len(names) :]
    optional = [place for place, default in enumerate(defaults) if default is None][:_MOST_INPUTS]
    if ABSENT in defaults or not optional:
        yield [start if default is ABSENT else default for default in defaults]
        return
    for last in optional:
        yield [start if default is None else default for default in defaults[: last + 1]]


def answer_of(given: Any, paths: Mapping[int, str], channels: Mapping[int, int]) -> Flatten | None:
    """Return what one input of a linear means; None where its axes are unknown, 0 channels where they are.

    Args:
        given: The last axis of the input, and where that was made.
        paths: The path of each module, by the id of its instance.
        channels: How many channels each module puts out, by the id of its instance; 0 for unknown.
    """
    axis, site = given
    if axis is None:
        return None
    atoms = [atom for atom in axis if atom.role != "one"] or list(axis[:1])
    if any(atom.role == "lost" for atom in axis):
        return None
    image = atoms[0].role == "channel" and all(atom.role == "space" for atom in atoms[1:])
    if len(axis) == 1 or (axis and in_order(axis)):
        return NO_FLATTEN
    where = site.where if site is not None else ""
    if image and atoms[0].of is None:  # an image whose channels nobody knows
        return Flatten(0, "", where) if len(atoms) > 1 else NO_FLATTEN
    if not image or not channels.get(id(atoms[0].of)):
        return None
    return Flatten(channels[id(atoms[0].of)], paths.get(id(atoms[0].of), ""), where)


def _channels(made: Instance, path: str, specs: Mapping[str, TensorSpec]) -> int:
    spec = specs.get(f"{path}.weight" if path else "weight")
    if spec is None or not spec.shape:
        return 0
    if not made.torch.startswith("ConvTranspose"):
        return spec.shape[0]
    groups = made.args.get("groups", 1)
    return spec.shape[1] * groups if isinstance(groups, int) and len(spec.shape) > 1 else 0
