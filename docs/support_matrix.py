"""Write the matrix in docs/support.md from the tables: python docs/support_matrix.py.

A cell says whether the target has a recipe for the kind; where it has none, the reason is below, but
for what no target takes.
"""

import re
from pathlib import Path

from ml_switcheroo.report.support import supported
from ml_switcheroo.targets import TARGETS

PAGE = Path(__file__).resolve().parent / "support.md"
BLOCK = re.compile(r"(?<=<!-- support matrix -->\n).*?(?=<!-- end of support matrix -->)", re.DOTALL)


def matrix() -> str:
    """Return the table as Markdown."""
    names = list(TARGETS)
    lines = ["| layer (torch.nn) | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    reasons = []
    for row in supported(list(TARGETS.values())):
        cells = ["no" if why else "yes" for why in row.reasons.values()]
        if not row.everywhere:
            reasons += [f"- {row.kind}, {name}: {why}" for name, why in row.reasons.items() if why]
        lines.append(f"| {row.kind} ({', '.join(row.classes[:3])}) | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *reasons, ""] if reasons else [*lines, ""])


def updated(text: str) -> str:
    """Return the text of the page with the table as it is now."""
    return BLOCK.sub(lambda _: matrix(), text)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
