"""Measure reading, reordering and writing against ``cp`` and against the usual scripts, all sides in one run.

Run from the root of the repository::

    python benchmarks/io.py                  # 2 GB of bf16, Llama-shaped, medians of five rounds
    python benchmarks/io.py --gigabytes 0.5 --rounds 3
    python benchmarks/io.py --curves         # over sizes, numbers of tensors, threads

Each round runs every side once, in turn and in a process of its own, with the source in the page cache.
Seconds are wall clock without the imports. Memory is the most that was resident beyond the imports,
anonymous and file pages together, sampled every 5 ms. Our sides and ``cp + sync`` end with the bytes on
the disk, ``cp`` and the usual scripts in the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import ml_switcheroo as ms
from ml_switcheroo.formats import stream, write_safetensors
from ml_switcheroo.tensors import TensorSpec

BLOCK = {"q": (2048, 2048), "k": (512, 2048), "v": (512, 2048), "o": (2048, 2048)} | {
    "gate": (8192, 2048),
    "up": (8192, 2048),
    "down": (2048, 8192),
}


def llama(gigabytes: float, dtype: str) -> dict[str, TensorSpec]:
    """Return the specs of a Llama-shaped state dict of about that size."""
    specs = {
        "embed.weight": TensorSpec((32000, 2048), dtype),
        "head.weight": TensorSpec((32000, 2048), dtype),
    }
    block = {f"{name}.weight": TensorSpec(shape, dtype) for name, shape in BLOCK.items()}
    block["norm.weight"] = TensorSpec((2048,), dtype)
    layer = 0
    while sum(spec.nbytes for spec in specs.values()) < gigabytes * 1e9:
        specs |= {f"layers.{layer}.{name}": spec for name, spec in block.items()}
        layer += 1
    return specs


def small(count: int, gigabytes: float) -> dict[str, TensorSpec]:
    """Return the specs of that many square matrices."""
    side = int((gigabytes * 1e9 / count / 2) ** 0.5)
    return {f"layers.{i}.q.weight": TensorSpec((side, side), "bfloat16") for i in range(count)}


def make(path: Path, specs: Mapping[str, TensorSpec]) -> None:
    """Write random bits; a ``.pt`` through torch."""
    rng = np.random.default_rng(0)
    names = {"bfloat16": ml_dtypes.bfloat16, "float32": np.float32}

    def leaf(spec: TensorSpec) -> Any:
        bits = rng.integers(0, 2**15, spec.nbytes // 2, np.uint16)
        return bits.view(names[spec.dtype]).reshape(spec.shape)

    if path.suffix == ".safetensors":
        write_safetensors(path, specs, ((name, leaf(spec)) for name, spec in specs.items()))
    else:
        import torch

        torch.save(
            {n: torch.from_numpy(leaf(s).view(np.int16)).view(torch.bfloat16) for n, s in specs.items()}, path
        )


# The sides. Each gets the source and the output.


def kinds(source: Path) -> dict[str, str]:
    """Say which layers the names are."""
    table = {"embed": "embedding", "norm": "rms_norm"}
    with ms.open_checkpoint(source) as checkpoint:
        return {name.removesuffix(".weight"): table.get(name.split(".")[-2], "linear") for name in checkpoint}


def ours(source: Path, out: Path) -> None:
    """Convert to Flax's layout: every matrix transposed, embeddings left alone."""
    ms.convert(source, out, to="jax", layers=kinds(source))


def ours_as_it_is(source: Path, out: Path) -> None:
    """Convert without a change of layout."""
    ms.convert(source, out, to="numpy", layers=kinds(source))


def ours_cast(source: Path, out: Path) -> None:
    """Convert with a cast to bf16."""
    ms.convert(source, out, to="numpy", layers=kinds(source), dtype="bfloat16")


def torch_and_numpy(source: Path, out: Path) -> None:
    """Do what the usual script does: load it all, transpose in NumPy, save it all."""
    import safetensors.numpy
    import torch

    if source.suffix == ".safetensors":
        import safetensors.torch

        state = safetensors.torch.load_file(source)
    else:
        state = torch.load(source, weights_only=True)
    leaves = {}
    for name, tensor in state.items():
        array = tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        turn = array.ndim == 2 and "embed" not in name
        leaves[name] = np.ascontiguousarray(array.T) if turn else array
    safetensors.numpy.save_file(leaves, out)


def torch_alone(source: Path, out: Path) -> None:
    """Do the same with torch's own transpose."""
    import safetensors.torch

    state = safetensors.torch.load_file(source)
    leaves = {n: t.t().contiguous() if t.ndim == 2 and "embed" not in n else t for n, t in state.items()}
    safetensors.torch.save_file(leaves, out)


