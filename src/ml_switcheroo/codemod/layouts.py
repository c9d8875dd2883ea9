"""Where a project keeps its packages: ``src``, or what its build files say."""

from __future__ import annotations

import ast
import configparser
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["source_folders"]


def source_folders(project: Path) -> list[Path]:
    """Return the folders that packages are imported from, beside the project's own; they need not exist.

    ``package-dir``, ``packages.find.where`` and the like of ``pyproject.toml``, ``setup.cfg`` and
    ``setup.py`` are read and nothing of them is run; ``src`` is always one.
    """
    said: list[Any] = ["src"]
    for name, read in (("pyproject.toml", _of_toml), ("setup.cfg", _of_cfg), ("setup.py", _of_setup)):
        try:
            said += read((project / name).read_text("utf-8"))
        except (OSError, ValueError, SyntaxError, RecursionError, configparser.Error):
            continue
    return [project / folder for folder in said if isinstance(folder, str) and not Path(folder).is_absolute()]


def _of_toml(text: str) -> Iterator[Any]:
    tool = _table(tomllib.loads(text), "tool")
    setuptools = _table(tool, "setuptools")
    yield from _table(setuptools, "package-dir").values()
    yield from _list(_table(setuptools, "packages", "find").get("where"))
    for package in _list(_table(tool, "poetry").get("packages")):
        yield package.get("from") if isinstance(package, dict) else None
    for package in _list(_table(tool, "hatch", "build", "targets", "wheel").get("packages")):
        yield str(Path(package).parent) if isinstance(package, str) else None
    yield _table(tool, "pdm", "build").get("package-dir")


def _of_cfg(text: str) -> Iterator[Any]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    for line in parser.get("options", "package_dir", fallback="").replace(",", "\n").splitlines():
        yield line.partition("=")[2].strip()
    yield from parser.get("options.packages.find", "where", fallback="").split()


def _of_setup(text: str) -> Iterator[Any]:
    for node in ast.walk(ast.parse(text)):
        for word in node.keywords if isinstance(node, ast.Call) else ():
            if word.arg == "package_dir" and isinstance(word.value, ast.Dict):
                yield from (part.value for part in word.value.values if isinstance(part, ast.Constant))


def _table(table: Any, *names: str) -> dict[str, Any]:
    """Return a table within tables; an empty one where there is none."""
    for name in names:
        table = table.get(name) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
