"""Read and parse source files."""

from __future__ import annotations

import ast
import functools
import tokenize
from pathlib import Path

from ml_switcheroo.errors import SourceError, cannot_read

__all__ = ["parse", "read"]

_LARGEST = 8 << 20  # bytes of a source file


def read(path: Path) -> tuple[str, ast.Module]:
    """Return the text of a file, as its encoding says, and its tree.

    Raises:
        SourceError: The file is not there, or not Python.
    """
    try:
        with tokenize.open(path) as stream:
            text = stream.read()
        return text, ast.parse(text)
    except OSError as error:
        raise SourceError(str(path), cannot_read(path, error)) from error
    except SyntaxError as error:
        line = (error.text or "").strip()
        shown = f"\n  {line}" if line else ""
        raise SourceError(f"{path}:{error.lineno or 1}", f"not Python: {error.msg}{shown}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise SourceError(str(path), f"not Python: {error}") from error


def parse(path: Path) -> ast.Module:
    """Return the tree of a file; one that has not changed is parsed once.

    Raises:
        SourceError: The file is not there, too large, or not Python.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(str(path), cannot_read(path, error)) from error
    if status.st_size > _LARGEST:
        raise SourceError(str(path), f"larger than {_LARGEST >> 20} MB; this is no model source")
    return _parsed(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=512)
def _parsed(path: Path, _changed: int, _size: int) -> ast.Module:
    return read(path)[1]
