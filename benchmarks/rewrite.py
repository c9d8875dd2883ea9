"""Rewrite clones of repositories and print the table of docs/rewrite.md.

    python benchmarks/rewrite.py --to nnx clones/*

For every repository: files, sites, what became of them; whether every result parses, is the same when
rewritten again, and has no other byte changed; the time against parsing with libcst. Nothing is written.
"""

from __future__ import annotations

import argparse
import ast
import time
import warnings
from collections import Counter
from pathlib import Path

import libcst as cst

from ml_switcheroo.core.index import Index
from ml_switcheroo.core.repository import Rewritten, find_files, rewrite_paths
from ml_switcheroo.core.rewriter import rewrite
from ml_switcheroo.core.text import apply_edits

OVERRIDES = ("SW101", "SW103", "SW105")
SHARDED = ("SW109",)
NOT_MODULES = ("SW401", "SW402", "SW403", "SW404", "SW405")
REASONS = {"not models": NOT_MODULES, "overrides": OVERRIDES, "sharded": SHARDED}


def measure(path: Path, to: str) -> Counter[str]:
    """Rewrite one repository and count."""
    counts: Counter[str] = Counter()
    start = time.process_time()
    results = list(rewrite_paths([path], to))
    index = Index()
    counts["ms"] = round(1000 * (time.process_time() - start))
    files = [file for file in find_files([path]) if file.suffix == ".py"]
    counts["files"] = len(files)
    for result in results:
        count(result, counts, to, index)
    counts["libcst ms"] = round(1000 * sum(map(parse_time, files)))
    return counts


def count(result: Rewritten, counts: Counter[str], to: str, index: Index) -> None:
    """Count the sites of one file and check what must hold for it."""
    edits = [edit for edit in result.rewrite.edits if "load_state_dict" in edit.before]
    # Not those on other code than calls of load_state_dict.
    left = [note.code for note in result.rewrite.notes if note.row.left and note.code[2] in "146"]
    left = [code for code in left if code not in ("SW130", "SW131")]
    counts["rewritten"] += sum(calls(edit.before) - calls(edit.after) for edit in edits)
    for name in REASONS:
        counts[name] += sum(reason(code) == name for code in left)
    counts["left"] += len(left)
    if not result.changed:
        return
    counts["changed"] += 1
    code, suffix = result.rewrite.code, result.path.suffix
    if suffix == ".ipynb":
        return
    counts["unparsable"] += not parses(code)
    again = rewrite(code, to, file=result.path)
    counts["not the same twice"] += again.code != code
    counts["bytes elsewhere"] += apply_edits(result.before, result.rewrite.edits) != code
    slow = rewrite_time(result, to, index) / max(parse_time(result.path, 3), 1e-9)
    counts["worst x libcst, %"] = max(counts["worst x libcst, %"], round(100 * slow))


def calls(text: str) -> int:
    """Count the calls of load_state_dict in a piece of code; a copy in memory has one."""
    return text.count(".load_state_dict(")


def reason(code: str) -> str:
    """Return the column that a call belongs to which was left."""
    return next((name for name, codes in REASONS.items() if code in codes), "")


def rewrite_time(result: Rewritten, to: str, index: Index) -> float:
    """Return the seconds that a rewrite of one file takes, the best of three."""
    return min(timed(lambda: rewrite(result.before, to, file=result.path, index=index)) for _ in range(3))


def parse_time(path: Path, times: int = 1) -> float:
    """Return the seconds that libcst takes to parse a file and print it again."""
    try:
        source = path.read_bytes().decode("utf-8")
        return min(timed(lambda: cst.parse_module(source).code) for _ in range(times))
    except (UnicodeDecodeError, cst.ParserSyntaxError):
        return 0.0


def timed(work: object) -> float:
    """Return the seconds of processor time that a call takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def parses(code: str) -> bool:
    """Tell whether a text is Python."""
    try:
        ast.parse(code.removeprefix("\ufeff"))
    except SyntaxError:
        return False
    return True


COLUMNS = (
    *("files", "changed", "rewritten", "left", "not models", "overrides", "sharded"),
    *("unparsable", "not the same twice", "bytes elsewhere", "ms", "libcst ms", "worst x libcst, %"),
)


def main() -> None:
    """Print one line for each repository, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--to", default="nnx")
    options = parser.parse_args()
    warnings.simplefilter("ignore", SyntaxWarning)
    print("| repository | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    total: Counter[str] = Counter()
    for path in options.paths:
        counts = measure(path, options.to)
        worst = max(total["worst x libcst, %"], counts["worst x libcst, %"])
        total += counts
        total["worst x libcst, %"] = worst
        print(
            f"| {path.name.replace('+', '/')} | " + " | ".join(str(counts[name]) for name in COLUMNS) + " |",
            flush=True,
        )
    print("| **all** | " + " | ".join(str(total[name]) for name in COLUMNS) + " |")
    models = total["rewritten"] + total["left"] - total["not models"]
    others = models - total["overrides"] - total["sharded"]
    share, other_share = (100 * total["rewritten"] / max(number, 1) for number in (models, others))
    print(f"\n{share:.1f} % of {models} calls on models rewritten for {options.to},")
    print(f"{other_share:.1f} % of {others} without overrides of load_state_dict and shards;")
    print(f"libcst takes {total['libcst ms'] / max(total['ms'], 1):.1f} times as long to parse every file.")


if __name__ == "__main__":
    main()
