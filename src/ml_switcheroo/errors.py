"""The errors of this package.

::

    SwitcherooError                what failed, where, expected and found, the cure
    ├── UsageError (ValueError)    an argument that makes no sense             exit 2
    │   ├── AxesError              an axis string, or sizes that do not fit it
    │   ├── RuleError              a rule that is unused, wrong or contradicts another
    │   └── UnknownTarget          a target name that is not registered
    ├── UnknownName (KeyError)     a tensor or leaf that is not there          exit 2
    ├── UserCodeError              the user's own code raised                  exit 2
    ├── CheckpointError            a file that is damaged, hostile or not a checkpoint  exit 2
    ├── SourceError                model code that cannot be read or found     exit 2
    ├── RewriteError               code that cannot be rewritten               exit 2
    ├── PlanError                  a plan with missing or ambiguous tensors    exit 1
    ├── CastError                  values that another dtype cannot hold       exit 1
    └── LoadError (RuntimeError)   leaves that do not fit the live model       exit 1

Every error carries its facts as attributes; ``str()`` is written for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import ClassVar

__all__ = [
    "AxesError",
    "CastError",
    "CheckpointError",
    "LoadError",
    "PlanError",
    "RewriteError",
    "RuleError",
    "SourceError",
    "SwitcherooError",
    "UnknownName",
    "UnknownTarget",
    "UsageError",
    "UserCodeError",
    "cannot_read",
    "cannot_write",
    "described",
    "did_you_mean",
    "no_such_file",
    "shortened",
]

_LINES, _CHARACTERS, _WIDE = 40, 4000, 1000  # of a message, and of one of its lines
_MORE = "  ... and {} more (--full; error.full)"
_WIDEST = 200  # characters of a repr
_LONGEST, _MOST_LINES = 2000, 20  # characters and lines of somebody else's error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question about the known name that is most like another one; empty if none is like it.

    >>> did_you_mean("nxn", ["nnx", "linen"])
    " (did you mean 'nnx'?)"
    >>> did_you_mean("torch", ["nnx", "linen"])
    ''
    """
    import difflib

    found = difflib.get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def described(value: object) -> str:
    """Say what was given, for an error about it; of a class and a function, how it becomes an object.

    >>> described(3), described([]), described(None), described(Path)
    ('an int', 'a list', 'None', 'the class Path (make one of it)')
    """
    word, name = type(value).__name__, getattr(value, "__name__", "")
    if isinstance(value, type):
        return f"the class {name} (make one of it)"
    if word == "function":
        return f"the function {name} (call it)"
    return "None" if value is None else f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def cannot_read(path: str | Path, error: OSError | UnicodeDecodeError) -> str:
    """Say why a file cannot be read; one that is not there is asked for under a name that is."""
    if isinstance(error, UnicodeDecodeError):
        return f"no text: its byte {error.start} is not UTF-8"
    return no_such_file(path) if isinstance(error, FileNotFoundError) else error.strerror or str(error)


def cannot_write(path: str | Path, error: OSError) -> CheckpointError:
    """Return the error of a file or folder that cannot be written."""
    folder = Path(path).parent
    if isinstance(error, FileNotFoundError) and not folder.is_dir():
        reason = f"cannot be written: there is no such folder as {folder}"
        return CheckpointError(path, reason, cure=f"Make it: mkdir -p {folder}")
    return CheckpointError(path, f"cannot be written: {error.strerror or error}", cure="Nothing was changed.")


def no_such_file(path: str | Path) -> str:
    """Say that a file is not there, and which of its folder may be meant.

    >>> no_such_file("nowhere/weights.pt")
    'no such file; there is no folder nowhere'
    """
    path = Path(path)
    if not path.parent.is_dir():
        return f"no such file; there is no folder {path.parent}"
    try:
        there = [one.name for one in path.parent.iterdir()]
    except OSError:  # one that may not be listed
        there = []
    return f"no such file{did_you_mean(path.name, there)}"


def shortened(text: str) -> str:
    """Return a message in at most 40 lines and 4,000 characters: its first lines, and its last, the cure.

    >>> shortened("odd: " + "name, " * 3000)[-42:]
    'name, name, name, ... (--full; error.full)'
    """
    lines = [_narrow(line) for line in text.splitlines()]
    if len(lines) <= _LINES and sum(map(len, lines)) + len(lines) <= _CHARACTERS:
        return text if lines == text.splitlines() else "\n".join(lines)
    *kept, last = lines
    room = _CHARACTERS - len(last) - len(_MORE)
    while len(kept) > _LINES - 2 or sum(map(len, kept)) + len(kept) > room:
        kept.pop()
    return "\n".join([*kept, _MORE.format(len(lines) - 1 - len(kept)), last])


def _narrow(line: str) -> str:
    """Cut a list in a line behind one of its entries."""
    if len(line) <= _WIDE:
        return line
    return f"{line[:_WIDE].rpartition(', ')[0] or line[:_WIDE]}, ... (--full; error.full)"


def _indented(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.startswith("  "))


def _cut(text: str) -> str:
    """Keep the beginning of what somebody else's error says."""
    lines = text[:_LONGEST].splitlines()
    cut = "\n".join(lines[:_MOST_LINES])
    return cut if cut == text.rstrip("\n") else f"{cut} ..."