def cp(source: Path, out: Path) -> None:
    """Copy."""
    subprocess.run(["cp", source, out], check=True)


def cp_sync(source: Path, out: Path) -> None:
    """Copy and wait for the disk."""
    subprocess.run(["cp", source, out], check=True)
    subprocess.run(["sync", out], check=True)


SIDES: dict[str, Callable[[Path, Path], None]] = {
    side.__name__: side
    for side in (ours, ours_as_it_is, ours_cast, torch_and_numpy, torch_alone, cp, cp_sync)
}


def resident() -> int:
    """Return the resident bytes of this process: anonymous and file pages."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssFile")))


def measure(side: str, source: Path, out: Path) -> dict[str, float]:
    """Run one side in this process."""
    import safetensors.numpy  # noqa: F401

    if side.startswith("torch"):
        import torch  # noqa: F401
    kinds(source)  # whatever is imported late is imported now
    base, peak, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    begin = time.perf_counter()
    SIDES[side](source, out)
    seconds = time.perf_counter() - begin
    done.set()
    watcher.join()
    return {"seconds": seconds, "megabytes": max(0, peak - base) / 1e6}


def in_process(side: str, source: Path, out: Path, threads: int = stream.THREADS) -> dict[str, float]:
    """Run one side in a process of its own."""
    out.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--side", side, str(source), str(out), "--threads", str(threads)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(result.stdout))


Readings = dict[tuple[str, str], list[dict[str, float]]]


def rounds(work: list[tuple[str, str, Path]], out: Path, count: int) -> Readings:
    """Run all sides in turn, some rounds; return the readings of each, in the order of the rounds."""
    readings: Readings = {}
    for _ in range(count):
        for label, side, source in work:
            _warm(source)
            readings.setdefault((label, side), []).append(in_process(side, source, out))
    return readings


def _warm(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(2**24):
            pass


def ratios(readings: Readings, one: tuple[str, str], other: tuple[str, str]) -> list[float]:
    """Return the seconds of one side over those of another, round by round: they saw the same noise."""
    pairs = zip(readings[one], readings[other], strict=True)
    return [mine["seconds"] / yours["seconds"] for mine, yours in pairs]


def spread(values: list[float]) -> str:
    """Write the median, and the least and the largest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def table(readings: Readings, sizes: Mapping[str, float]) -> None:
    """Print seconds, GB/s, the ratios to cp of the same file, and memory."""
    print("| work | side | seconds | GB/s | x cp | x cp + sync | MB |\n|---|---|---|---|---|---|---|")
    for (label, side), found in readings.items():
        seconds = [one["seconds"] for one in found]
        speed = sizes[label] / statistics.median(seconds)
        times = [spread(ratios(readings, (label, side), (label, other))) for other in ("cp", "cp_sync")]
        most = max(one["megabytes"] for one in found)
        print(f"| {label} | {side} | {spread(seconds)} | {speed:.2f} | {' | '.join(times)} | {most:.0f} |")


def goals(readings: Readings) -> None:
    """Print what is to be reached, and what is."""
    rows = []
    for label in ("safetensors", ".pt"):
        mine = (label, "ours")
        for base, words in (("cp", "under 2 x cp"), ("cp_sync", "(cp + sync)")):
            rows.append((f"{label}, transposed / {base}", ratios(readings, mine, (label, base)), words))
        usual = ratios(readings, (label, "torch_and_numpy"), mine)
        rows.append((f"{label}: torch.load + NumPy + save_file / ours", usual, "at least 7"))
    for label, side, words in [
        ("safetensors", "ours_as_it_is", "under 1.4 x cp"),
        ("f32", "ours_cast", "under 3 x cp"),
    ]:
        for base, goal in (("cp", words), ("cp_sync", "(cp + sync)")):
            rows.append((f"{label}, {side} / {base}", ratios(readings, (label, side), (label, base)), goal))
    small = ratios(readings, ("5000 tensors", "ours"), ("safetensors", "ours"))
    rows.append(("5,000 tensors / one file of the same bytes", small, "under 2"))
    print("\n| work | median (least to largest) | reach |\n|---|---|---|")
    for label, values, words in rows:
        print(f"| {label} | {spread(values)} | {words} |")


