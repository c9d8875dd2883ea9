"""Rules: what the user says and nothing else can know, written in Python or in a TOML file.

A pattern is a dotted name. ``{i}`` (also ``{j}``, ``{k}``, ``{n}``) stands for digits, ``{i+1}`` for the
number that is one more than ``{i}`` on the other side, ``{name}`` for any text without a dot, ``*`` for
anything. There are no regular expressions to write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from ml_switcheroo.errors import RuleError, described
from ml_switcheroo.moves import Move, literal

__all__ = ["RULES", "Drop", "Keep", "Kind", "Rename", "Rule", "filled", "match", "renamed", "spelled_out"]

R = TypeVar("R")

_DIGITS = frozenset("ijkn")
_WORD = re.compile(r"\{(\w+)(?:([+-])(\d+))?\}|(\*)")


@cache
def _compiled(pattern: str) -> tuple[re.Pattern[str], tuple[tuple[str, str, int], ...]]:
    """Return the pattern, and for each of its groups the word in the braces and what is added to it there."""
    text, position = "", 0
    groups: list[tuple[str, str, int]] = []
    for word in _WORD.finditer(pattern):
        text += re.escape(pattern[position : word.start()])
        name, shift = word[1], _shift(word)
        known = next((group for group, other, by in groups if (other, by) == (name, shift)), "")
        if word[4]:
            text += ".*"
        elif known:
            text += f"(?P={known})"
        else:
            groups.append((f"g{len(groups)}", name, shift))
            text += f"(?P<{groups[-1][0]}>" + (r"\d+)" if name in _DIGITS else r"[^.]+)")
        position = word.end()
    return re.compile(text + re.escape(pattern[position:])), tuple(groups)


def _shift(word: re.Match[str]) -> int:
    return int(f"{word[2]}{word[3]}") if word[2] else 0


def match(pattern: str, name: str) -> Mapping[str, str] | None:
    """Return what the braces of a pattern stand for in a name; None if it does not match.

    >>> match("layers.{i}.{p}_proj", "layers.3.q_proj")
    {'i': '3', 'p': 'q'}
    >>> match("layer{i+1}.fc", "layer1.fc")
    {'i': '0'}
    >>> match("*.tok", "model.tok")
    {}
    >>> match("layers.{i}", "layers.x") is None
    True
    """
    compiled, groups = _compiled(pattern)
    found = compiled.fullmatch(name)
    if found is None:
        return None
    values: dict[str, str] = {}
    for group, word, shift in groups:
        value = str(int(found[group]) - shift) if shift else found[group]
        if value.startswith("-") or values.setdefault(word, value) != value:
            return None
    return values


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """Write a pattern with what its braces stand for.

    >>> filled("stages.{i+1}.{p}", {"i": "0", "p": "q"})
    'stages.1.q'
    """
    return _WORD.sub(lambda word: _written(word, values), pattern)


def _written(word: re.Match[str], values: Mapping[str, str]) -> str:
    if word[4]:
        return word[0]
    return str(int(values[word[1]]) + _shift(word)) if word[2] else values[word[1]]


class _Line:
    """A rule that shows itself as the line that makes it."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for entry in fields(self):  # type: ignore[arg-type]
            value = getattr(self, entry.name)
            if entry.type == "str" and not isinstance(value, str):
                raise RuleError(f"{type(self).__name__}: {entry.name}= is {described(value)}, not a text")

    def __repr__(self) -> str:
        texts = []
        for position, entry in enumerate(fields(self)):  # type: ignore[arg-type]
            value = getattr(self, entry.name)
            if value is None or value == {} or value == entry.default:
                continue
            said = literal(value)
            texts.append(said if position < 2 and isinstance(value, str) else f"{entry.name}={said}")
        return f"{type(self).__name__}({', '.join(texts)})"


