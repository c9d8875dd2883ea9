"""Take off what wrappers put before every name: ``module.``, ``_orig_mod.``, ``encoder_q.``.

A prefix is peeled only where the rest then fits what is known better than the whole did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ml_switcheroo.errors import UsageError
from ml_switcheroo.moves import Move
from ml_switcheroo.plan import Plan
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.unmoved import Unmoved

__all__ = ["Peeled", "peel", "restored"]

WRAPPERS = ("module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module")
"""Segments that only a wrapper makes: DataParallel and DDP, torch.compile, Lightning's strategies, FSDP."""

_DEEPEST = 4  # nested wrappers that are looked through
_SHARE = 4  # a prefix holds at least one in so many names


@dataclass(frozen=True, slots=True)
class Peeled:
    """A checkpoint's specs under the names inside of the wrapper.

    Attributes:
        specs: The specs by the inner names; tensors outside of the wrapper are not among them.
        names: The name in the checkpoint for each inner name.
        prefix: What was taken off, with the dot at its end; empty for nothing.
        outside: Tensors that do not have the prefix.
    """

    specs: Mapping[str, TensorSpec]
    names: Mapping[str, str]
    prefix: str = ""
    outside: tuple[str, ...] = ()


def peel(specs: Mapping[str, TensorSpec], fit: Callable[[Mapping[str, TensorSpec]], int] | None) -> Peeled:
    """Find the prefix to take off.

    The shortest prefix wins whose names fit best.

    Args:
        specs: Specs by the names of the checkpoint.
        fit: Counts the tensors that fit what is known of the model; None where nothing is known: then
            only the segments of wrappers are taken off.

    Raises:
        UsageError: Several prefixes fit equally (a student and a teacher, ``encoder_q`` and ``encoder_k``).

    >>> spec = TensorSpec((1,), "float32")
    >>> peel({"module.fc.bias": spec, "module.fc.weight": spec}, None).prefix
    'module.'
    """
    if fit is None:
        found = ""
        while (head := next(iter(specs), "").removeprefix(found).partition(".")[0]) in WRAPPERS and all(
            name.startswith(f"{found}{head}.") for name in specs
        ):
            found += f"{head}."
        return _without(specs, found)
    best: list[Peeled] = []
    most = -1
    for prefix in _prefixes(specs):
        option = _without(specs, prefix)
        score = fit(option.specs)
        if score > most:
            best, most = [option], score
        elif score == most and not prefix.startswith(best[0].prefix):
            best.append(option)
        if score == len(specs):
            break
    if len(best) > 1 and most > 0:
        listed = ", ".join(f"{option.prefix!r}" for option in best)
        raise UsageError(
            f"{most} tensors fit the model behind each of these prefixes: {listed}. Drop the others:"
            f' Drop("{best[-1].prefix}*").'
        )
    return best[0]


def restored(plan: Plan, peeled: Peeled, specs: Mapping[str, TensorSpec]) -> Plan:
    """Return a plan of the inner names under the names of the checkpoint, with a note of what was peeled."""
    if not peeled.prefix:
        return plan
    names = peeled.names
    note = f"peeled {peeled.prefix!r} off {len(names)} names; the rest fits what is known of the model"
    outside = {name: Unmoved(specs[name], f"outside of {peeled.prefix!r}") for name in peeled.outside}
    return replace(
        plan,
        moves=tuple(_renamed(move, names) for move in plan.moves),
        dropped={names[name]: left for name, left in plan.dropped.items()},
        unexpected={names[name]: left for name, left in plan.unexpected.items()} | outside,
        ambiguous=tuple(
            replace(entry, names=tuple(names[name] for name in entry.names)) for entry in plan.ambiguous
        ),
        notes=(*plan.notes, note),
        programs=plan.programs and (plan.programs[0].renamed(names), plan.programs[1]),
    )


def _renamed(move: Move, names: Mapping[str, str]) -> Move:
    return replace(move, sources=tuple(names[name] for name in move.sources))


def _prefixes(specs: Iterable[str]) -> list[str]:
    """List the prefixes that can be meant, the shortest first: each holds a good part of the names."""
    names = list(specs)
    level, found = [""], [""]
    for _ in range(_DEEPEST):
        heads = Counter(
            f"{prefix}{head}."
            for prefix in level
            for name in names
            if name.startswith(prefix)
            for head, dot, _ in [name.removeprefix(prefix).partition(".")]
            if dot
        )
        level = [prefix for prefix, count in heads.items() if count * _SHARE >= len(names)]
        found += level
    return found


def _without(specs: Mapping[str, TensorSpec], prefix: str) -> Peeled:
    inside = {name.removeprefix(prefix): name for name in specs if name.startswith(prefix)}
    outside = tuple(name for name in specs if not name.startswith(prefix))
    return Peeled({inner: specs[name] for inner, name in inside.items()}, inside, prefix, outside)
