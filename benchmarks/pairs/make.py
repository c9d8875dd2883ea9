"""Write the pairs of a family: `python benchmarks/pairs/make.py FAMILY FOLDER [--only REGEX]`."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import re
import sys
import traceback
from pathlib import Path

from configs import make_square
from pair import write_pair


def main() -> int:
    """Write each pair to FOLDER/FAMILY__NAME, and say which ones the converter itself refuses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="a regular expression on the names of the pairs")
    parser.add_argument(
        "--square", action="store_true", help="with equal widths, where `configs.py` says them"
    )
    parser.add_argument("--traceback", action="store_true", help="show in full why a pair cannot be made")
    options = parser.parse_args()
    if options.square:
        make_square()
    family = importlib.import_module(f"families.{options.family}")
    versions = {package: importlib.metadata.version(package) for package in family.PACKAGES}
    made = 0
    for name, build, convert in family.pairs():
        if not re.search(options.only, name):
            continue
        folder = options.folder / f"{options.family}__{name}{'_square' * options.square}"
        try:
            counts = write_pair(folder, build, convert, {"to": family.TO, "versions": versions})
        except (Exception, SystemExit) as error:  # noqa: BLE001  (other people's converters raise anything)
            print(f"{name}: cannot be made: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            if options.traceback:
                traceback.print_exc()
            continue
        made += 1
        print(name, counts, flush=True)
    print(f"{made} pairs")
    return 0 if made else 1


if __name__ == "__main__":
    sys.exit(main())
