"""What a person sees: results on stdout, all else on stderr; on a terminal as wide as it is, and coloured.

A pipe gets the same words, as wide as they come and without colours. Rich is imported where there is a colour
to show: neither the core nor ``--help`` needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import click

from ml_switcheroo.laid import Cell, blocks_of, laid_out

if TYPE_CHECKING:
    from rich.console import Console

    from ml_switcheroo.laid import Block, Role

__all__ = [
    "console_of",
    "is_coloured",
    "is_quiet",
    "is_verbose",
    "loudness",
    "show",
    "show_line",
    "show_text",
    "tell",
    "tell_error",
    "width_of",
]

F = TypeVar("F", bound=Callable[..., Any])

_STYLES: Mapping[Role, str] = {
    "title": "bold",
    "faint": "dim",
    "note": "cyan",
    "rule": "bold",
    "moved": "green",
    "dropped": "blue",
    "kept": "blue",
    "unexpected": "yellow",
    "missing": "red",
    "ambiguous": "magenta",
    "different": "red",
}
"""What the colours mean: green is done, blue is left for a reason, all others ask for a person."""

_WIDE = 80  # characters, where a terminal does not say


def is_quiet() -> bool:
    """Tell whether only the result is asked for, at its shortest."""
    return _level() < 0


def is_verbose() -> bool:
    """Tell whether each step is asked for."""
    return _level() > 0


def _level() -> int:
    context = click.get_current_context(silent=True)
    return int(context.meta.get(__name__, 0)) if context is not None else 0


def _set_level(context: click.Context, param: click.Parameter, value: bool) -> None:
    if not value:
        return
    if __name__ in context.meta:
        raise click.UsageError("-q and -v are opposites; give one of them")
    context.meta[__name__] = -1 if param.name == "quiet" else 1


def loudness(command: F) -> F:
    """Add the options that say how much is said."""
    for letter, name, said in (
        ("-v", "--verbose", "Also say on stderr what is being done, how long it took and the peak memory."),
        ("-q", "--quiet", "Print the result in one line, and no notes; errors are printed as ever."),
    ):
        option = click.option(letter, name, is_flag=True, expose_value=False, callback=_set_level, help=said)
        command = option(command)
    return command


def show(blocks: Iterable[Block]) -> None:
    """Print blocks on stdout: a result."""
    width = width_of(sys.stdout)
    _write((line for block in blocks for line in laid_out(block, width)), sys.stdout)


def show_text(text: str) -> None:
    """Print a result that is text already."""
    _write(_lines(text, sys.stdout), sys.stdout)


def show_line(text: str, role: Role = "") -> None:
    """Print a line of a result that is never broken, such as one of a diff."""
    _write([[Cell(text, role)]], sys.stdout)


def tell(text: str, role: Role = "") -> None:
    """Print a remark on stderr, unless only the result is asked for."""
    if not is_quiet():
        _write(_lines(text, sys.stderr, role), sys.stderr)


def tell_error(head: str, text: str) -> None:
    """Print on stderr what went wrong: what kind of thing, and at last the cure."""
    first, *rest = f"{head}: {text}".split("\n")
    told = [[Cell(first, "title")]] if first == head else _lines(first, sys.stderr, "title")
    told[0] = [Cell(head, "missing"), Cell(told[0][-1].text.removeprefix(head), "title")]
    cure = [rest.pop()] if rest and rest[-1][:1].strip() else []
    for line, role in ((rest, ""), (cure, "note")):
        told += _lines("\n".join(line), sys.stderr, cast("Role", role)) if line else []
    _write(told, sys.stderr)


def width_of(stream: TextIO) -> int | None:
    """Return how many characters a line has; None where that is no terminal, and any number will do."""
    if not stream.isatty():
        return None
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDE
    except (OSError, ValueError):
        return _WIDE


def console_of(stream: TextIO) -> Console:
    """Return the console of rich's for a stream; it prints what it is given as it is."""
    from rich.console import Console
    from rich.theme import Theme

    return Console(
        file=stream,
        theme=Theme({f"said.{role}": style for role, style in _STYLES.items()}),
        width=width_of(stream),
        color_system="auto" if is_coloured(stream) else None,
        force_terminal=True if stream.isatty() else None,
        soft_wrap=True,
        highlight=False,
        markup=False,
        emoji=False,
    )


def is_coloured(stream: TextIO) -> bool:
    """Tell whether a stream gets colours: a terminal that has them, or FORCE_COLOR; never with NO_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (
        stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    )


def _lines(text: str, stream: TextIO, role: Role = "") -> list[list[Cell]]:
    width = width_of(stream)
    return [line for block in blocks_of(text, width, role) for line in laid_out(block, width)]


def _write(lines: Iterable[Sequence[Cell]], stream: TextIO) -> None:
    if not is_coloured(stream):
        for line in lines:
            click.echo("".join(cell.text for cell in line), file=stream)
        return
    from rich.text import Text

    console = console_of(stream)
    for line in lines:
        styled = Text(end="")
        for cell in line:
            styled.append(cell.text, f"said.{cell.role}" if cell.role else None)
        console.print(styled)
