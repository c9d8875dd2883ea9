"""Rewrite clones of repositories and print the tables of docs/rewrite.md.

    python benchmarks/rewrite.py --to nnx clones/*       # one line for each repository
    python benchmarks/rewrite.py --targets clones/*      # one line for each target
    python benchmarks/rewrite.py --to mlx --sites clones/*   # one line for each call, to be read

The calls are counted here, with ``ast`` alone: each one must be inside an edit or have a note on its line, or
it is silent. Then: whether every result parses, is the same when rewritten again, and has no other byte
changed; the time against parsing with libcst. For each target also how many of the models have one visible
name that can be bound anew (``one_name``), and how many of these calls are rewritten. Nothing is written.
"""

from __future__ import annotations

import argparse
import ast
import re
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from one_name import around, has_one_name

from ml_switcheroo.codemod.index import Index
from ml_switcheroo.codemod.repository import Rewritten, find_files, rewrite_paths
from ml_switcheroo.codemod.rewriter import rewrite
from ml_switcheroo.codemod.text import Text, apply_edits

TARGETS = ("nnx", "keras", "mlx", "equinox", "linen", "haiku", "jax", "numpy")
OWN = ("SW101", "SW103", "SW104", "SW105", "SW112")
SHARDED = ("SW109",)
NO_MODEL = ("SW401", "SW402", "SW403", "SW405")
OVERRIDES = frozenset({"load_state_dict", "_load_from_state_dict"})
# What a receiver is called that holds no weights of its own, as somebody found who read the clones.
CALLED = re.compile(
    r"optim|(^|[._])opts?$|(^|[._])[gd]_optim$|sched|scaler|sampler|loader|dataset|callback|meter|metric|epoch_itr"
    r"|message_hub|task$|task_state|(^|[._])amp$|aggregat|(^|[._])dl_|resumed$|restored$|different_dp$|container"
    r"|dist_util|dist_cp|_wrapper$|trainer$|lr_scheduler|ema_tracker"
)


@dataclass(frozen=True)
class Call:
    """One call of ``load_state_dict``.

    Attributes:
        file: Where it stands.
        line: Its line.
        code: Its text.
        fate: ``rewritten``, the code of the note on its line, or ``silent``.
        after: What became of the text, where it was rewritten.
        kind: ``model``, ``own`` (a method of its class's own), ``sharded`` or ``no model``.
        alone: Whether what it is called on has one visible name, which can be bound anew there.
    """

    file: Path
    line: int
    code: str
    fate: str
    after: str
    kind: str
    alone: bool = False


