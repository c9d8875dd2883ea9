"""What a kind of note is: its code, what it says, what follows, and the cure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["CONSEQUENCES", "Consequence", "Row"]

Consequence = Literal["may differ", "by hand", "done", "none"]

CONSEQUENCES: Mapping[Consequence, str] = {
    "may differ": "the code runs on and may do something else than before",
    "by hand": "weights of a model go through here, and a person must look at it before the port runs",
    "done": "rewritten, and nothing is left to do",
    "none": "no weights of a model go through here",
}
"""What follows from a note where nobody does anything; the worst first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of note.

    Attributes:
        code: What it is selected by, such as ``SW101``.
        name: What the code that makes it calls it.
        title: What it is about, in a few words.
        text: What it says of a place, with ``{fields}``.
        cure: What to do about it.
        consequence: What follows where nobody does anything.
        left: Whether the place stays as it is.
    """

    code: str
    name: str
    title: str
    text: str
    cure: str
    consequence: Consequence = "by hand"
    left: bool = True
