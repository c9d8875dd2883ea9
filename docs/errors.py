"""Write the classes in docs/errors.md from their docstrings: python docs/errors.py."""

import inspect
import re
from pathlib import Path

from ml_switcheroo import errors

PAGE = Path(__file__).resolve().parent / "errors.md"
BLOCK = re.compile(r"(?<=<!-- classes -->\n).*?(?=<!-- end of classes -->)", re.DOTALL)
_ATTRIBUTE = re.compile(r"^    (\w+): (.+?)(?=^    \w+: |\Z)", re.MULTILINE | re.DOTALL)


def classes() -> str:
    """Return the table of each class as Markdown, the base first."""
    found = [value for name in errors.__all__ if isinstance(value := getattr(errors, name), type)]
    return "\n".join(
        _class(error)
        for error in sorted(found, key=lambda error: len(error.mro()) > len(errors.SwitcherooError.mro()))
    )


def _class(error: type) -> str:
    doc = inspect.cleandoc(error.__doc__ or "")
    said, _, attributes = doc.partition("\n\nAttributes:\n")
    bases = ", ".join(base.__name__ for base in error.__bases__ if base is not Exception)
    lines = [f"### {error.__name__}", "", _plain(said)]
    lines.append(
        f"Exit code {error.exit_code}." + (f" It is a {bases.replace(', ', ' and a ')}." if bases else "")
    )
    rows = [(name, _plain(text)) for name, text in _ATTRIBUTE.findall(attributes)]
    if rows:
        lines += [
            "",
            "| attribute | what it is |",
            "|---|---|",
            *(f"| {name} | {text} |" for name, text in rows),
        ]
    return "\n".join([*lines, ""])


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def updated(text: str) -> str:
    """Return the text of the page with the classes as they are now."""
    return BLOCK.sub(lambda _: f"\n{classes()}\n", text)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
