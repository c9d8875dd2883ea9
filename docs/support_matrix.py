"""Write the support matrix of README.md from the tables: python docs/support_matrix.py.

A cell says whether the target has a recipe for the kind; where it has none, the reason is below, but
for what no target takes.
"""

import re
import sys
from pathlib import Path

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.recipes import REFUSED, Unsupported
from ml_switcheroo.targets import TARGETS

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCK = re.compile(r"(?<=<!-- support matrix -->\n).*?(?=<!-- end of support matrix -->)", re.DOTALL)


def matrix() -> str:
    """Return the table as Markdown."""
    targets = list(TARGETS.values())
    lines = ["| layer (torch.nn) | " + " | ".join(target.name for target in targets) + " |"]
    lines.append("|---" * (len(targets) + 1) + "|")
    reasons = []
    for kind, layer in LAYERS.items():
        cells = []
        for target in targets:
            recipe = target.kinds.get(kind)
            cells.append("yes" if isinstance(recipe, tuple) else "no")
            if isinstance(recipe, Unsupported) and kind not in REFUSED:
                reasons.append(f"- {kind}, {target.name}: {recipe.why}")
        lines.append(f"| {kind} ({', '.join(layer.classes[:3])}) | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *reasons, ""] if reasons else [*lines, ""])


def updated(text: str) -> str:
    """Return the text of README.md with the table as it is now."""
    return BLOCK.sub(lambda _: matrix(), text)


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(updated(text), encoding="utf-8")
    sys.exit(0)
