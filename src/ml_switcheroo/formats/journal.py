"""The journal of an unfinished file: which leaves are in it, with their checksums.

It lies beside the unfinished file, one JSON value a line: first what the run is about, then each finished
leaf. A leaf counts as done when its bytes in the file still have the checksum; after a power cut they may
not.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from ml_switcheroo.formats.output import AtomicFile
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Journal"]

_BLOCK = 2**22


class Journal:
    """Open the journal of a file that is being written, and find out what is done already.

    Args:
        out: The file.
        head: The file's first bytes: names, shapes, dtypes, metadata.
        offsets: Where each leaf goes.
        specs: The leaves.
        key: What the leaves are made of and how.
        say: Called with a sentence when the run goes on or starts anew.

    Attributes:
        done: Names of the leaves that are in the file.
    """

    def __init__(
        self,
        out: AtomicFile,
        head: bytes,
        offsets: Mapping[str, int],
        specs: Mapping[str, TensorSpec],
        key: str,
        say: Callable[[str], object],
    ) -> None:
        self._out = out
        self._places = {name: (offset, specs[name].nbytes) for name, offset in offsets.items()}
        self._path = out.temporary.with_suffix(".journal")
        first = {"key": key, "head": hashlib.sha256(head).hexdigest()}
        lines = self._lines()
        same = bool(lines) and lines[0] == first and out.reused
        self.done = {line["leaf"] for line in lines[1:] if same and self._is_there(line)}
        if same:
            say(f"goes on with an interrupted run: {len(self.done)} of {len(specs)} leaves are done")
        elif lines:
            say("starts anew: the interrupted run was of another plan, source or version")
        self._file = self._path.open("w", encoding="utf-8")
        self._write(first)
        for line in lines[1:]:
            if isinstance(line, dict) and line.get("leaf") in self.done:
                self._write(line)

    def add(self, name: str) -> None:
        """Note a leaf whose bytes are written."""
        self._write({"leaf": name, "crc": self._checksum(name)})
        self.done.add(name)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None:  # the file is complete
            self._path.unlink()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def _lines(self) -> list[Any]:
        """Read the journal up to the first line that is none: the last one may be cut off."""
        lines: list[Any] = []
        try:
            with self._path.open(encoding="utf-8") as file:
                for line in file:
                    lines.append(json.loads(line))
        except (FileNotFoundError, ValueError):
            pass
        return lines

    def _is_there(self, line: Any) -> bool:
        name = line.get("leaf") if isinstance(line, dict) else None
        return name in self._places and self._checksum(name) == line.get("crc")

    def _checksum(self, name: str) -> int:
        offset, nbytes = self._places[name]
        crc = 0
        for start in range(0, nbytes, _BLOCK):
            crc = zlib.crc32(self._out.read(offset + start, min(_BLOCK, nbytes - start)), crc)
        return crc