@dataclass(frozen=True, slots=True, repr=False)
class Rename(_Line):
    """Give the modules (or tensors) of a PyTorch name another place in the target.

    Attributes:
        source: Pattern of a module path or tensor name in PyTorch; what lies below it moves with it.
        target: The path instead, with the same braces.

    >>> Rename("encoder.layers.{i}.norm1", "encoder.layers_{i}.norm").apply("encoder.layers.0.norm1.weight")
    'encoder.layers_0.norm.weight'
    """

    source: str
    target: str

    def __post_init__(self) -> None:
        _Line.__post_init__(self)
        _check_braces(self.source, self.target, repr(self))

    def apply(self, name: str) -> str | None:
        """Return the new name; None where the rule does not match."""
        segments = name.split(".")
        for count in range(len(segments), 0, -1):
            found = match(self.source, ".".join(segments[:count]))
            if found is not None:
                head = filled(self.target, found)
                return ".".join([*([head] if head else []), *segments[count:]])
        return None


@dataclass(frozen=True, slots=True, repr=False)
class Kind(_Line):
    """Say what kind a module is.

    Attributes:
        pattern: Pattern of a module path in PyTorch, or of the name of a tensor that a class keeps itself.
        kind: A kind or the name of a class of ``torch.nn``.
        flatten: For a linear, a norm or a convolution: how many channels were flattened before it; 1 for
            none. What is joined is said one after the other, each as ``channels*places`` (of frames
            ``times*channels*places``) or as a plain size: ``"6*16 + 2*6*4 + 10"``.
        unflatten: For a linear or a convolution: how many channels its output becomes as an image, in the
            same words; 1 for none.
        args: Constructor arguments by torch's names, such as ``{"num_heads": 8}``.
    """

    pattern: str
    kind: str
    flatten: int | str | None = None
    args: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    unflatten: int | str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Drop(_Line):
    """Leave out tensors of the checkpoint.

    Attributes:
        pattern: Pattern of tensor names in PyTorch.
        why: The reason, as the report prints it.
    """

    pattern: str
    why: str = "a rule says so"


@dataclass(frozen=True, slots=True, repr=False)
class Keep(_Line):
    """Leave leaves of the target as they are.

    Attributes:
        pattern: Pattern of paths in the target.
        why: The reason, as the report prints it.
    """

    pattern: str
    why: str = "a rule says so"


Rule = Rename | Kind | Drop | Keep | Move

RULES: Mapping[str, type[Any]] = {rule.__name__.lower(): rule for rule in (Rename, Kind, Drop, Keep, Move)}
"""The rules by their names in a file."""


def spelled_out(rules: Sequence[R], pattern: Callable[[R], str]) -> Sequence[R]:
    """Return the rules whose patterns have no ``*``, if there are any: the others cover the rest."""
    return [rule for rule in rules if "*" not in pattern(rule)] or rules


def renamed(name: str, rules: Iterable[Rule]) -> str:
    """Apply the one Rename that matches a name; one that spells it out goes before one with ``*``.

    Raises:
        RuleError: Two rules give the name two different places.
    """
    found = [rule for rule in rules if isinstance(rule, Rename) and rule.apply(name) is not None]
    if not found:
        return name
    results = {rule.apply(name): rule for rule in spelled_out(found, lambda rule: rule.source)}
    if len(results) > 1:
        listed = "; ".join(f"{rule} -> {result}" for result, rule in results.items())
        raise RuleError(f"rules contradict each other on {name}: {listed}")
    return next(iter(results), name) or name


def _check_braces(source: str, target: str, rule: str) -> None:
    known = {word[1] for word in _WORD.finditer(source) if word[1]}
    odd = [
        word
        for text in (source, target)
        for word in _WORD.finditer(text)
        if word[2] and word[1] not in _DIGITS
    ]
    if odd:
        raise RuleError(f"{rule}: {odd[0][0]}: only numbers are counted: {', '.join(sorted(_DIGITS))}")
    for word in _WORD.finditer(target):
        if word[4] or word[1] not in known:
            raise RuleError(f"{rule}: {word[0]} stands on the right only")
