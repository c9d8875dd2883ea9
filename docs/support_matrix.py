"""Write the support matrix of README.md from the tables: python docs/support_matrix.py.

A cell says whether the target has a recipe for the kind; where it has none, the reason is below, but
for what no target takes.
"""

import re
import sys
from pathlib import Path

from ml_switcheroo.report.support import supported
from ml_switcheroo.targets import TARGETS

README = Path(__file__).resolve().parent.parent / "README.md"
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
    """Return the text of README.md with the table as it is now."""
    return BLOCK.sub(lambda _: matrix(), text)


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(updated(text), encoding="utf-8")
    sys.exit(0)
