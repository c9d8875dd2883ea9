"""What the command line makes of what goes wrong: sentences and an exit code, never a traceback."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import click

from ml_switcheroo.errors import SwitcherooError, UserCodeError

__all__ = ["INTERRUPTED", "OUR_FAULT", "bounded", "run"]

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of the signal, as shells have it."""

OUR_FAULT = 70
"""The exit code of a fault of ours, as in ``sysexits.h``."""

_LAST = 4  # frames of our own that a report of a fault shows
_EXTRAS = {
    "jax": "flax",
    "flax": "flax",
    "equinox": "equinox",
    "haiku": "haiku",
    "keras": "keras",
    "tensorflow": "keras",
    "h5py": "keras",
    "mlx": "mlx",
    "orbax": "orbax",
}
"""The extra of this package that brings a framework."""


_ENDING = {
    name: word for name, word in (("SIGTERM", "Terminated"), ("SIGHUP", "Hung up")) if hasattr(signal, name)
}
"""Signals that end a run as Ctrl-C does, so that nothing half-written is left: a closed terminal is one."""


class _Ended(KeyboardInterrupt):
    """One of those signals.

    Attributes:
        name: Which one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def run(command: Callable[..., object]) -> int:
    """Run a command of click's; return its exit code, after saying what went wrong."""
    out = sys.stdout
    with _endable():
        try:
            code = command(prog_name="ml-switcheroo", standalone_mode=False)
            return code if isinstance(code, int) else 0
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except SwitcherooError as error:
            _say(type(error).__name__, getattr(error, "full", error) if "--full" in sys.argv else error)
            return error.exit_code
        except (KeyboardInterrupt, click.Abort) as error:
            return _ended(error)
        except SystemExit:
            # Where nobody reads on, click puts something else in its place, and ends so.
            if sys.stdout is out:
                raise
            return _closed()
        except Exception as error:  # noqa: BLE001 - the last one to ask; it says all that is known
            where = _theirs(error)
            if where is not None:
                made = UserCodeError("your code", error, *where)
                _say(type(made).__name__, made)
                return made.exit_code
            _say("Fault of ml-switcheroo", _report(error))
            return OUR_FAULT


@contextmanager
def bounded(what: str) -> Iterator[None]:
    """Run the user's own code; what it raises becomes an error that names their line.

    Args:
        what: What was being done: ``--like port.py:make``.

    Raises:
        UserCodeError: It raised something.
    """
    try:
        yield
    except SwitcherooError:
        raise
    except (Exception, SystemExit) as error:
        where, source = _theirs(error) or ("", "")
        raise UserCodeError(what, error, where, source, cure=_cure(error)) from error


def _cure(error: BaseException) -> str:
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing in _EXTRAS:
        return f"pip install 'ml-switcheroo[{_EXTRAS[missing]}]'"
    return f"Install {missing}, or correct the import." if missing else ""


def _theirs(error: BaseException) -> tuple[str, str] | None:
    """Return place and text of the innermost line of the user's that an error went through."""
    from ml_switcheroo.graph.lines import is_users

    if isinstance(error, SyntaxError) and error.filename and is_users(error.filename):
        return f"{error.filename}:{error.lineno}", (error.text or "").strip()
    frames = traceback.extract_tb(error.__traceback__)
    found = next((frame for frame in reversed(frames) if is_users(frame.filename)), None)
    return None if found is None else (f"{found.filename}:{found.lineno}", (found.line or "").strip())


def _report(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-_LAST:]
    lines = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    said = "".join(traceback.format_exception_only(error)).strip()
    return "\n".join([said, *lines, "Please report it, with these lines."])


def _say(head: str, text: object) -> None:
    click.secho(f"{head}: ", err=True, nl=False, bold=True, fg="red")
    click.echo(text, err=True)


def _ended(error: BaseException) -> int:
    """Say how to go on, and return the exit code that shells have for a signal."""
    ended = next((one for one in (error, error.__context__) if isinstance(one, _Ended)), None)
    with suppress(OSError):  # there may be no terminal any more
        _say(_ENDING[ended.name] if ended else "Interrupted", _way_on(sys.argv[1:]))
    return 128 + signal.Signals[ended.name] if ended else INTERRUPTED


def _way_on(words: Sequence[str]) -> str:
    if "--resume" in words:
        return "what is done is kept; run the same command again to go on with it"
    if "--write" in words:
        return "each file is as it was, or rewritten as a whole; run the same command again to go on"
    more = "; with --resume what is done would be kept, and gone on with" if words[:1] == ["convert"] else ""
    return f"nothing was changed{more}"


def _closed() -> int:
    """Go quietly, as other commands do; Python would complain when it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


@contextmanager
def _endable() -> Iterator[None]:
    def end(number: int, _: FrameType | None) -> None:
        raise _Ended(signal.Signals(number).name)

    # What is ignored from the outside (nohup) stays so.
    before = {name: signal.getsignal(signal.Signals[name]) for name in _ENDING}
    changed = [signal.Signals[name] for name, handler in before.items() if handler is not signal.SIG_IGN]
    for number in changed:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, before[number.name])
