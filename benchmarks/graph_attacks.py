"""Attack the match of programs with pairs whose names say nothing: ``python benchmarks/graph_attacks.py``.

Of each pair a line: right (the plan is complete, and both give the same), loud, SILENT (complete, and they do
not), CRASH; of ports that compute something else, whether that is said. Then the sums of each kind.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "graph" / "attacks"))

from attacking import KINDS, Outcome, Pair, outcome_of, pairs_of, plan_of  # noqa: E402


def judged(pair: Pair) -> Outcome:
    """Return what becomes of a pair; a crash is one, too."""
    try:
        return outcome_of(pair)
    except Exception as error:  # noqa: BLE001
        return Outcome("CRASH", f"{type(error).__name__}: {error}")


def main() -> int:
    """Judge the pairs of the kinds that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"kinds of pairs: {', '.join(KINDS)}; all without")
    parser.add_argument("--only", default="", help="pairs whose name has this in it")
    parser.add_argument("--all", action="store_true", help="say everything about what is not right")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    sums: Counter[str] = Counter()
    for kind in arguments.kinds or KINDS:
        words: Counter[str] = Counter()
        for name, pair in pairs_of(kind).items():
            if arguments.only not in name:
                continue
            start = time.perf_counter()
            found = judged(pair)
            good = pair.right and not pair.open
            word = found.word if good or found.word != "right" else "right, made up for"
            words[word] += 1
            line = found.why.splitlines()[0][:70] if found.why else ""
            mark = "" if word.startswith("right") or not good else "  <---"
            print(f"{kind:<13} {name:<52} {word:<8} {time.perf_counter() - start:5.1f} s  {line}{mark}", flush=True)
            if not good and word == "loud" or (arguments.all and not word.startswith("right")):
                try:
                    plan = plan_of(pair)
                except Exception:  # noqa: BLE001
                    traceback.print_exc(limit=-3)
                    continue
                for text in plan.differences[:4]:
                    print(f"    {text}")
                if arguments.all:
                    print("    missing", list(plan.missing)[:6], "unexpected", list(plan.unexpected)[:6])
                    for one in (*plan.notes[:6], *plan.ambiguous[:3]):
                        print("   ", str(one)[:200])
        print(f"{kind}: {dict(words)}")
        sums += words
    print(f"pairs: {sums.total()}, {dict(sums)}")
    return 1 if sums["SILENT"] or sums["CRASH"] else 0


if __name__ == "__main__":
    sys.exit(main())
