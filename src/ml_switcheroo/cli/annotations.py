"""Findings as other programs take them: GitHub's annotations, and SARIF 2.1.0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ml_switcheroo._version import __version__
from ml_switcheroo.codemod.notes import CONSEQUENCES, ROWS, Consequence

if TYPE_CHECKING:
    from ml_switcheroo.codemod.repository import Rewritten

__all__ = ["annotations_of", "sarif_of"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_EDIT = "SW000"
"""The code of a call that is rewritten, where findings have codes."""
_LEVELS: Mapping[Consequence, str] = {
    "may differ": "warning",
    "by hand": "warning",
    "done": "note",
    "none": "note",
}


def annotations_of(files: Iterable[Rewritten], codes: frozenset[str]) -> Iterator[str]:
    """Yield a line for each note and each rewritten call, which GitHub shows at its place in a diff."""
    for done in files:
        for line, code, level, text in _findings(done, codes):
            command = "notice" if level == "note" else level
            places = f"file={_property(done.path.as_posix())},line={line},title={_property(_title(code))}"
            yield f"::{command} {places}::{_data(text)}"


def sarif_of(files: Iterable[Rewritten], codes: frozenset[str]) -> dict[str, Any]:
    """Return notes and rewritten calls as a SARIF log."""
    results = [result for done in files for result in _results(done, codes)]
    used = sorted({result["ruleId"] for result in results})
    for result in results:
        result["ruleIndex"] = used.index(result["ruleId"])
    driver = {"name": "ml-switcheroo", "version": __version__, "rules": [_rule(code) for code in used]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _findings(done: Rewritten, codes: frozenset[str]) -> Iterator[tuple[int, str, str, str]]:
    """Yield line, code, level and text of everything that is found in a file, in order of lines."""
    found = [
        (edit.line, _EDIT, "warning", f"{edit.before} becomes {edit.after}")
        for edit in done.rewrite.edits
        if edit.before
    ]
    found += [
        (note.line, note.code, _LEVELS[note.row.consequence], note.text)
        for note in done.rewrite.notes
        if note.code in codes
    ]
    yield from sorted(found)


def _results(done: Rewritten, codes: frozenset[str]) -> Iterator[dict[str, Any]]:
    uri = quote(done.path.as_posix())
    if done.path.is_absolute():
        uri = f"file://{uri}"
    for line, code, level, text in _findings(done, codes):
        place: dict[str, Any] = {"artifactLocation": {"uri": uri}}
        if done.path.suffix != ".ipynb":  # lines of a notebook count over its code cells
            place["region"] = {"startLine": line}
        yield {
            "ruleId": code,
            "level": level,
            "message": {"text": text},
            "locations": [{"physicalLocation": place}],
        }


def _rule(code: str) -> dict[str, Any]:
    if code == _EDIT:
        return {"id": code, "name": "rewritten", "shortDescription": {"text": _title(code)}}
    row = ROWS[code]
    return {
        "id": code,
        "name": row.name,
        "shortDescription": {"text": row.title},
        "fullDescription": {"text": CONSEQUENCES[row.consequence]},
        "help": {"text": row.cure},
        "defaultConfiguration": {"level": _LEVELS[row.consequence]},
    }


def _title(code: str) -> str:
    return f"{code} {ROWS[code].title if code in ROWS else 'a call that is rewritten'}"


def _data(text: str) -> str:
    """Write a text as a workflow command takes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
