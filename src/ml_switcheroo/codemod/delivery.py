"""How ``KeyMapper`` reaches a file that calls it: pasted, from a module of the package, or imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_switcheroo.codemod.block import Block, Carried, compose, find_block, kinds_of
from ml_switcheroo.codemod.bundle import module_of
from ml_switcheroo.codemod.home import Home, find_home
from ml_switcheroo.codemod.index import File, Index
from ml_switcheroo.codemod.notes import Said, said
from ml_switcheroo.codemod.preamble import without_repeated
from ml_switcheroo.codemod.text import Edit, Text

__all__ = ["Delivery", "block_at", "carry", "deliver", "in_place_of"]


@dataclass(frozen=True)
class Delivery:
    """What brings ``KeyMapper`` into a file.

    Attributes:
        imports: Import statements that are needed.
        blocks: Code that is needed behind them.
        renewed: The edit of a block that stands there and lacks something.
        home: The file of the project that has ``KeyMapper``.
        refused: Why the file cannot have it.
        noted: What a person should know, where the way is another than was asked for.
    """

    imports: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    renewed: Edit | None = None
    home: Path | None = None
    refused: Said | None = None
    noted: Said | None = None


_PLANNED = frozenset({"from_torch", "load_into", "copy_into", "read", "map_name", "map_value"})
"""The methods that a ``KeyMapper`` has that carries a plan."""


def deliver(
    text: Text, file: File, target: str, needs: Iterable[str], settings: Mapping[str, Any], index: Index
) -> Delivery:
    """Find out how a file gets the methods of ``KeyMapper`` that its new calls need."""
    entries = tuple(sorted(needs))
    if not entries:
        return Delivery()
    carried = carry(target, entries, settings)
    there = find_block(text.code)
    if there is not None:
        return _renewed(text, there, target, entries)
    runtime = settings.get("runtime", "inject")
    imported = _imported(file, index)
    if imported is not None:
        return _checked(imported, target)
    if runtime == "import" and carried.table is None:
        kinds = kinds_of(carried).strip("\n")
        imports = (f"from {module_of(target)} import KeyMapper",)
        return Delivery(imports=imports, blocks=(kinds,) if kinds else ())
    home = find_home(file, index) if runtime == "module" else ""
    if isinstance(home, Home):
        block = block_at(home.path)
        if block is not None and not _is_same(block.carried.target, target):
            return Delivery(refused=said("other-target", other=block.carried.target))
        if block is not None or not home.path.exists():
            return Delivery(imports=(home.statement,), home=home.path)
        home = f"{home.path.name} beside it is somebody else's"
    return Delivery(blocks=(compose(carried),), noted=said("no-home", why=home) if home else None)


def carry(target: str, entries: Iterable[str], settings: Mapping[str, Any]) -> Carried:
    """Return what a new block is made of: the plan of a known model, if that has all that is called."""
    entries = tuple(entries)
    table = settings.get("table")
    if table is not None and _PLANNED.issuperset(entries):
        return Carried(target, entries, table=table)
    general = tuple(sorted({*entries, "map_name", "map_value", "from_torch"}))
    return Carried(target, general, dict(settings.get("kinds") or {}))


def block_at(path: Path) -> Block | None:
    """Return the block of a file; None where there is no such file, or none in it."""
    return find_block(path.read_text("utf-8")) if path.is_file() else None


def _renewed(text: Text, there: Block, target: str, needs: Iterable[str]) -> Delivery:
    """Return the edit of a block that lacks something."""
    if not _is_same(there.carried.target, target):
        return Delivery(refused=said("other-target", other=there.carried.target))
    lacking = sorted({*needs} - {*there.carried.entries})
    if not lacking:
        return Delivery()
    if there.edited:
        return Delivery(refused=said("edited-block", what=", ".join(lacking)))
    if there.carried.table is not None and not _PLANNED.issuperset(lacking):
        return Delivery(refused=said("planned-block", what=", ".join(lacking)))
    return Delivery(renewed=in_place_of(there, there.carried.with_entries(lacking), text))


def in_place_of(there: Block, carried: Carried, text: Text) -> Edit:
    """Return the edit that puts a new block in place of the one in a text."""
    block = without_repeated(compose(carried), text, there.start).rstrip("\n")
    return text.edit(there.start, there.end, block.replace("\n", text.newline))


def _checked(imported: tuple[str, Path | None], target: str) -> Delivery:
    """Return nothing more for a file that imports ``KeyMapper``; a refusal where that is another target's."""
    other, home = imported
    if _is_same(other, target):
        return Delivery(home=home)
    return Delivery(refused=said("other-target", other=other))


def _is_same(other: str, target: str) -> bool:
    """Tell whether two targets have one ``KeyMapper``; the other may be given by its module."""
    return module_of(target) == (other if "." in other else module_of(other))


def _imported(file: File, index: Index) -> tuple[str, Path | None] | None:
    """Return the target of the ``KeyMapper`` that a file imports (or its module), and the file it is from."""
    for node in file.tree.body:
        if isinstance(node, ast.ImportFrom) and any(alias.name == "KeyMapper" for alias in node.names):
            if not node.level and (node.module or "").startswith("ml_switcheroo.runtime"):
                return str(node.module), None
            module, _ = index.find(file, node.level, node.module or "")
            block = block_at(module.path) if module else None
            if module is not None and block is not None:
                return block.carried.target, module.path
    return None
