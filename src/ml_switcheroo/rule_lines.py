"""Rules as lines: what a report prints, so that it can be pasted into Python and into a rules file."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import AxesError, RuleError, UsageError, cannot_read, described, did_you_mean
from ml_switcheroo.moves import Move
from ml_switcheroo.rules import RULES, Rule, filled, match

__all__ = ["expanded", "load_rules", "parse_rules", "rules_given", "written"]


def written(rule: Rule | Iterable[Rule]) -> str:
    """Write a rule, or several, as one line of Python.

    >>> from ml_switcheroo.rules import Kind
    >>> written(Kind("fc1", "linear", flatten=32))
    'Kind("fc1", "linear", flatten=32)'
    >>> written(Move("tok.weight", "embed.table", "vocab dim -> dim vocab"))
    'Move("tok.weight", "embed.table", "vocab dim -> dim vocab")'
    """
    return ", ".join(map(repr, rule)) if isinstance(rule, Iterable) else repr(rule)


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Read the rules of a line; nothing is executed.

    >>> parse_rules('Drop("*.steps"), Rename("tok", "embed")  # both')
    (Drop("*.steps"), Rename("tok", "embed"))

    Raises:
        RuleError: The line is no rule.
    """
    try:
        tree = ast.parse(text.strip().rstrip(","), mode="eval").body
        calls = tree.elts if isinstance(tree, ast.Tuple | ast.List) else [tree]
        return tuple(_rule(call) for call in calls)
    except (SyntaxError, ValueError, TypeError, UsageError) as error:
        if isinstance(error, AxesError):
            raise
        raise RuleError(f"not a rule: {text.strip()}: {error}") from error


def _rule(call: ast.expr) -> Rule:
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name | ast.Attribute):
        raise ValueError(f"expected {', '.join(cls.__name__ for cls in RULES.values())}")
    name = call.func.id if isinstance(call.func, ast.Name) else call.func.attr
    cls = RULES.get(name.lower())
    if cls is None:
        known = [row.__name__ for row in RULES.values()]
        raise ValueError(f"{name} is none of {', '.join(known)}{did_you_mean(name, known)}")
    values = [ast.literal_eval(value) for value in call.args]
    named = {entry.arg: ast.literal_eval(entry.value) for entry in call.keywords if entry.arg}
    made: Rule = cls(*values, **named)
    return made


def expanded(move: Move, names: Iterable[str]) -> Iterator[Move]:
    """Yield a rule's move for each tensor that its pattern means; a move without braces is yielded itself.

    >>> [str(move) for move in expanded(Move("h.{i}.w", "b{i}/k"), ["h.0.w", "h.1.w"])]
    ['h.0.w -> b0/k (as it is)', 'h.1.w -> b1/k (as it is)']
    """
    first = move.sources[0] if move.sources else ""
    if "{" not in first:
        yield move
        return
    for name in names:
        found = match(first, name)
        if found is not None:
            yield Move(
                tuple(filled(source, found) for source in move.sources),
                tuple(filled(leaf, found) for leaf in move.leaves),
                move.ops,
            )


def load_rules(path: str | Path) -> tuple[Rule, ...]:
    """Read rules from a TOML file: one table array for each rule, with the fields as keys.

    .. code-block:: toml

        [[rename]]
        source = "model.layers.{i}.self_attn.{p}_proj"
        target = "layers.{i}.attn.{p}"

        [[kind]]
        pattern = "*.tok"
        kind = "embedding"

    Or the lines that a report prints, in a list at the head of the file:

    .. code-block:: toml

        rules = [
            'Kind("fc1", "linear", flatten=32)',
        ]

    Raises:
        RuleError: The file is no TOML, or holds something that is no rule.
    """
    import tomllib  # most rules come from no file

    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"{path}: {cannot_read(path, error)}", where=path) from error
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"{path}: {error}", where=path) from error
    rules: list[Rule] = []
    for name, records in tables.items():
        if name == "rules" and isinstance(records, list) and all(isinstance(line, str) for line in records):
            rules += [rule for line in records for rule in _parsed(path, line)]
            continue
        rule = RULES.get(name)
        if rule is None or not isinstance(records, list):
            known = ", ".join(f"[[{known}]]" for known in RULES) + ", rules = ['...']"
            meant = did_you_mean(name, RULES) if rule is None else ""
            raise RuleError(f"{path}: [{name}] is no rule{meant}; known: {known}", where=path)
        for record in records:
            try:
                rules.append(rule(**record))
            except RuleError as error:
                raise RuleError(f"{path}: {error}", where=path) from error
            except TypeError as error:
                raise RuleError(f"{path}: [[{name}]] {_key_wrong(rule, record)}", where=path) from error
    return tuple(rules)


def rules_given(rules: Iterable[Rule | str] | Rule | str | Path) -> tuple[Rule, ...]:
    """Return the rules that were given: a file, rules, or the lines that a report prints.

    >>> rules_given(['Kind("fc", "linear")'])
    (Kind("fc", "linear"),)

    Raises:
        RuleError: There is something else.
    """
    if isinstance(rules, str | Path):
        return load_rules(rules)
    if isinstance(rules, Rule):
        return (rules,)
    found: list[Rule] = []
    for rule in rules:
        if not isinstance(rule, Rule | str):
            raise RuleError(f'rules=: {described(rule)} is no rule; write for example Kind("fc1", "linear")')
        found += parse_rules(rule) if isinstance(rule, str) else (rule,)
    return tuple(found)


def _parsed(path: str | Path, line: str) -> tuple[Rule, ...]:
    try:
        return parse_rules(line)
    except (RuleError, AxesError) as error:
        raise type(error)(f"{path}: {error}", where=path) from error


def _key_wrong(rule: type[Any], record: Mapping[str, Any]) -> str:
    keys = [entry.name for entry in fields(rule)]
    odd = [f"{key}{did_you_mean(key, keys)}" for key in record if key not in keys]
    said = f": no key {', '.join(odd)}" if odd else ""
    return f"{dict(record)}{said}; its keys are {', '.join(keys)}"
