"""Run the tests with the lowest versions that pyproject.toml allows, or the newest.

python .ci/bounds.py lowest|highest; the versions are those that uv resolves for the package with all extras.
What the tests alone need is the newest. Suites that need keras-hub, mlx-lm or TensorFlow are left out.
"""

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("pytest", "pytest-xdist", "einops", "hypothesis", "safetensors", "transformers", "pyyaml")
SUITES = (
    *("targets", "runtime", "formats", "graph", "planning", "verification", "differences"),
    *("test_layers.py", "test_load.py", "test_load_guarantees.py", "test_export.py", "test_conversion.py"),
    *("test_sharded.py", "test_plan.py"),
)


def main(resolution: str) -> int:
    """Make the environment and run the tests; return the exit code of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        venv.create(here / "env", with_pip=True)
        run = here / "env" / "bin"
        pip = [run / "pip", "--quiet", "--disable-pip-version-check", "install"]
        # torch first and by itself, as in the Makefile: the pinned version resolves to the CPU build.
        subprocess.run([*pip, "torch==2.13.0"], check=True)
        subprocess.run([*pip, "--no-deps", "torchvision==0.28.0"], check=True)
        subprocess.run([*pip, "uv"], check=True)
        wanted = here / "requirements.txt"
        uv = [run / "uv", "pip", "compile", "--quiet", "--python", run / "python", "--output-file", wanted]
        name = {"lowest": "lowest-direct", "highest": "highest"}[resolution]
        subprocess.run([*uv, "--resolution", name, "--extra", "all", ROOT / "pyproject.toml"], check=True)
        subprocess.run([*pip, "--requirement", wanted, *TOOLS], check=True)
        subprocess.run([*pip, "--no-deps", "--editable", ROOT], check=True)
        print(wanted.read_text(encoding="utf-8"))
        # What old versions warn of is not ours to mend.
        warnings = ["-o", "filterwarnings="] if resolution == "lowest" else []
        pytest = [run / "python", "-m", "pytest", "-q", "-n", "2", "-m", "not slow", *warnings]
        paths = [f"tests/{suite}" for suite in SUITES]
        ignored = ["--ignore", "tests/graph/of_tensorflow"]
        return subprocess.run([*pytest, *paths, *ignored], cwd=ROOT, env=os.environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
