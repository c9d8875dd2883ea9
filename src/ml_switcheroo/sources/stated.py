"""What the user says outright: by rules, or by a table of kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ml_switcheroo.errors import UsageError
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS
from ml_switcheroo.rules import Kind, Rule, match
from ml_switcheroo.sources.findings import Finding, Flatten, Knowledge

__all__ = ["from_rules", "from_table", "kind_named", "module_paths"]


def from_rules(rules: Iterable[Rule], names: Iterable[str]) -> Knowledge:
    """Turn Kind rules into findings for the modules and tensors that they match."""
    kinds = [rule for rule in rules if isinstance(rule, Kind)]
    findings: dict[str, Finding] = {}
    for path in module_paths(names) if kinds else ():
        for rule in kinds:
            if match(rule.pattern, path) is not None:
                flatten = None if rule.flatten is None else Flatten(rule.flatten)
                findings[path] = Finding(
                    kind_named(rule.kind), "rules", repr(rule), args=rule.args, flatten=flatten
                )
    return Knowledge(findings)


def from_table(table: Mapping[str, str]) -> Knowledge:
    """Turn ``{module path: kind or class of torch.nn}`` into findings.

    Raises:
        UsageError: A word is neither; all such are named.
    """
    unknown = sorted(f"{path}: {word}" for path, word in table.items() if _kind(word) is None)
    if unknown:
        raise UsageError(
            f"layers=: neither a kind nor a class of torch.nn: {', '.join(unknown)};"
            f" kinds: {', '.join(LAYERS)}"
        )
    return Knowledge(
        {path: Finding(kind_named(word), "rules", f"layers= says {word}") for path, word in table.items()}
    )


def kind_named(word: str) -> str:
    """Return the kind that a word names: a kind itself, or a class of ``torch.nn``.

    >>> kind_named("Conv2d"), kind_named("torch.nn.Linear"), kind_named("embedding")
    ('conv', 'linear', 'embedding')

    Raises:
        UsageError: It names none.
    """
    kind = _kind(word)
    if kind is None:
        raise UsageError(f"{word} is neither a kind nor a class of torch.nn; kinds: {', '.join(LAYERS)}")
    return kind


def module_paths(names: Iterable[str]) -> Iterator[str]:
    """Yield every module path above the names, and the names, each once; the root is ``""``."""
    seen = {""}
    yield ""
    for name in names:
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            path = ".".join(parts[:count])
            if path not in seen:
                seen.add(path)
                yield path


def _kind(word: str) -> str | None:
    last = word.rpartition(".")[2]
    return KIND_OF_CLASS.get(last, word if word in LAYERS else None)
