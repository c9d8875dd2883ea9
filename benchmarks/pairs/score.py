"""Score `like=` on pairs: `python benchmarks/pairs/score.py FOLDER [--only REGEX] [--json OUT] [-v]`.

Each pair is planned twice: with the classes of the PyTorch modules, and with names and shapes alone. A leaf
is right if it is the reference bit for bit; silent if the plan fills it with anything else; of the rest, the
plan has said that it does not know. Leaves that the converter invents are not counted; filling them counts as
silent.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from matching import solve

Counts = Counter[str]


def score(folder: Path, given: bool) -> tuple[Counts, list[str]]:
    """Count the leaves of one pair, and list those that are wrong or not there."""
    modules, spec, meta, provenance = (
        json.loads((folder / f"{name}.json").read_text())
        for name in ("source_modules", "target_spec", "meta", "provenance")
    )
    tensors = load_file(folder / "source.safetensors")
    source = {entry["name"]: tensors[entry["name"]] for entry in modules["tensors"]}
    reference = load_file(folder / "reference.safetensors")
    counts: Counts = Counter()
    try:
        solved = solve(
            source, modules if given else None, [{**leaf, "framework": meta["to"]} for leaf in spec]
        )
    except Exception as error:  # noqa: BLE001  (counted, and shown)
        solved = {}
        counts["raised"] += 1
        print(f"{folder.name}: {type(error).__name__}: {error}", file=sys.stderr)
    notes = []
    for path, expected in reference.items():
        invented = path in meta["not_from_source"]
        counts["leaves"] += not invented
        if path not in solved:
            counts["said"] += not invented
            verdict = "" if invented else "not decided"
        elif _same(solved[path], expected):
            counts["right"] += not invented
            verdict = ""
        else:
            counts["silent"] += 1
            verdict = "SILENT"
        if verdict:
            entry = provenance[path]
            notes.append(
                f"{verdict} {path} {list(expected.shape)}: {entry['op']} of {', '.join(entry['from'][:4])}"
            )
    return counts, notes


def _same(found: object, expected: np.ndarray) -> bool:
    array = np.asarray(found)
    return array.shape == expected.shape and np.array_equal(
        array.astype(expected.dtype), expected, equal_nan=True
    )


def main() -> int:
    """Print a row for each pair that is not complete, and the table of all families."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="a regular expression on the names of the pairs")
    parser.add_argument("--json", type=Path, help="write the counts of each pair")
    parser.add_argument("-v", action="store_true", help="show each leaf that is not right")
    options = parser.parse_args()
    results = {}
    for folder in sorted(path.parent for path in options.folder.glob("*/meta.json")):
        if not re.search(options.only, folder.name):
            continue
        (given, notes), (bare, more) = score(folder, True), score(folder, False)
        results[folder.name] = {"given": given, "bare": bare}
        if (
            given["right"] < given["leaves"]
            or bare["right"] < bare["leaves"]
            or given["silent"]
            or bare["silent"]
        ):
            print(
                f"{folder.name:50s} {given['right']:5d} {bare['right']:5d} of {given['leaves']:5d}"
                f"   silent {given['silent']} {bare['silent']}"
            )
        if options.v:
            for note in dict.fromkeys([*notes, *more]):
                where = ("given" if note in notes else "") + ("bare" if note in more else "")
                print(f"    {where:9s} {note}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    print()
    print("| family | pairs | leaves | right, given classes | right, names and shapes | complete | silent |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    families = sorted({name.split("__")[0] for name in results})
    for family in [*families, "all"]:
        rows = [row for name, row in results.items() if family in (name.split("__")[0], "all")]
        given, bare = (sum((row[key] for row in rows), Counter()) for key in ("given", "bare"))
        complete = sum(
            row["given"]["right"] == row["bare"]["right"] == row["given"]["leaves"] for row in rows
        )
        print(
            f"| {family} | {len(rows)} | {given['leaves']:,} | {given['right']:,} "
            f"| {bare['right']:,} | {complete} | {given['silent']} / {bare['silent']} |"
        )
    return 1 if any(row[key]["silent"] for row in results.values() for key in row) else 0


if __name__ == "__main__":
    sys.exit(main())
