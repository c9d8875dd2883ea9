"""Files that people take for a checkpoint: what they are instead, and what to do."""

from __future__ import annotations

__all__ = ["mistaken"]

_UNPACK = "Unpack it first."
_KINDS = (
    (
        b"version https://git-lfs",
        "a pointer of Git LFS, not the file itself",
        "Fetch the file: git lfs pull.",
    ),
    (b"<!doctype html", "a web page", "Download the file itself, by the page's link to it."),
    (b"<html", "a web page", "Download the file itself, by the page's link to it."),
    (b"\x1f\x8b", "compressed by gzip", _UNPACK),
    (b"bzh", "compressed by bzip2", _UNPACK),
    (b"\xfd7zxz\0", "compressed by xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"gguf", "a GGUF file of llama.cpp, which is not read", "Take the checkpoint that it was made from."),
)
"""Its first bytes in lower case, what it is, and the cure."""


def mistaken(head: bytes) -> tuple[str, str] | None:
    """Say what a file is that is no checkpoint, and what to do; None where nothing is known.

    Args:
        head: The first bytes of the file, at least nine.

    >>> mistaken(b"<!DOCTYPE html><html>")
    ('a web page', "Download the file itself, by the page's link to it.")
    >>> mistaken((90).to_bytes(8, "little") + b"{")
    """
    if head[8:9] == b"{":  # the header of safetensors, behind a length that may look like anything
        return None
    start = head.lstrip().lower()
    return next(((what, cure) for magic, what, cure in _KINDS if start.startswith(magic)), None)
