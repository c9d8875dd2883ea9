"""The page itself: its frame, its style and its scripts, with the facts of a plan as data in it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from ml_switcheroo.report.drawn import programs_html
from ml_switcheroo.report.page.records import plan_record
from ml_switcheroo.report.text import summary
from ml_switcheroo.rules import Rule

if TYPE_CHECKING:
    from ml_switcheroo.outcome import Outcome

__all__ = ["plan_html"]

_SCRIPTS = ("facts", "trees", "rows", "details", "settling", "programs", "page")
"""In the order in which they need each other."""


def plan_html(
    plan: Outcome,
    *,
    rules: Iterable[Rule] = (),
    state: Mapping[str, Any] | None = None,
    sources: Iterable[str] = (),
) -> str:
    """Write the whole plan as one HTML page.

    Nothing that a plan says is markup there: the facts are JSON that the page's own script puts into text,
    and the page allows no script but that one, by its hash, and loads nothing.

    Args:
        plan: The plan.
        rules: The rules that it was made with; the page writes them before those that a person picks.
        state: The tensors, to show samples of their values before and after.
        sources: The model's files, as ``model.py`` or ``model.py:Net``, to show the lines that decided.
    """
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = Template(_asset("page.html")).substitute(
        title=escape(f"{plan.source or 'state dict'} \N{RIGHTWARDS ARROW} {plan.target}"),
        summary=escape(summary(plan)),
        digest=digest,
        style=_asset("style.css"),
        script=script,
        programs=programs_html(plan),
        facts=_as_data(plan_record(plan, rules=rules, state=state, sources=sources)),
    )
    # A lone surrogate (of a file name that is no UTF-8) is nothing that a file can hold.
    return page.encode("utf-8", "replace").decode("utf-8")


@cache
def _asset(name: str) -> str:
    return files("ml_switcheroo.report.page").joinpath("assets", name).read_text("utf-8")


@cache
def _script() -> str:
    parts = "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    return f'\n"use strict";\n(() => {{\n{parts}\n}})();\n'


_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}"}


def _as_data(record: Mapping[str, Any]) -> str:
    r"""Write JSON that no parser of HTML takes for anything else.

    >>> _as_data({"a": "</script>"})
    '{"a":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_ESCAPES)
