"""What the command line makes of what goes wrong: sentences and an exit code, never a traceback."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from types import FrameType
from typing import Any

import click

from ml_switcheroo.cli.records import error_record, facts_of, is_asked, show_record
from ml_switcheroo.cli.screen import tell_error
from ml_switcheroo.errors import SwitcherooError, UsageError, UserCodeError
from ml_switcheroo.extras import how_to_install

__all__ = ["INTERRUPTED", "OUR_FAULT", "aside", "bounded", "run"]

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of the signal, as shells have it."""

OUR_FAULT = 70
"""The exit code of a fault of ours, as in ``sysexits.h``."""

_SOON = 0.01  # seconds
_LAST = 4  # frames of our own that a report of a fault shows
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


@dataclass(frozen=True)
class _Ending:
    """How a run ends that went wrong.

    Attributes:
        code: The exit code.
        head: What kind of thing went wrong.
        text: What went wrong.
        record: The same for a program.
    """

    code: int
    head: str
    text: str
    record: Mapping[str, Any]

    def tell(self) -> int:
        """Say it, and return the exit code."""
        with suppress(OSError):  # there may be no terminal any more
            tell_error(self.head, self.text)
            if is_asked(sys.argv):
                show_record({"error": self.record})
        return self.code


def run(command: Callable[..., object]) -> int:
    """Run a command of click's; return its exit code, after saying what went wrong."""
    out = sys.stdout
    with _endable():
        try:
            code = command(prog_name="ml-switcheroo", standalone_mode=False)
            return code if isinstance(code, int) else 0
        except click.ClickException as error:
            return _misused(error)
        except SwitcherooError as error:
            return _failed(error).tell()
        except (KeyboardInterrupt, click.Abort) as error:
            return _ended(error).tell()
        except SystemExit:
            # Where nobody reads on, click puts something else in its place, and ends so.
            if sys.stdout is out:
                raise
            return _closed()
        except Exception as error:  # noqa: BLE001 - the last one to ask; it says all that is known
            return _unforeseen(error).tell()


def _misused(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # not before click 8.2
        error.show()
        return error.exit_code
    if context is not None:
        usage = f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n"
        click.echo(usage, err=True)
    tell_error("Error", error.format_message())
    if is_asked(sys.argv):
        cure = f"{context.command_path} --help" if context is not None else ""
        made = error_record(type(error).__name__, error.format_message(), error.exit_code, cure=cure)
        show_record({"error": made})
    return error.exit_code


def _failed(error: SwitcherooError) -> _Ending:
    text = str(getattr(error, "full", error) if "--full" in sys.argv else error)
    if isinstance(error, UserCodeError) and not {"-v", "--verbose"}.isdisjoint(sys.argv):
        click.echo("".join(traceback.format_exception(error.error)), err=True, nl=False)
    return _Ending(error.exit_code, type(error).__name__, text, facts_of(error))


def _unforeseen(error: Exception) -> _Ending:
    """Tell whose fault it is: the user's code, something that is not installed, the machine, or ours."""
    where = _theirs(error)
    if where is not None:
        return _failed(UserCodeError("your code", error, *where, cure=_cure(error)))
    if isinstance(error, ModuleNotFoundError) and _cure(error):
        return _failed(
            UsageError(f"{error.name} is needed for this, and is not installed", cure=_cure(error))
        )
    if isinstance(error, MemoryError | OSError):
        said = "there is not enough memory" if isinstance(error, MemoryError) else str(error)
        return _failed(SwitcherooError(f"the system refuses to go on: {said}"))
    return _fault(error)


def _fault(error: Exception) -> _Ending:
    text = _report(error)
    record = error_record(type(error).__name__, str(error), OUR_FAULT, problems=text.splitlines())
    return _Ending(OUR_FAULT, "Fault of ml-switcheroo", text, record)


@contextmanager
def aside() -> Iterator[None]:
    """Send to stderr what the user's code prints: stdout is for results."""
    with redirect_stdout(sys.stderr):
        yield


@contextmanager
def bounded(what: str) -> Iterator[None]:
    """Run the user's own code; what it raises becomes an error that names their line.

    Args:
        what: What was being done: ``--like port.py:make``.

    Raises:
        UserCodeError: It raised something.
    """
    try:
        with aside():
            yield
    except SwitcherooError:
        raise
    except (Exception, SystemExit) as error:
        where, source = _theirs(error) or ("", "")
        raise UserCodeError(what, error, where, source, cure=_cure(error)) from error


def _cure(error: BaseException) -> str:
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if not missing:
        return ""
    return how_to_install(missing) or f"Install {missing}, or correct the import."


def _theirs(error: BaseException) -> tuple[str, str] | None:
    """Return place and text of the innermost line of the user's that an error went through."""
    from ml_switcheroo.graph.lines import is_users

    if isinstance(error, SyntaxError) and error.filename and is_users(error.filename):
        return f"{_near(error.filename)}:{error.lineno}", (error.text or "").strip()
    frames = traceback.extract_tb(error.__traceback__)
    found = next((frame for frame in reversed(frames) if is_users(frame.filename)), None)
    return None if found is None else (f"{_near(found.filename)}:{found.lineno}", (found.line or "").strip())


def _near(file: str) -> str:
    """Write a path as a person has typed it, where it lies in the working directory."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _report(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-_LAST:]
    lines = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    said = "".join(traceback.format_exception_only(error)).strip()
    return "\n".join([said, *lines, "Please report it, with these lines."])


def _ended(error: BaseException) -> _Ending:
    """Say how to go on, with the exit code that shells have for a signal."""
    ended = next((one for one in (error, error.__context__) if isinstance(one, _Ended)), None)
    head = _ENDING[ended.name] if ended else "Interrupted"
    code = 128 + signal.Signals[ended.name] if ended else INTERRUPTED
    way_on = _way_on(sys.argv[1:])
    return _Ending(code, head, way_on, error_record(head, way_on, code))


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


def _sent_again(lost: sys.UnraisableHookArgs) -> None:
    """Send a signal again that struck where Python swallows what is raised, such as while it frees memory."""
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    name = lost.exc_value.name if isinstance(lost.exc_value, _Ended) else "SIGINT"
    # Later: here it would be swallowed, too.
    again = Timer(_SOON, os.kill, (os.getpid(), signal.Signals[name]))
    again.daemon = True
    again.start()


@contextmanager
def _endable() -> Iterator[None]:
    def end(number: int, _: FrameType | None) -> None:
        raise _Ended(signal.Signals(number).name)

    # What is ignored from the outside (nohup) stays so.
    before = {name: signal.getsignal(signal.Signals[name]) for name in _ENDING}
    changed = [signal.Signals[name] for name, handler in before.items() if handler is not signal.SIG_IGN]
    for number in changed:
        signal.signal(number, end)
    hook, sys.unraisablehook = sys.unraisablehook, _sent_again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number in changed:
            signal.signal(number, before[number.name])
