"""Where the source of a model is that ``layers=`` names: a file, a module, or a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ml_switcheroo.code.library import Library, Source
from ml_switcheroo.errors import SourceError
from ml_switcheroo.sources.static.reading.configured import configured, is_config

__all__ = ["open_source"]


def open_source(spec: str, root: Path | None) -> tuple[Source, Library, str]:
    """Return the source that ``layers=`` names, where its imports are found, and the name in it, if any.

    Raises:
        SourceError: There is no such file or module, or a configuration names no model that can be read.
    """
    place, _, name = spec.rpartition(":") if _names_something(spec) else (spec, "", "")
    base = (root or Path()).resolve()
    path = base / place
    if is_config(str(path)):
        made = configured(path, name)
        library = Library(made.roots)
        return library.add(made.path, made.tree), library, made.name
    if not (place.endswith(".py") or path.is_file()):
        library = Library([base])
        source = library.module(place)
        if source is None:
            raise SourceError(place, "no such module on disk", cure=f"Give a file, or a module below {base}.")
        return source, library, name
    if not path.is_file():
        raise SourceError(place, "no such file", cure=f"The path is relative to {base}.")
    library = Library([base, *_package_roots(path)])
    return library.file(path), library, name


def _names_something(spec: str) -> bool:
    head, _, tail = spec.rpartition(":")
    return bool(head) and tail.isidentifier() and len(head) > 1


def _package_roots(path: Path) -> Iterator[Path]:
    """Yield the folders that a file's absolute imports may start from."""
    folder = path.resolve().parent
    yield folder
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    yield folder
