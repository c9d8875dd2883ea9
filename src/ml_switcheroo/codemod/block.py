"""The block of ``KeyMapper`` that stands in a file: its stamp, and how it is found, read and renewed."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ml_switcheroo._version import __version__
from ml_switcheroo.codemod.bundle import Table, planned_of, source_of

__all__ = ["Block", "Carried", "code_of", "compose", "find_block", "folded", "kinds_of", "ours"]

_FIRST = re.compile(
    r"^# >>> KeyMapper for (?P<target>\w+): (?P<entries>\w+(?:, \w+)*)"
    r" \(ml-switcheroo (?P<version>\S+), (?P<digest>[0-9a-f]{8})\)\r?$",
    re.MULTILINE,
)
_SAID = "# Do not edit: `ml-switcheroo rewrite --update-runtime` renews it from the package."
_OFF, _ON = "# fmt: off", "# fmt: on"  # what a formatter changes would look changed by hand
_TABLE = re.compile(r"    MODEL = |KeyMapper\.KINDS = ")
_IMPORTS = re.compile(r"^import \w+( as \w+)?$", re.MULTILINE)
_LAST = re.compile(r"^# <<< KeyMapper\r?$", re.MULTILINE)


@dataclass(frozen=True)
class Carried:
    """What a block is made of, beside the code that the package has.

    Attributes:
        target: The target's name.
        entries: The methods that are called from outside.
        kinds: Kinds of the model's layers, for ``KeyMapper.KINDS``.
        table: The plan of the one model that it is for, where that is known.
    """

    target: str
    entries: tuple[str, ...]
    kinds: Mapping[str, str] = field(default_factory=dict)
    table: Table | None = None

    def with_entries(self, entries: Iterable[str]) -> Carried:
        """Return the same with more methods."""
        return replace(self, entries=tuple(sorted({*self.entries, *entries})))


@dataclass(frozen=True)
class Block:
    """A block that stands in a text.

    Attributes:
        start: Offset of its first character.
        end: Offset behind its last line's text.
        carried: What it is made of.
        version: The version of the package that made it.
        edited: Whether somebody has changed it.
    """

    start: int
    end: int
    carried: Carried
    version: str
    edited: bool


def compose(carried: Carried) -> str:
    """Write a block: a stamp, the code, and a last line."""
    body = code_of(carried).strip("\n")
    stamp = f"# >>> KeyMapper for {carried.target}: {', '.join(carried.entries)}"
    stamp += f" (ml-switcheroo {__version__}, {_digest(body)})"
    return "\n".join([stamp, _SAID, _OFF, body, _ON, "# <<< KeyMapper", ""])


def code_of(carried: Carried) -> str:
    """Write the code of a block."""
    if carried.table is not None:
        return planned_of(carried.target, carried.entries, carried.table)
    return source_of(carried.target, carried.entries) + kinds_of(carried)


def kinds_of(carried: Carried) -> str:
    """Write the table of kinds; empty where there are none."""
    rows = "".join(f"    {json.dumps(path)}: {json.dumps(kind)},\n" for path, kind in carried.kinds.items())
    return f"\n\nKeyMapper.KINDS = {{\n{rows}}}\n" if rows else ""


def find_block(code: str) -> Block | None:
    """Return the block of a text; None where it has none, or one whose end is missing."""
    marks = _marks(code)
    if marks is None:
        return None
    first, last = marks
    body = code[first.end() : last.start()].replace("\r\n", "\n").replace(_SAID, "", 1)
    body = body.strip().removeprefix(_OFF).removesuffix(_ON)
    carried = Carried(first["target"], tuple(first["entries"].split(", ")), *_tables(body))
    end = last.start() + len(last[0].rstrip("\r"))
    return Block(first.start(), end, carried, first["version"], _digest(body) != first["digest"])


def ours(code: str) -> range:
    """Return the lines of the block of a text, from 1."""
    marks = _marks(code)
    if marks is None:
        return range(0)
    first, last = (code.count("\n", 0, mark.start()) + 1 for mark in marks)
    return range(first, last + 1)


def _marks(code: str) -> tuple[re.Match[str], re.Match[str]] | None:
    """Return the first and the last line of the block of a text."""
    first = _FIRST.search(code)
    last = _LAST.search(code, first.end()) if first else None
    return (first, last) if first and last else None


def folded(code: str) -> str:
    """Return a text with one line in place of the code of its block; what is decided in it stays."""
    block = find_block(code)
    if block is None:
        return code
    lines = code[block.start : block.end].split("\n")
    own = max((at for at, line in enumerate(lines) if _TABLE.match(line)), default=len(lines) - 1)
    short = [lines[0], f"# ... {own - 1} lines ...", *lines[own:]]
    return code[: block.start] + "\n".join(short) + code[block.end :]


def _tables(body: str) -> tuple[dict[str, str], Table | None]:
    """Read the tables of a block back."""
    try:
        nodes = ast.parse(body).body
    except SyntaxError:
        return {}, None
    kinds: dict[str, str] = {}
    table = None
    for node in nodes:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "KeyMapper.KINDS":
            kinds = dict(ast.literal_eval(node.value))
        if isinstance(node, ast.ClassDef) and node.name == "KeyMapper":
            own = {
                ast.unparse(each.targets[0]): each.value for each in node.body if isinstance(each, ast.Assign)
            }
            if {"MODEL", "MOVES"} <= own.keys():
                table = Table(ast.literal_eval(own["MODEL"]), tuple(ast.literal_eval(own["MOVES"])))
    return kinds, table


def _digest(body: str) -> str:
    """Return what a block is known by; the imports on its top may be those of the file."""
    code = _IMPORTS.sub("", body.strip()).strip()
    return hashlib.sha256(code.encode()).hexdigest()[:8]
