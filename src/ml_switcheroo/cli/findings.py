"""What a rewrite found, told to a person or to a program."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from ml_switcheroo.cli.annotations import annotations_of, sarif_of
from ml_switcheroo.cli.records import show_record
from ml_switcheroo.cli.screen import show_line, tell
from ml_switcheroo.codemod.block import find_block
from ml_switcheroo.codemod.notes import CONSEQUENCES, ROWS

if TYPE_CHECKING:
    from ml_switcheroo.codemod.hooks import Note
    from ml_switcheroo.codemod.repository import Rewritten
    from ml_switcheroo.codemod.text import Edit
    from ml_switcheroo.laid import Role

__all__ = ["FORMATS", "Findings"]

_ROLES: Mapping[str, Role] = {"+": "moved", "-": "missing", "@": "note"}
_RANKS = {consequence: rank for rank, consequence in enumerate(CONSEQUENCES)}
_OPEN = ("may differ", "by hand")
"""The consequences that ask for something."""


@dataclass
class Findings:
    """What became of all files together.

    Attributes:
        mode: ``diff``, ``write`` or ``check``.
        form: How it is told, one of ``FORMATS``.
        codes: The codes of the notes that are shown.
        asked: Whether a person asked for them, so that none is folded.
        full: Whether a diff has all of ``KeyMapper``.
    """

    mode: str
    form: str
    codes: frozenset[str]
    asked: bool = False
    full: bool = False
    files: list[Rewritten] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    calls: int = 0
    changed: int = 0
    failed: int = 0

    def add(self, done: Rewritten, problem: str, *, named: bool) -> None:
        """Take up a file; one that was named and cannot be read, or cannot be written, has failed."""
        self.failed += bool(problem) or (done.unreadable and named)
        self.changed += done.changed and not problem
        self.calls += 0 if problem else len(_calls(done))
        self.files.append(done)
        if problem:
            self.problems[str(done.path)] = problem
        if self.form == "text":
            _show(done, self, problem)

    def notes(self) -> Iterator[Note]:
        """Yield the notes that are shown, in the order of the files."""
        for done in self.files:
            yield from (note for note in done.rewrite.notes if note.code in self.codes)

    def close(self) -> None:
        """Tell what is told at the end."""
        FORMATS[self.form](self)

    def exit_code(self, *, on_left: bool) -> int:
        """Return 2 for a failure, 1 for what ``--check`` or ``--exit-on-left`` asks for, else 0."""
        if self.failed:
            return 2
        left = on_left and any(note.row.consequence in _OPEN for note in self.notes())
        return int((self.mode == "check" and self.changed > 0) or left)


def _tell_text(findings: Findings) -> None:
    """Print the notes, the worst first, and how many there are of each code."""
    notes = list(findings.notes())
    counts = Counter(note.code for note in notes)
    folded = {code for code in counts if _is_folded(code, counts[code]) and not findings.asked}
    for note in sorted(notes, key=lambda note: (_RANKS[note.row.consequence], note)):
        if note.code not in folded:
            tell(f"{note} [{note.code}]")
    lines = [_summary(findings, sum(note.row.left for note in notes))]
    for code in sorted(counts, key=lambda code: (_RANKS[ROWS[code].consequence], code)):
        row = ROWS[code]
        more = f" (--select {code} lists them)" if code in folded else ""
        lines.append(f"  {row.consequence:<10} {code} {counts[code]:>4}  {row.title}{more}")
    tell("\n".join(lines))


def _is_folded(code: str, count: int) -> bool:
    """Tell whether notes are only counted: there are several, and none asks for anything."""
    return count > 1 and ROWS[code].consequence not in _OPEN


def _summary(findings: Findings, left: int) -> str:
    if not (findings.calls or left or findings.failed):
        return "nothing to rewrite"
    done = "rewritten" if findings.mode == "write" else "to rewrite"
    text = f"{_count(findings.calls, 'call')} {done} in {_count(findings.changed, 'file')}"
    text += f"; {_count(left, 'place')} left as {'it is' if left == 1 else 'they are'}"
    text += f"; {_count(findings.failed, 'file')} failed" if findings.failed else ""
    return text + (" (--write changes the files)" if findings.mode == "diff" and findings.changed else "")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _calls(done: Rewritten) -> list[Edit]:
    """Return the edits of calls: not what was put in, nor a KeyMapper that was there."""
    return [edit for edit in done.rewrite.edits if edit.before and not find_block(edit.before)]


def _show(done: Rewritten, findings: Findings, problem: str) -> None:
    mode = findings.mode
    if problem:
        click.echo(f"{done.path}: {problem}", err=True)
    elif mode == "stream":
        sys.stdout.buffer.write(done.rewrite.code.encode(done.encoding) if not done.unreadable else b"")
    elif mode == "diff":
        for line in done.diff(full=findings.full).split("\n")[:-1]:
            show_line(line, _ROLES.get(line[:1], ""))
    elif done.changed:
        click.echo(f"{'would change' if mode == 'check' else 'changed'} {done.path}")


def _tell_json(findings: Findings) -> None:
    show_record({"files": [_record(done, findings) for done in findings.files]})


def _record(done: Rewritten, findings: Findings) -> dict[str, Any]:
    edits = [{"line": e.line, "before": e.before, "after": e.after} for e in _calls(done)]
    notes = [
        {"line": note.line, "code": note.code, "consequence": note.row.consequence, "text": note.text}
        for note in done.rewrite.notes
        if note.code in findings.codes
    ]
    record = {"path": str(done.path), "changed": done.changed, "edits": edits, "notes": notes}
    problem = findings.problems.get(str(done.path))
    return {**record, "error": problem} if problem else record


def _tell_github(findings: Findings) -> None:
    for line in annotations_of(findings.files, findings.codes):
        click.echo(line)
    _fail(findings)


def _tell_sarif(findings: Findings) -> None:
    click.echo(json.dumps(sarif_of(findings.files, findings.codes), indent=1))
    _fail(findings)


def _fail(findings: Findings) -> None:
    for path, problem in findings.problems.items():
        click.echo(f"{path}: {problem}", err=True)


FORMATS: Mapping[str, Callable[[Findings], None]] = {
    "text": _tell_text,
    "json": _tell_json,
    "sarif": _tell_sarif,
    "github": _tell_github,
}
"""How a result is told, by the names of ``--output-format``."""
