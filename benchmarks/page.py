"""Measure the page of a plan in a headless Chromium: python benchmarks/page.py --tensors 10000.

Prints how large the page is, how long it takes until the trees stand there, and how long a key in the filter
takes until the next frame is drawn: the median, and what one in 20 exceeds, of words typed letter by letter.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import ml_switcheroo as ms
from browsing import browser, opened
from ml_switcheroo.tensors import TensorSpec

WORDS = ("weight", "mlp.fc1 bias", "blocks.77", "layer_norm", "zorp")
SETTLED = """async letter => {
    const box = document.querySelector("#filter input[type=search]"), begin = performance.now();
    box.value = letter;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - begin;
}"""
LOADED = """() => {
    const [entry] = performance.getEntriesByType("navigation");
    return entry.loadEventEnd || entry.domContentLoadedEventEnd;
}"""


def state(count: int, *, settled: bool) -> dict[str, TensorSpec]:
    """Return a network of so many tensors; without kinds, a third of them is ambiguous."""
    found = {}
    for block in range(-(-count // 8)):
        for name in ("attn.q_proj", "attn.out_proj", "mlp.fc1", "norm1"):
            shape = (64,) if name == "norm1" else (64, 32)
            found[f"blocks.{block}.{name}.weight"] = TensorSpec(shape, "float32")
            if settled or name != "mlp.fc1":
                found[f"blocks.{block}.{name}.bias"] = TensorSpec(shape[:1], "float32")
    return dict(list(found.items())[:count])


def main() -> None:
    """Measure a plan that is complete, and one in which much is open."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tensors", type=int, default=10_000)
    count = parser.parse_args().tensors
    with tempfile.TemporaryDirectory() as folder, browser() as started:
        for words, settled in (("complete", True), ("open", False)):
            plan = ms.make_plan(state(count, settled=settled), to="nnx")
            begin = time.perf_counter()
            text = plan.to_html()
            written = time.perf_counter() - begin
            page = Path(folder) / f"{words}.html"
            page.write_text(text, encoding="utf-8")
            with opened(started, page) as tab:
                load = tab.evaluate(LOADED)
                typed = [word[: at + 1] for word in WORDS for at in range(len(word))]
                times = [tab.evaluate(SETTLED, letters) for letters in typed]
            print(f"{words}: {count:,} tensors, {len(plan.doubted):,} ambiguous; {len(text) / 1e6:.1f} MB")
            print(f"  written in {written:.1f} s, loaded in {load / 1000:.2f} s")
            print(f"  a key: {median(times):.0f} ms, one in 20 over {quantiles(times, n=20)[-1]:.0f} ms")


if __name__ == "__main__":
    main()
