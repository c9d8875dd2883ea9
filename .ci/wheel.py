"""Build the wheel, install it into an environment of its own, and use it there: python .ci/wheel.py."""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST = 1_500_000  # bytes


def main() -> int:
    """Do all of it; an assertion says what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, str(ROOT)], check=True)
        (wheel,) = here.glob("ml_switcheroo-*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        assert "ml_switcheroo/py.typed" in names, "py.typed is missing: nobody's type checker sees the types"
        assert wheel.stat().st_size < MOST, f"{wheel.name} has {wheel.stat().st_size:,} bytes"
        assert not [name for name in names if name.startswith("tests/")], "the tests are in the wheel"

        venv.create(here / "env", with_pip=True)
        run = here / "env" / "bin"
        subprocess.run([run / "pip", "--quiet", "--disable-pip-version-check", "install", wheel], check=True)
        version = _said(run / "ml-switcheroo", "--version")
        assert wheel.name.split("-")[1] in version, f"{wheel.name} calls itself {version}"
        heavy = "jax", "torch", "keras", "mlx", "tensorflow"
        found = _said(
            run / "python", "-c", f"import importlib.util as u; print([n for n in {heavy} if u.find_spec(n)])"
        )
        assert found == "[]", f"the package alone brings {found}"
        (here / "rules.toml").write_text('rules = [\'Kind("fc", "linear")\']\n', encoding="utf-8")
        _said(
            run / "python",
            "-c",
            f"import numpy; numpy.savez({str(here / 'w.npz')!r}, **{{'fc.weight': numpy.ones((2, 3))}})",
        )
        _said(
            run / "ml-switcheroo",
            "convert",
            here / "w.npz",
            here / "out.npz",
            "--to",
            "jax",
            "--rules",
            here / "rules.toml",
        )
        shape = _said(
            run / "python",
            "-c",
            f"import numpy; print(numpy.load({str(here / 'out.npz')!r})['fc.kernel'].shape)",
        )
        assert shape == "(3, 2)", shape
        print(f"{wheel.name}: {wheel.stat().st_size:,} bytes; installs alone and converts")
    return 0


def _said(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
