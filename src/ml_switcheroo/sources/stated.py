"""What the user says outright: by rules, or by a table of kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

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
                before, behind = (
                    None if channels is None else Flatten(channels)
                    for channels in (rule.flatten, rule.unflatten)
                )
                kind = kind_named(rule.kind)
                findings[path] = Finding(
                    kind, "rules", repr(rule), args=rule.args, flatten=before, unflatten=behind
                )
    return Knowledge(findings)


def from_table(table: Mapping[str, str | tuple[str, Mapping[str, Any]]]) -> Knowledge:
    """Turn ``{module path: kind or class, or (class, attributes)}`` into findings.

    A word by itself is a kind or a class of ``torch.nn``. With attributes the class may be any: what is no
    class of ``torch.nn`` is not taken for a kind, but its name can support one.

    >>> from_table({"fc": ("Linear", {"in_features": 3}), "norm": ("MyRMSNorm", {})}).classes
    {'norm': 'MyRMSNorm'}

    Raises:
        UsageError: A word by itself is neither; all such are named.
    """
    unknown = sorted(
        f"{path}: {word}" for path, word in table.items() if isinstance(word, str) and _kind(word) is None
    )
    if unknown:
        raise UsageError(
            f"layers=: neither a kind nor a class of torch.nn: {', '.join(unknown)};"
            f" kinds: {', '.join(LAYERS)}"
        )
    findings: dict[str, Finding] = {}
    classes: dict[str, str] = {}
    for path, entry in table.items():
        word, args = (entry, {}) if isinstance(entry, str) else entry
        kind = _kind(word)
        if kind is None:
            classes[path] = word
        else:
            findings[path] = Finding(kind, "rules", f"layers= says {word}", args=_plain(args))
    return Knowledge(findings, classes=classes)


def _plain(args: Mapping[str, Any]) -> dict[str, Any]:
    """Turn lists (JSON has no tuples) into tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in args.items()}


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
