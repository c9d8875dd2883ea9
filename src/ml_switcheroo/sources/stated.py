"""What the user says outright: by rules, or by a table of kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ml_switcheroo.errors import RuleError, UsageError, did_you_mean
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS, load_offered_layers, own_class
from ml_switcheroo.rule_lines import written
from ml_switcheroo.rules import Kind, Rule, match, spelled_out
from ml_switcheroo.sources.findings import Finding, Knowledge, flatten_said

__all__ = ["from_rules", "from_table", "kind_named", "layers_in", "module_paths"]


def from_rules(rules: Iterable[Rule], names: Iterable[str]) -> Knowledge:
    """Turn Kind rules into findings for the modules and tensors that they match.

    Raises:
        RuleError: Two rules say different things of one; all such are named.
    """
    kinds, names = [rule for rule in rules if isinstance(rule, Kind)], list(names)
    said: dict[str, list[Kind]] = {}
    for path in module_paths(names) if kinds else ():
        for rule in kinds:
            if match(rule.pattern, path) is not None:
                # A module is no parameter: all that it keeps are.
                own = [name for name in names if name.startswith(f"{path}.")]
                alone = not LAYERS[kind_named(rule.kind)].alone or not own
                for key in [path] if alone else own:
                    said.setdefault(key, []).append(rule)
    said = {path: list(spelled_out(found, lambda rule: rule.pattern)) for path, found in said.items()}
    clashes = [path for path, found in said.items() if not _agree(found)]
    if clashes:
        lines = [f"  {path}: {written(said[path])}" for path in sorted(clashes)]
        raise RuleError("\n".join(["rules contradict each other on:", *lines, "Keep one of each."]))
    return Knowledge({path: _stated(found) for path, found in said.items()})


def _agree(rules: list[Kind]) -> bool:
    """Tell whether nothing that one rule says is said otherwise by another."""
    facts: dict[str, Any] = {}
    for rule in rules:
        stated = {"": kind_named(rule.kind), ".flatten": rule.flatten, ".unflatten": rule.unflatten}
        for word, value in {**rule.args, **stated}.items():
            if value is not None and facts.setdefault(word, value) != value:
                return False
    return True


def _stated(rules: list[Kind]) -> Finding:
    """Return what rules that agree say together."""
    before, behind = (
        next((flatten_said(said) for said in stated if said is not None), None)
        for stated in ([rule.flatten for rule in rules], [rule.unflatten for rule in rules])
    )
    args = {name: value for rule in rules for name, value in rule.args.items()}
    kind, reason = kind_named(rules[0].kind), written(rules)
    return Finding(kind, "rules", reason, args=args, flatten=before, unflatten=behind)


def from_table(table: Mapping[str, str | tuple[str, Mapping[str, Any]]]) -> Knowledge:
    """Turn ``{module path: kind or class, or (class, attributes)}`` into findings.

    A word by itself is a kind, a class of ``torch.nn``, or one of a library whose source is there. With
    attributes the class may be any: what is no class of ``torch.nn`` is not taken for a kind, but its name
    can support one.

    >>> from_table({"fc": ("Linear", {"in_features": 3}), "norm": ("MyRMSNorm", {})}).classes
    {'norm': 'MyRMSNorm'}

    Raises:
        UsageError: A word by itself is neither; all such are named.
    """
    unknown = sorted(
        f"{path}: {word}{did_you_mean(word, [*LAYERS, *KIND_OF_CLASS])}"
        for path, word in table.items()
        if isinstance(word, str) and _kind(word) is None and not _has_source(word)
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
            written = {"written": True} if _own(word) else {}  # by a class that has no defaults of torch's
            findings[path] = Finding(kind, "rules", f"layers= says {word}", args=_plain(args) | written)
    return Knowledge(findings, classes=classes)


def _has_source(word: str) -> bool:
    """Tell whether a word names a class whose source can be read."""
    from ml_switcheroo.sources.named import is_found  # the reader of source: only where it is asked

    return is_found(word)


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
        meant = did_you_mean(word, [*LAYERS, *KIND_OF_CLASS])
        raise UsageError(
            f"{word} is neither a kind nor a class of torch.nn{meant}; kinds: {', '.join(LAYERS)}"
        )
    return kind


def layers_in(names: Iterable[str]) -> Iterator[str]:
    """Yield the layers of recurrent modules: a Rename may send each elsewhere.

    >>> list(layers_in(["rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.weight_hh_l1"]))
    ['rnn.0', 'rnn.1']
    """
    for name in names:
        path, dot, slot = name.rpartition(".")
        number = slot.removeprefix("weight_hh_l")
        if number != slot and number.isdecimal():
            yield f"{path}{dot}{number}"


def module_paths(names: Iterable[str]) -> Iterator[str]:
    """Yield every module path above the names, and the names, each once; the root is ``""``."""
    seen = {""}
    yield ""
    for name in names:
        new, path = [], name
        while path not in seen:
            seen.add(path)
            new.append(path)
            path = path.rpartition(".")[0]
        yield from reversed(new)


def _kind(word: str) -> str | None:
    if own := _own(word):
        return KIND_OF_CLASS[own]
    last = word.rpartition(".")[2]
    return KIND_OF_CLASS.get(last, word if word in LAYERS else None)


def _own(word: str) -> str:
    """Return the class with a row of your own that a word names; empty for any other."""
    load_offered_layers()
    module, _, last = word.rpartition(".")
    return own_class(module, last) if module or last not in KIND_OF_CLASS else ""
