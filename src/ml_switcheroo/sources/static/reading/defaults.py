"""What the arguments of a model could be instead of their defaults, as far as that can choose a layer.

A default that is a word, a number or None is as open as a switch: the checkpoint may have been made with
another one. Each is opened by itself, so that the rest of the code stays as well known as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ml_switcheroo.sources.static.python.operators import symbolic
from ml_switcheroo.sources.static.python.values import ABSENT, External, Instance, Partial, Unknown, Value
from ml_switcheroo.sources.static.reading.attempt import Attempt
from ml_switcheroo.sources.static.reading.fit import Claim

__all__ = ["Other", "doubt_defaults"]

_SWAPPED: Mapping[str, str] = MappingProxyType(
    {
        **{f"Conv{n}d": f"ConvTranspose{n}d" for n in "123"},
        **{f"ConvTranspose{n}d": f"Conv{n}d" for n in "123"},
        "Linear": "Embedding",
        "Embedding": "Linear",
    }
)
"""Classes of torch.nn whose tensors can have the shapes of another one's, made by the same call."""


@dataclass(frozen=True, slots=True)
class Other:
    """One argument that is not its default (or several, to see whether any of them matters).

    Attributes:
        values: By parameter what it is instead: another class, or unknown.
        tests: How tests of it come out that tell it from its default, by their symbols.
        by_default: The default, as a person would write it.
        otherwise: What it is instead, as a person would say it.
    """

    values: Mapping[str, Value]
    tests: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    by_default: str = ""
    otherwise: str = ""


def doubt_defaults(
    first: Attempt,
    parameters: Iterable[tuple[str, Value, bool]],
    steps: int,
    read: Callable[[Other, int], Attempt],
) -> None:
    """Read with each argument that is not its default: what is of another kind then, and fits, is in doubt.

    Args:
        first: The reading with the defaults; the doubts are added to it.
        parameters: Name and default of each parameter.
        steps: How many expressions and statements all readings together may take.
        read: Reads with one argument that is not its default, in so many steps.
    """
    named = [(name, default) for name, default, _ in parameters if _is_open(default)]
    numbers = {name: Unknown(name) for name, default in named if isinstance(default, int | float)}
    if len(numbers) > 1:  # most are sizes: one reading shows that none of them chooses anything
        again = read(Other(numbers), steps)
        steps -= again.steps
        if not (again.failure or again.fit.contradictions or again.fit.open or any(_new(first, again))):
            named = [(name, default) for name, default in named if name not in numbers]
    for other in (one for name, default in sorted(named, key=_rank) for one in _others_of(name, default)):
        if steps <= 0:
            break
        again = read(other, steps)
        steps -= again.steps
        if again.failure or again.fit.contradictions:
            continue
        for name, new in _new(first, again):
            first.doubts[name] = (*first.doubts.get(name, ()), *new)
            for claim in (*first.fit.claims[name], *new):
                why = other.otherwise if claim in new else f"{other.by_default}, the default"
                first.reasons.setdefault((claim.key, claim.kind), why)


def _new(first: Attempt, again: Attempt) -> Iterator[tuple[str, tuple[Claim, ...]]]:
    """Yield the tensors that are of another kind in another reading, with their claims there."""
    for name, claims in again.fit.claims.items():
        usual = {claim.kind for claim in first.fit.claims.get(name, ())}
        new = tuple(claim for claim in claims if claim.kind and claim.kind not in usual)
        if new and usual:
            yield name, new


def _is_open(default: Value) -> bool:
    return default is not ABSENT and not isinstance(default, bool | Unknown)


def _rank(named: tuple[str, Value]) -> int:
    """Order parameters: those that choose between layers most often come first."""
    default = named[1]
    if isinstance(default, str) or default is None:
        return 0
    return 2 if isinstance(default, int | float) else 1


def _others_of(name: str, default: Value) -> Iterator[Other]:
    swapped = _swapped(default)
    if swapped is not None:
        value, word = swapped
        yield Other({name: value}, by_default=f"{name}={_short(default)}", otherwise=f"{name}={word}")
    if isinstance(default, dict | Instance):
        yield from _entries(name, default)
    elif default is None or isinstance(default, str | int | float) or _lists_words(default):
        written = f"{name}={_short(default)}"
        yield Other({name: Unknown(name)}, _tests(name, default), written, f"{name} is something else")


def _lists_words(default: Value) -> bool:
    return isinstance(default, list | tuple) and any(isinstance(one, str) for one in default)


def _entries(name: str, default: dict[Any, Value] | Instance) -> Iterator[Other]:
    """Yield what each entry of a dictionary, or each field of a configuration, could be instead."""
    held = default.attrs if isinstance(default, Instance) else default
    for key, value in list(held.items())[:_MOST]:
        if not isinstance(key, str) or not (value is None or isinstance(value, str | int | float)):
            continue
        symbol = f"{name}.{key}" if isinstance(default, Instance) else f"{name}[{key!r}]"
        entries = {**held, key: Unknown(symbol)}
        whole = replace(default, attrs=entries) if isinstance(default, Instance) else entries
        written = f"{symbol}={_short(value)}"
        yield Other({name: whole}, _tests(symbol, value), written, f"{symbol} is something else")


_MOST = 24


def _tests(symbol: str, default: Value) -> dict[str, bool]:
    """Return how tests come out that tell something else from a default."""
    tests: dict[str, bool] = {}
    if not (default is None or isinstance(default, str | int | float)):
        return tests
    mine, word = Unknown(symbol), "is" if default is None else "=="
    for pair in ((mine, default), (default, mine)):
        test = symbolic(word, *pair)
        tests[test.symbol] = False
        tests[symbolic("not", "", test).symbol] = True
    if isinstance(default, bool) or (not default and default is not None):
        tests[symbol] = not default
    return tests


def _short(default: Value) -> str:
    if isinstance(default, External):
        return default.name.rpartition(".")[2]
    if isinstance(default, Partial):
        return f"partial({_short(default.function)})"
    if isinstance(default, Instance):
        return f"{getattr(default.cls, 'name', '')}()"
    text = f'"{default}"' if isinstance(default, str) else repr(default)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


_LONGEST = 30


def _swapped(default: Value) -> tuple[Value, str] | None:
    """Return the class that could stand in place of one, and its name; None where there is none such."""
    if isinstance(default, Partial):
        inner = _swapped(default.function)
        return (Partial(inner[0], default.args), inner[1]) if inner is not None else None
    name = default.name if isinstance(default, External) else default if isinstance(default, str) else ""
    head, dot, last = name.rpartition(".")
    if last not in _SWAPPED or (isinstance(default, External) and head != "torch.nn"):
        return None
    other = f"{head}{dot}{_SWAPPED[last]}"
    return (External(other) if isinstance(default, External) else other), _SWAPPED[last]