def calls(result: Rewritten) -> Iterator[Call]:
    """Yield the calls of a file, found with ``ast`` alone."""
    text = Text(result.before)
    inside = {
        id(node)
        for function in ast.walk(text.tree)
        if isinstance(function, ast.FunctionDef) and function.name in OVERRIDES
        for node in ast.walk(function)
    }
    parents = around(text.tree)
    for node in ast.walk(text.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr != "load_state_dict":
            continue
        start, end = text.span(node)
        edits = [e for e in result.rewrite.edits if e.start <= start and end <= e.end and e.before]
        notes = [note.code for note in result.rewrite.notes if note.line == node.lineno and note.row.left]
        fate = "rewritten" if edits else (notes or ["silent"])[0]
        receiver = ast.unparse(node.func.value)
        kind = "model"
        if fate in NO_MODEL or CALLED.search(receiver.lower()):
            kind = "no model"
        elif receiver.startswith("super(") or id(node) in inside or fate in OWN:
            kind = "own"
        elif fate in SHARDED:
            kind = "sharded"
        after = edits[0].after if edits else ""
        alone = kind == "model" and has_one_name(node, parents)
        yield Call(result.path, node.lineno, text.code[start:end], fate, after, kind, alone)


def measure(path: Path, to: str, sites: list[Call], *, timing: bool) -> Counter[str]:
    """Rewrite one repository and count."""
    counts: Counter[str] = Counter()
    start = time.process_time()
    results = list(rewrite_paths([path], to, runtime="inject"))
    counts["ms"] = round(1000 * (time.process_time() - start))
    files = [file for file in find_files([path]) if file.suffix == ".py"]
    counts["files"] = len(files)
    index = Index(files)
    for result in results:
        if result.unreadable or result.path.suffix != ".py":
            continue
        check(result, counts, to, index, timing=timing)
        for call in calls(result):
            sites.append(call)
            counts[{"own": "own method", "no model": "not models"}.get(call.kind, call.kind)] += 1
            counts["calls"] += 1
            counts["silent"] += call.fate == "silent"
            if call.kind == "model":
                counts["rewritten" if call.fate == "rewritten" else "left"] += 1
                counts["alone"] += call.alone
                counts["alone and rewritten"] += call.alone and call.fate == "rewritten"
    if timing:
        counts["libcst ms"] = round(1000 * sum(map(parse_time, files)))
    return counts


def check(result: Rewritten, counts: Counter[str], to: str, index: Index, *, timing: bool) -> None:
    """Check what must hold for a file that changed."""
    if not result.changed:
        return
    counts["changed"] += 1
    code = result.rewrite.code
    counts["unparsable"] += not parses(code)
    again = rewrite(code, to, file=result.path, index=index)
    counts["not the same twice"] += again.code != code
    counts["bytes elsewhere"] += apply_edits(result.before, result.rewrite.edits) != code
    if timing:
        slow = rewrite_time(result, to, index) / max(parse_time(result.path, 3), 1e-9)
        counts["worst x libcst, %"] = max(counts["worst x libcst, %"], round(100 * slow))


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


CALLS = ("calls", "rewritten", "left", "own method", "sharded", "not models", "silent")
CHECKS = ("unparsable", "not the same twice", "bytes elsewhere")
COLUMNS = ("files", "changed", *CALLS, *CHECKS, "ms", "libcst ms", "worst x libcst, %")


def share(counts: Counter[str]) -> float:
    """Return how many of the calls on models were rewritten, in percent."""
    return 100 * counts["rewritten"] / max(counts["rewritten"] + counts["left"], 1)


def row(title: str, counts: Counter[str], columns: tuple[str, ...]) -> str:
    """Write one line of a table."""
    return f"| {title} | " + " | ".join(str(counts[name]) for name in columns) + " |"


def print_repositories(paths: list[Path], to: str) -> None:
    """Print one line for each repository, and the sums."""
    print("| repository | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    total: Counter[str] = Counter()
    for path in paths:
        counts = measure(path, to, [], timing=True)
        worst = max(total["worst x libcst, %"], counts["worst x libcst, %"])
        total += counts
        total["worst x libcst, %"] = worst
        print(row(path.name.replace("+", "/"), counts, COLUMNS), flush=True)
    print(row("**all**", total, COLUMNS))
    print(
        f"\n{share(total):.1f} % of {total['rewritten'] + total['left']} calls on models rewritten for {to};"
    )
    print(f"libcst takes {total['libcst ms'] / max(total['ms'], 1):.1f} times as long to parse every file.")


def print_targets(paths: list[Path]) -> None:
    """Print one line for each target: the sums over all repositories."""
    columns = ("changed", *CALLS, *CHECKS)
    print("| target | " + " | ".join(columns) + " | rewritten, % of models | of one name | % of these |")
    print("|---" * (len(columns) + 4) + "|")
    for to in TARGETS:
        total: Counter[str] = Counter()
        for path in paths:
            total += measure(path, to, [], timing=False)
        alone, taken = total["alone"], total["alone and rewritten"]
        print(f"{row(to, total, columns)} {share(total):.1f} | {alone} | {100 * taken / max(alone, 1):.1f} |")


def main() -> None:
    """Print what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--to", default="nnx")
    parser.add_argument("--targets", action="store_true")
    parser.add_argument("--sites", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", SyntaxWarning)
    if options.targets:
        print_targets(options.paths)
    elif options.sites:
        sites: list[Call] = []
        for path in options.paths:
            measure(path, options.to, sites, timing=False)
        for call in sites:
            what = call.after or call.fate
            print(f"{call.file}:{call.line}\t{call.kind}\t{call.fate}\t{call.code!r}\t{what!r}")
    else:
        print_repositories(options.paths, options.to)


if __name__ == "__main__":
    main()
