"""What the user says, where nothing else can know: rules, written in Python or in a TOML file.

A pattern is a dotted name. ``{i}`` (also ``{j}``, ``{k}``, ``{n}``) stands for digits, ``{name}`` for
any text without a dot, ``*`` for anything. There are no regular expressions to write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from ml_switcheroo.errors import RuleError
from ml_switcheroo.moves import Move

__all__ = ["RULES", "Drop", "Keep", "Kind", "Rename", "Rule", "match", "renamed"]

_DIGITS = frozenset("ijkn")
_WORD = re.compile(r"\{(\w+)\}|(\*)")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    text, position, seen = "", 0, set()
    for word in _WORD.finditer(pattern):
        text += re.escape(pattern[position : word.start()])
        name = word[1]
        if word[2]:
            text += ".*"
        elif name in seen:
            text += f"(?P={name})"
        else:
            text += f"(?P<{name}>" + (r"\d+)" if name in _DIGITS else r"[^.]+)")
            seen.add(name)
        position = word.end()
    return re.compile(text + re.escape(pattern[position:]))


def match(pattern: str, name: str) -> Mapping[str, str] | None:
    """Return what the braces of a pattern stand for in a name; None where it does not match.

    >>> match("layers.{i}.{p}_proj", "layers.3.q_proj")
    {'i': '3', 'p': 'q'}
    >>> match("*.tok", "model.tok")
    {}
    >>> match("layers.{i}", "layers.x") is None
    True
    """
    found = _compiled(pattern).fullmatch(name)
    return None if found is None else found.groupdict()


@dataclass(frozen=True, slots=True)
class Rename:
    """Give the modules (or tensors) of a PyTorch name another place in the target.

    Attributes:
        source: Pattern of a module path or tensor name in PyTorch; what lies below goes along.
        target: The path instead, with the same braces.

    >>> Rename("encoder.layers.{i}.norm1", "encoder.layers_{i}.norm").apply("encoder.layers.0.norm1.weight")
    'encoder.layers_0.norm.weight'
    """

    source: str
    target: str

    def __post_init__(self) -> None:
        _check_braces(self.source, self.target, repr(self))

    def apply(self, name: str) -> str | None:
        """Return the new name; None where the rule does not match."""
        segments = name.split(".")
        for count in range(len(segments), 0, -1):
            found = match(self.source, ".".join(segments[:count]))
            if found is not None:
                head = self.target.format_map(found)
                return ".".join([*([head] if head else []), *segments[count:]])
        return None


@dataclass(frozen=True, slots=True)
class Kind:
    """Say of what kind a module is.

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


@dataclass(frozen=True, slots=True)
class Drop:
    """Leave tensors of the checkpoint behind.

    Attributes:
        pattern: Pattern of tensor names in PyTorch.
        why: The reason, as the report prints it.
    """

    pattern: str
    why: str = "a rule says so"


@dataclass(frozen=True, slots=True)
class Keep:
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


def renamed(name: str, rules: Iterable[Rule]) -> str:
    """Apply the one Rename that matches a name.

    Raises:
        RuleError: Two rules give the name two different places.
    """
    results = {rule.apply(name): rule for rule in rules if isinstance(rule, Rename)}
    results.pop(None, None)
    if len(results) > 1:
        listed = "; ".join(f"{rule} -> {result}" for result, rule in results.items())
        raise RuleError(f"rules contradict each other on {name}: {listed}")
    return next(iter(results), name) or name


def _check_braces(source: str, target: str, rule: str) -> None:
    known = {word[1] for word in _WORD.finditer(source) if word[1]}
    for word in _WORD.finditer(target):
        if word[2] or word[1] not in known:
            raise RuleError(f"{rule}: {word[0]} stands on the right only")
