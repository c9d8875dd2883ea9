"""The option ``--like``: a spec file, a converted checkpoint, or a function that makes the target model."""

from __future__ import annotations

from typing import Any

from ml_switcheroo.cli.factory import made_by

__all__ = ["read_like"]


def read_like(text: str | None) -> Any:
    """Return what ``like=`` takes for the text of ``--like``.

    Args:
        text: ``file.json`` (a list of leaves with path and shape, or ``{path: shape}``), or
            ``module:factory`` / ``file.py:factory``: the function or class is called without arguments
            and returns the target model.

    Raises:
        UsageError: There is no such file, module or function, or calling it failed.
    """
    return text if text is None or ":" not in text else made_by(text, "--like")