def headers(folder: Path, count: int) -> None:
    """Print how long it takes to start, and to inspect and plan a file of 4 GB, most of it a hole."""
    specs = llama(4, "bfloat16")
    from ml_switcheroo.formats.safetensors_writer import layout_safetensors

    head, _, size = layout_safetensors(specs, {})
    with (folder / "hole.safetensors").open("wb") as file:
        file.write(head)
        file.truncate(size)
    path = str(folder / "hole.safetensors")
    rules = folder / "rules.toml"
    rules.write_text(
        "\n".join(
            f'[[kind]]\npattern = "*{name}"\nkind = "{kind}"'
            for name, kind in [("embed", "embedding"), ("head", "linear"), ("norm", "rms_norm")]
            + [(name, "linear") for name in BLOCK]
        )
    )
    cli = ["-m", "ml_switcheroo"]
    commands = {
        "bare python": ["-c", "pass"],
        "import ml_switcheroo": ["-c", "import ml_switcheroo"],
        "--help": [*cli, "--help"],
        f"inspect, {size / 1e9:.1f} GB, {len(specs)} tensors": [*cli, "inspect", path],
        "plan of the same": [*cli, "plan", path, "--to", "jax", "--rules", str(rules)],
    }
    times: dict[str, list[float]] = {label: [] for label in commands}
    work: dict[str, list[float]] = {label: [] for label in commands}
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    for command in commands.values():  # as installed: compiled
        subprocess.run([sys.executable, *command], check=True, capture_output=True, env=env)
    for _ in range(count):
        for label, command in commands.items():
            begin, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *command], check=True, capture_output=True, env=env)
            times[label].append(time.perf_counter() - begin)
            now = resource.getrusage(resource.RUSAGE_CHILDREN)
            work[label].append(now.ru_utime - used.ru_utime + now.ru_stime - used.ru_stime)
    print("\n| command, as a process of its own | seconds | CPU seconds |\n|---|---|---|")
    for label, seconds in times.items():
        print(f"| {label} | {spread(seconds)} | {spread(work[label])} |")


def curves(folder: Path, count: int) -> None:
    """Print how time and memory grow with the size, the number of tensors and the threads."""
    out = folder / "out.safetensors"
    work, sizes = [], {}
    for label, specs in {
        **{f"{size} GB": llama(size, "bfloat16") for size in (0.5, 1, 2, 4)},
        **{f"{number} tensors, 0.5 GB": small(number, 0.5) for number in (50, 500, 5000)},
    }.items():
        path = folder / f"{len(work)}.safetensors"
        make(path, specs)
        sizes[label] = path.stat().st_size / 1e9
        work += [(label, side, path) for side in ("cp", "cp_sync", "ours")]
    table(rounds(work, out, count), sizes)
    print("\n| threads | seconds for 1 GB |\n|---|---|")
    for threads in (1, 2, 3, 4):
        times = [in_process("ours", folder / "3.safetensors", out, threads)["seconds"] for _ in range(count)]
        print(f"| {threads} | {statistics.median(times):.2f} |", flush=True)


def compare(folder: Path, gigabytes: float, count: int) -> None:
    """Print the table of all sides."""
    specs = llama(gigabytes, "bfloat16")
    files = {
        "safetensors": folder / "bf16.safetensors",
        ".pt": folder / "bf16.pt",
        "f32": folder / "f32.safetensors",
    }
    files["5000 tensors"] = folder / "small.safetensors"
    make(files["safetensors"], specs)
    make(files[".pt"], specs)
    make(files["f32"], llama(gigabytes, "float32"))
    make(files["5000 tensors"], small(5000, gigabytes))
    sides = {
        "safetensors": ("cp", "cp_sync", "ours", "ours_as_it_is", "torch_and_numpy", "torch_alone"),
        ".pt": ("cp", "cp_sync", "ours", "torch_and_numpy"),
        "f32": ("cp", "cp_sync", "ours_cast"),
        "5000 tensors": ("cp", "cp_sync", "ours"),
    }
    work = [(label, side, files[label]) for label, some in sides.items() for side in some]
    readings = rounds(work, folder / "out.safetensors", count)
    table(readings, {label: file.stat().st_size / 1e9 for label, file in files.items()})
    goals(readings)
    headers(folder, count)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--curves", action="store_true")
    parser.add_argument("--start", action="store_true", help="only what takes no large file")
    parser.add_argument("--folder", type=Path, help="where the files are made; a temporary folder by default")
    parser.add_argument("--threads", type=int, default=stream.THREADS, help=argparse.SUPPRESS)
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        stream.THREADS = options.threads
        side, source, out = options.side
        print(json.dumps(measure(side, Path(source), Path(out))))
        return
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="io-"))
    try:
        print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n")
        if options.start:
            headers(folder, options.rounds)
        elif options.curves:
            curves(folder, options.rounds)
        else:
            compare(folder, options.gigabytes, options.rounds)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
