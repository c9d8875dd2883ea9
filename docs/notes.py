"""Write docs/notes.md, the table of the notes of ``rewrite``: python docs/notes.py."""

from pathlib import Path

from ml_switcheroo.codemod.notes import CONSEQUENCES, ROWS

PAGE = Path(__file__).with_suffix(".md")
HEAD = """# Notes of a rewrite

Written by `python docs/notes.py` from `ml_switcheroo.codemod.notes`. What follows where nobody does anything:
"""


def written() -> str:
    """Return the page."""
    lines = [HEAD, *(f"- **{word}**: {meaning}" for word, meaning in CONSEQUENCES.items()), ""]
    lines += ["| code | about | follows | what it says | cure |", "|---|---|---|---|---|"]
    for row in ROWS.values():
        cells = (row.code, row.title, row.consequence, row.text, row.cure)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
