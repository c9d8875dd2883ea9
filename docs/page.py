"""Take the pictures of the page of `plan --html` anew, in a headless Chromium: python docs/page.py.

Without a Chromium on this machine the pictures stay as they are.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browsing import browser, chromium, opened

CAPTURES = ROOT / "docs" / "captures"
DIGITS = ROOT / "examples" / "digits"
WIDE, NARROW = {"width": 1200, "height": 720}, {"width": 390, "height": 780}


def write(folder: Path, name: str, *options: str) -> Path:
    """Write the page of the digits' weights."""
    page = folder / name
    command = [sys.executable, "-m", "ml_switcheroo", "plan", "weights.pt", "--to", "nnx", *options]
    subprocess.run(
        [*command, "--html", str(page)], cwd=DIGITS, check=False, capture_output=True, env=os.environ
    )
    return page


def main() -> None:
    """Take every picture."""
    if chromium() is None:
        print("no Chromium on this machine: the pictures of the page stay as they are")
        return
    with tempfile.TemporaryDirectory() as folder, browser() as started:
        open_plan = write(Path(folder), "open.html")
        complete = write(Path(folder), "complete.html", "--layers", "model.py:Net", "--values")
        with opened(started, complete, viewport=WIDE, color_scheme="light") as tab:
            tab.locator("#left .row", has_text="weight").nth(1).click()
            tab.screenshot(path=CAPTURES / "page-trees.png")
        with opened(started, open_plan, viewport=WIDE, color_scheme="dark") as tab:
            tab.click("#tab-settle")
            tab.locator("fieldset").first.locator("input[type=radio]").first.check()
            tab.screenshot(path=CAPTURES / "page-settle.png")
        with opened(started, open_plan, viewport=NARROW, color_scheme="light") as tab:
            tab.screenshot(path=CAPTURES / "page-narrow.png")


if __name__ == "__main__":
    main()
