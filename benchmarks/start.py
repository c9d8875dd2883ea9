"""How long it takes to start: python benchmarks/start.py [--runs 15].

Medians of whole processes, with what Python itself needs to start taken off.
"""

import argparse
import statistics
import subprocess
import sys
import time

CASES = {
    "import ml_switcheroo": (["-c", "import ml_switcheroo"], 0.15),
    "ml-switcheroo --help": (["-m", "ml_switcheroo", "--help"], 0.3),
    "ml-switcheroo plan --help": (["-m", "ml_switcheroo", "plan", "--help"], 0.3),
    "ml-switcheroo --version": (["-m", "ml_switcheroo", "--version"], 0.3),
}
"""What is started, and the seconds that it may take."""


def seconds(words: list[str]) -> float:
    """Return how long a process takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure, and end with 1 where one is late."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    python = statistics.median(seconds(["-c", "pass"]) for _ in range(runs))
    print(f"{'python itself':28} {python:6.3f} s")
    late = False
    for name, (words, most) in CASES.items():
        took = statistics.median(seconds(words) for _ in range(runs)) - python
        late |= took > most
        print(f"{name:28} {took:6.3f} s  of {most} s{'  LATE' if took > most else ''}")
    sys.exit(int(late))


if __name__ == "__main__":
    main()
