"""Show the same hostile files to other readers and print what each does, as a table.

    python benchmarks/hostile.py [--picklescan PATH/TO/picklescan]

Each file is opened in a process of its own, with a limit of 20 s and of 2 GiB beyond what the imports took.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from formats.hostile.makers import HOSTILE

SECONDS = 20
BYTES = 2**31


def ours(path: Path) -> None:
    """Open with this package."""
    from ml_switcheroo.formats import open_checkpoint

    open_checkpoint(path).close()


def torch_load(path: Path) -> None:
    """Open with ``torch.load(weights_only=True)``."""
    import torch

    torch.load(path, weights_only=True)


def safetensors_open(path: Path) -> None:
    """Open with the reference implementation, and read all."""
    from safetensors.numpy import load_file

    load_file(path)


def outcome(side: Callable[[Path], None], path: Path) -> str:
    """Run one side on one file in a child process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
        signal.alarm(SECONDS)
        text = "opens it"
        try:
            side(path)
        except MemoryError:
            text = "runs out of memory"
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is told)
            text = f"refuses: {type(error).__name__}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        text = f"hangs ({SECONDS} s)" if name == "SIGALRM" else f"**crashes ({name})**"
    if (path.parent / "canary").exists():
        text = "**runs the code**"
        (path.parent / "canary").unlink()
    return text


def scanned(program: str, path: Path) -> str:
    """Let picklescan look at the file."""
    try:
        done = subprocess.run([program, "--path", path], capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"hangs ({SECONDS} s)"
    return {0: "finds nothing", 1: "warns"}.get(done.returncode, "gives up")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--picklescan", help="the program")
    program = parser.parse_args().picklescan
    warnings.simplefilter("ignore")
    import torch  # noqa: F401

    import ml_switcheroo.formats  # noqa: F401

    print(
        "| file | ml-switcheroo | torch.load(weights_only=True) | safetensors | picklescan |"
        "\n|---|---|---|---|---|"
    )
    for name, hostile in HOSTILE.items():
        with tempfile.TemporaryDirectory() as folder:
            path = hostile.make(Path(folder))
            cells = [outcome(ours, path)]
            for side, suffixes in ((torch_load, (".pt", ".pkl")), (safetensors_open, (".safetensors",))):
                cells.append(outcome(side, path) if path.suffix in suffixes else "")
            is_pickle = path.suffix in (".pt", ".pkl", ".npz")
            cells.append(scanned(program, path) if program and is_pickle else "")
        print(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