class SwitcherooError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        exit_code: What the command line ends with.
        where: The file, or ``file:line``, that it is about; empty if there is none.
        cure: What to do about it, where that is no part of the sentence.
        problems: One line for each thing that is wrong, where there may be several.
        full: The whole message; ``str()`` has at most 40 lines of it.
    """

    exit_code: ClassVar[int] = 2
    where: str = ""
    cure: str = ""
    problems: tuple[str, ...]
    full: str

    def __init__(self, message: str = "") -> None:
        facts = vars(self)
        facts.setdefault("full", message)
        facts.setdefault("problems", _indented(facts["full"]))
        super().__init__(shortened(message))

    def __repr__(self) -> str:
        first = next(iter(str(self).splitlines()), "")
        return f"<{type(self).__name__}: {first[:_WIDEST]}{'...' if str(self) != first[:_WIDEST] else ''}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(f'{type(self).__name__}: {self}')}</pre>"


class UsageError(SwitcherooError, ValueError):
    """Report an argument that makes no sense, alone or with the others."""

    def __init__(self, message: str, *, where: str | Path = "", cure: str = "") -> None:
        self.where = str(where)
        self.cure = cure
        super().__init__(f"{message}\n{cure}" if cure else message)


class AxesError(UsageError):
    """Report an axis string that does not parse, or sizes that do not fit it."""


class RuleError(UsageError):
    """Report rules that are unused, malformed or contradict each other."""


class UnknownTarget(UsageError):
    """Report a target that is not registered.

    Attributes:
        target: The name that was asked for.
        known: The names that exist.
    """

    def __init__(self, target: str, known: Sequence[str], aliases: Sequence[str] = ()) -> None:
        self.target = target
        self.known = tuple(known)
        meant = did_you_mean(target, [*known, *aliases])
        super().__init__(f"unknown target {target!r}{meant}; known targets: {', '.join(self.known)}")


class UnknownName(SwitcherooError, KeyError):
    """Report a tensor of a checkpoint, or a leaf of a plan, that is not there.

    Attributes:
        what: What it would be: ``tensor``.
        name: The name that was asked for.
        known: The names that exist.
    """

    def __init__(self, what: str, name: object, known: Iterable[str]) -> None:
        self.what = what
        self.name = name
        self._known = known
        super().__init__(str(name))

    @property
    def known(self) -> tuple[str, ...]:
        """The names that exist."""
        return tuple(self._known)

    def __str__(self) -> str:  # written when it is read: many only ask whether a name is there
        return f"no {self.what} is called {self.name!r}{did_you_mean(str(self.name), self._known)}"


class UserCodeError(SwitcherooError):
    """Report that code of the user's raised an error while it was run for them.

    Attributes:
        what: What it was run for.
        error: What it raised.
        where: The innermost line of theirs that it went through, ``file:line``; empty if there is none.
        line: The text of that line.
        cure: What to do about it, if that is known.
    """

    def __init__(
        self, what: str, error: BaseException, where: str = "", line: str = "", cure: str = ""
    ) -> None:
        self.what = what
        self.error = error
        self.where = where
        self.line = line
        self.cure = cure
        said = f"{what}: {type(error).__name__}: {_cut(str(error))}"
        super().__init__(
            "\n".join([said, *([f"  {where}: {line}"] if where else []), *([cure] if cure else [])])
        )


class CheckpointError(SwitcherooError):
    """Report a file that is damaged, hostile, or not a checkpoint.

    Attributes:
        file: The file that was read.
        reason: What is wrong with it.
        offset: The byte offset in the file (or in ``member``) where it went wrong.
        member: The member of an archive, if it is one.
        cure: What to do about it.
    """

    def __init__(
        self,
        file: str | Path,
        reason: str,
        *,
        offset: int | None = None,
        member: str = "",
        cure: str = "",
    ) -> None:
        self.file = Path(file)
        self.where = str(file)
        self.reason = reason
        self.offset = offset
        self.member = member
        self.cure = cure
        where = str(file)
        if member:
            where += f", member {member}"
        if offset is not None:
            where += f", offset {offset}"
        super().__init__(f"{where}: {reason}" + (f"\n{cure}" if cure else ""))


class SourceError(SwitcherooError):
    """Report model code that cannot be found or read.

    Attributes:
        where: ``file`` or ``file:line``.
        reason: What is wrong.
        cure: What to do about it.
    """

    def __init__(self, where: str, reason: str, *, cure: str = "") -> None:
        self.where = where
        self.reason = reason
        self.cure = cure
        super().__init__(f"{where}: {reason}" + (f"\n{cure}" if cure else ""))


class RewriteError(SwitcherooError):
    """Report code that cannot be rewritten.

    Attributes:
        where: ``file`` or ``file:line``.
        reason: What is wrong.
    """

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"{where}: {reason}")


class PlanError(SwitcherooError):
    """Report a plan that must not be applied as it is.

    Attributes:
        missing: Target leaves that nothing fills.
        ambiguous: Source tensors (or leaves) with several equally good answers.
        unexpected: Source tensors that nothing takes.
        full: The message with all lines, if it was cut.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        missing: Sequence[str] = (),
        ambiguous: Sequence[str] = (),
        unexpected: Sequence[str] = (),
        full: str = "",
    ) -> None:
        self.full = full or message
        self.missing = tuple(missing)
        self.ambiguous = tuple(ambiguous)
        self.unexpected = tuple(unexpected)
        super().__init__(message)


class CastError(SwitcherooError):
    """Report values that do not survive the change of dtype that was asked for.

    Attributes:
        losses: What is lost, by the leaf.
    """

    exit_code = 1

    def __init__(self, message: str, losses: Mapping[str, str]) -> None:
        self.losses = dict(losses)
        self.problems = tuple(f"{path}: {loss}" for path, loss in self.losses.items())
        super().__init__(message)


class LoadError(SwitcherooError, RuntimeError):
    """Report leaves that do not fit the live model; nothing was written.

    Attributes:
        problems: One line for each leaf, sorted.
    """

    exit_code = 1

    def __init__(self, message: str, problems: Sequence[str] = (), *, full: str = "") -> None:
        self.full = full or message
        self.problems = tuple(problems)
        super().__init__(message)
