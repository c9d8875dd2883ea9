"""Write the table of docs/layers.md by running every layer: python docs/layers.py [framework ...].

A cell says that the layer gave PyTorch's output in the framework (as the framework makes it, or prepared
by the code of its footnote), or why the target refuses it. With names of frameworks only their columns are
run again.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "layers.md"
BLOCK = re.compile(r"(?<=<!-- layers -->\n).*?(?=<!-- end of layers -->)", re.DOTALL)
YES = "yes"


def read(text: str) -> dict[tuple[str, str], str]:
    """Return the cells of the page: (framework, case) -> yes, yes with the code it takes, or why not."""
    block = BLOCK.search(text)
    rows = [line.strip("| ").split(" | ") for line in (block[0] if block else "").splitlines() if "|" in line]
    reasons = dict(re.findall(r"^(\d+)\. (.*)$", block[0] if block else "", re.MULTILINE))
    cells = {}
    for name, *answers in rows[2:]:
        for framework, answer in zip(rows[0][1:], answers, strict=True):
            number = re.fullmatch(r"(no|yes) \((\d+)\)", answer)
            start = f"{YES}: " if number and number[1] == YES else ""
            cells[framework, name] = start + reasons[number[2]] if number else answer
    return cells


def written(cells: dict[tuple[str, str], str], names: list[str], frameworks: list[str]) -> str:
    """Return the table as Markdown, the reasons below it."""
    noted = (cells[f, n] for n in names for f in frameworks if cells[f, n] != YES)
    reasons = list(dict.fromkeys(answer.removeprefix(f"{YES}: ") for answer in noted))
    lines = ["| layer | " + " | ".join(frameworks) + " |", "|---" * (len(frameworks) + 1) + "|"]
    for name in names:
        answers = [cells[framework, name] for framework in frameworks]
        shown = [_shown(answer, reasons) for answer in answers]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    footnotes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, "", *footnotes, ""])


def _shown(answer: str, reasons: list[str]) -> str:
    if answer == YES:
        return YES
    reason = answer.removeprefix(f"{YES}: ")
    return f"{'no' if reason == answer else YES} ({reasons.index(reason) + 1})"


def main(again: list[str]) -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from parity import FRAMEWORKS
    from parity.cases import CASES
    from parity.run import outcome

    text = PAGE.read_text(encoding="utf-8")
    cells = read(text)
    for framework in FRAMEWORKS:
        for case in CASES:
            if framework in again or not again or (framework, case.name) not in cells:
                found = outcome(framework, case)
                if found.error >= case.tolerance:
                    sys.exit(f"{framework}, {case.name}: relative error {found.error:.1e}")
                cells[framework, case.name] = found.cell
                shown = found.refused or format(found.error, ".0e")
                print(f"{framework:10} {case.name:32} {shown}", flush=True)
    table = written(cells, [case.name for case in CASES], list(FRAMEWORKS))
    PAGE.write_text(BLOCK.sub(lambda _: table, text), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
