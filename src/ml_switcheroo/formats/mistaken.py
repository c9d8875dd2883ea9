"""Files that people take for a checkpoint: what they are instead, and what to do."""

from __future__ import annotations

import re

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
_ONNX = re.compile(rb"\x08[\x03-\x20](?:\x12[\x00-\x7f][\w. -]*[\x1a\x22\x28\x3a]|\x3a)")
"""The version of its intermediate representation, who made it, and what comes next."""

_ONNX_SAID = (
    "an ONNX file: a program, not a state dict; it is not read",
    "Take the checkpoint that it was exported from: torch.save(model.state_dict(), path).",
)
_TFLITE_SAID = ("a TFLite file, which is not read", "Take the model that it was converted from.")
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
    if _ONNX.match(head):
        return _ONNX_SAID
    if head[4:8] == b"TFL3":
        return _TFLITE_SAID
    start = head.lstrip().lower()
    return next(((what, cure) for magic, what, cure in _KINDS if start.startswith(magic)), None)
