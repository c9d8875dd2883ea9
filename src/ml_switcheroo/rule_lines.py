"""Rules as lines: what a report prints, so that it can be pasted into Python and into a rules file."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import AxesError, RuleError, UsageError
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes, op_to_json
from ml_switcheroo.rules import RULES, Rule, filled, match

__all__ = ["expanded", "load_rules", "parse_rules", "written"]


def written(rule: Rule | Iterable[Rule]) -> str:
    """Write a rule, or several, as one line of Python.

    >>> from ml_switcheroo.rules import Kind
    >>> written(Kind("fc1", "linear", flatten=32))
    'Kind("fc1", "linear", flatten=32)'
    >>> written(Move("tok.weight", "embed.table", "vocab dim -> dim vocab"))
    'Move("tok.weight", "embed.table", "vocab dim -> dim vocab")'
    """
    if isinstance(rule, Iterable):
        return ", ".join(map(written, rule))
    if isinstance(rule, Move):
        values = [_one(rule.sources), _one(rule.leaves), *([_ops(rule)] if rule.ops else [])]
        return f"Move({', '.join(map(_literal, values))})"
    texts = []
    for position, entry in enumerate(fields(rule)):
        value = getattr(rule, entry.name)
        if position < 2 and isinstance(value, str):
            texts.append(_literal(value))
        elif value is not None and value != {}:
            texts.append(f"{entry.name}={_literal(value)}")
    return f"{type(rule).__name__}({', '.join(texts)})"


def _one(names: tuple[str, ...]) -> Any:
    return names[0] if len(names) == 1 else list(names)


def _ops(move: Move) -> Any:
    if len(move.ops) == 1 and isinstance(move.ops[0], Axes) and not move.ops[0].sizes:
        return move.ops[0].equation
    return [op_to_json(op) for op in move.ops]


def _literal(value: Any) -> str:
    """Write a value as Python does, with the quotes of JSON."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Read the rules of a line; nothing is executed.

    >>> parse_rules('Drop("*.steps"), Rename("tok", "embed")  # both')
    (Drop(pattern='*.steps', why='a rule says so'), Rename(source='tok', target='embed'))

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
        raise ValueError(f"{name} is none of {', '.join(cls.__name__ for cls in RULES.values())}")
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
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RuleError(f"{path}: {error}") from error
    rules: list[Rule] = []
    for name, records in tables.items():
        if name == "rules" and isinstance(records, list) and all(isinstance(line, str) for line in records):
            rules += [rule for line in records for rule in parse_rules(line)]
            continue
        rule = RULES.get(name)
        if rule is None or not isinstance(records, list):
            known = ", ".join(f"[[{known}]]" for known in RULES) + ", rules = ['...']"
            raise RuleError(f"{path}: [{name}] is no rule; known: {known}")
        for record in records:
            try:
                rules.append(rule(**record))
            except TypeError as error:
                keys = ", ".join(entry.name for entry in fields(rule))
                raise RuleError(f"{path}: [[{name}]] {record}: its keys are {keys}") from error
    return tuple(rules)
