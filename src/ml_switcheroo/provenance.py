"""The mark that a converted checkpoint carries in its metadata, so that none is converted twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_switcheroo._version import __version__
from ml_switcheroo.errors import UsageError
from ml_switcheroo.targets import all_targets

if TYPE_CHECKING:
    from ml_switcheroo.outcome import Outcome

__all__ = ["exported", "refuse_converted", "stamp", "stamped_target"]

_PREFIX = "ml_switcheroo"
_OF_TORCH = ("", "pt")  # of the words that loaders put under ``format``


def stamp(plan: Outcome, source_hash: str) -> dict[str, str]:
    """Return the metadata of a checkpoint that a plan has made.

    Keys: ``ml_switcheroo.version``, ``.target``, ``.plan`` (SHA-256 of the plan), ``.source`` (its name),
    ``.source_hash`` (:attr:`Checkpoint.digest <ml_switcheroo.formats.checkpoint.Checkpoint.digest>`).
    """
    return {
        **_mark(plan.target, plan.source),
        f"{_PREFIX}.plan": plan.digest,
        f"{_PREFIX}.source_hash": source_hash,
    }


def exported(source: str | Path) -> dict[str, str]:
    """Return the metadata of a PyTorch checkpoint that was made from a converted one."""
    return _mark("torch", source)


def _mark(target: str, source: str | Path) -> dict[str, str]:
    return {
        f"{_PREFIX}.version": __version__,
        f"{_PREFIX}.target": target,
        f"{_PREFIX}.source": Path(source).name,
    }


def stamped_target(state: Mapping[str, Any]) -> str | None:
    """Return the target that a checkpoint was converted to; None if it was not converted.

    MLX writes ``format: mlx`` into its safetensors files, transformers ``flax`` and ``tf``.
    """
    metadata = dict(getattr(state, "metadata", {}))
    word = metadata.get("format", "")
    stamp = metadata.get(f"{_PREFIX}.target")
    if stamp or word in _OF_TORCH:
        return stamp
    return next((target.name for target in all_targets().values() if word in target.files.words), None)


def refuse_converted(state: Mapping[str, Any]) -> None:
    """Raise if a checkpoint was converted already.

    Raises:
        UsageError: It carries a stamp; the error says for which target and from what.
    """
    target = stamped_target(state)
    if target not in (None, "torch"):
        metadata, path = dict(getattr(state, "metadata", {})), getattr(state, "path", "the checkpoint")
        source = metadata.get(f"{_PREFIX}.source") or "a state dict"
        said = f"was already converted to {target} (from {source})"
        if f"{_PREFIX}.target" not in metadata:
            said = f"says that it is in another layout than PyTorch's (format: {metadata['format']})"
        raise UsageError(
            f"{path} {said}; converting it again would permute it twice."
            " Convert the original, or load this one as it is."
        )
