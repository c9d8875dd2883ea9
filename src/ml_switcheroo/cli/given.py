"""What the words of a command line stand for: checked when they are read, before anything takes long."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ml_switcheroo.errors import CheckpointError, UsageError, cannot_write, did_you_mean, no_such_file

__all__ = ["CHECKPOINT", "DTYPE", "FILE", "INPUT", "NAMED", "OUT", "SPEC", "TARGET", "Known", "one_or_all"]

if TYPE_CHECKING:
    _Choice = click.Choice[str]
    _Type = click.ParamType[str]
else:  # not generic before click 8.4
    _Choice = click.Choice
    _Type = click.ParamType

FILE = click.Path(path_type=Path)


def _not_empty(value: Any) -> Any:
    """Refuse a word without a letter, such as a variable of the shell that is not set."""
    if not str(value):
        raise UsageError("an empty word: is a variable of the shell not set?")
    return value


class _Input(click.Path):
    """A file or folder that has to be there; ``-`` is none."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(_not_empty(value), param, ctx)))
        if str(path) != "-" and not path.exists():
            raise self.absent(path)
        return path

    def absent(self, path: Path) -> Exception:
        return UsageError(f"{path}: {no_such_file(path)}", where=path)


class _Checkpoint(_Input):
    """A checkpoint that has to be there."""

    def absent(self, path: Path) -> Exception:
        return CheckpointError(path, no_such_file(path))


class _Out(click.Path):
    """A file or folder to write, in a folder that has to be there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(_not_empty(value), param, ctx)))
        if not path.parent.is_dir():
            raise cannot_write(path, FileNotFoundError())
        return path


class _Text(_Type):
    """A word that is checked, and taken as it is."""

    name = "text"

    def __init__(
        self, check: Callable[[str, str], object], words: Callable[[], Mapping[str, str]] | None = None
    ) -> None:
        self._check = check
        self._words = words

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Offer the words there are, or files."""
        if self._words is None:
            return [CompletionItem(incomplete, type="file")]
        return [
            CompletionItem(word, help=said)
            for word, said in self._words().items()
            if word.startswith(incomplete)
        ]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        self._check(_not_empty(value), next(iter(param.opts), "") if param is not None else "")
        return value


def _named(text: str, option: str) -> None:
    """Check the file of ``model.py:Net``; what is no file is a module, or shapes."""
    place, colon, name = text.rpartition(":") if ":" in text else (text, "", "")
    if colon and not (place and name):
        raise UsageError(f"{option} {text}: expected a file or module, a colon and a name: model.py:Net")
    if place.endswith(".py") and not Path(place).is_file():
        raise UsageError(f"{option} {text}: {place}: {no_such_file(place)}", where=place)


def _spec(text: str, option: str) -> None:
    """Check the file of ``port.py:make``, or a spec file."""
    _named(text, option)
    if ":" not in text and not Path(text).exists():
        raise UsageError(f"{option} {text}: {no_such_file(text)}", where=text)


def _target(text: str, _: str) -> None:
    from ml_switcheroo.targets import find_target

    find_target(text)


def _dtype(text: str, _: str) -> None:
    from ml_switcheroo.ops import Cast

    Cast(text).specs(())


def _targets() -> Mapping[str, str]:
    from ml_switcheroo.targets import all_targets

    return {name: one.summary for one in all_targets().values() for name in (one.name, *one.aliases)}


def _dtypes() -> Mapping[str, str]:
    from ml_switcheroo.tensors import DTYPES

    return dict.fromkeys(DTYPES, "")


def one_or_all(paths: tuple[Path, ...]) -> Path | tuple[Path, ...]:
    """Return the path of a checkpoint, or the paths of its shards."""
    return paths[0] if len(paths) == 1 else paths


INPUT, CHECKPOINT, OUT = _Input(), _Checkpoint(), _Out(path_type=Path)
NAMED, SPEC, TARGET, DTYPE = _Text(_named), _Text(_spec), _Text(_target, _targets), _Text(_dtype, _dtypes)


class Known(_Choice):
    """One of some words, which are asked for where they are needed.

    Args:
        words: Returns them.
    """

    def __init__(self, words: Callable[[], Iterable[str]]) -> None:
        self._words = words
        self.case_sensitive = True

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        """The words."""
        return tuple(self._words())

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take one of the words; another one is asked for."""
        if value not in self.choices:
            self.fail(
                f"{value!r} is none of {', '.join(self.choices)}{did_you_mean(value, self.choices)}",
                param,
                ctx,
            )
        return value
