"""Do what people do by mistake, 60 times, and check what they are told.

    python benchmarks/awkward.py [--only WORD] [--jobs 2] [--show]

Each case runs in a process and a folder of its own. Right is: the exit code; words that say what failed,
where, and the cure; no traceback; at most 40 lines and 4,000 characters on stderr; the files that were given
are as they were; and nothing else is left behind. The last line is ``awkward: N of 60``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIGITS = ROOT / "examples" / "digits"
LINES, CHARACTERS, SECONDS = 40, 4000, 60

PLAN = "plan weights.pt --to nnx"
NET = f"{PLAN} --layers model.py:Net"
PORT = f"{PLAN} --like port.py:make"
BIG = "convert big.safetensors out.safetensors --to numpy --dtype float16"

FILES: Mapping[str, str | bytes] = {
    "weights.pt": (DIGITS / "weights.pt").read_bytes(),
    "model.py": (DIGITS / "model.py").read_bytes(),
    "port.py": (DIGITS / "port.py").read_text(encoding="utf-8")
    + "\n\ndef make() -> Net:\n    return Net(rngs=nnx.Rngs(0))\n",
    "slow.py": "import time\n\n\ndef make():\n    time.sleep(50)\n",
    "raises.py": "def make():\n    sizes = {}\n    return sizes['width']\n",
    "broken.py": "class Net(:\n    pass\n",
    "imports.py": "import einopz\n\n\ndef make():\n    return einopz\n",
    "nothing.py": "def make():\n    pass\n",
    "needs.py": "class Port:\n    def __init__(self, width, *, rngs):\n        pass\n",
    "forward.py": "from model import Net as Base\n\n\nclass Net(Base):\n    def forward(self, x):\n"
    "        x = super().forward(x)\n        return self.fc3(x)\n",
    "batch.py": "import numpy as np\n\n\ndef make():\n    return np.ones((2, 1, 8, 8), 'f4')\n",
    "infer.py": (DIGITS / "infer.py").read_bytes(),
    "wide.json": '{"fc1.kernel": [128, 49]}',
    "kind.toml": '[[kind]]\npattern = "fc1"\nkind = "liner"\n',
    "pattern.toml": '[[kind]]\npattern = "fcc1"\nkind = "linear"\n',
    "key.toml": '[[kind]]\npatern = "fc1"\nkind = "linear"\n',
    "table.toml": '[[renam]]\nsource = "fc1"\ntarget = "head"\n',
    "line.toml": 'rules = [\'Knid("fc1", "linear")\']\n',
    "syntax.toml": '[[kind]]\npattern = "fc1\n',
    "pyproject.toml": '[tool.ml-switcheroo]\nruntme = "inject"\n',
    "plan.json": '{"format": 1, "target": "nnx"}',
    "empty.pt": b"",
    "cut.pt": (DIGITS / "weights.pt").read_bytes()[:20_000],
    "page.pt": b"<!DOCTYPE html><html><body>404</body></html>",
}
"""The files that cases name; those that take long to make are in ``MADE``."""

# Errors of ours are what a person reads; anything else ends as Python ends it.
SNIPPET = """\
import sys
import ml_switcheroo as ms
try:
{body}
except ms.SwitcherooError as error:
    print(f"{{type(error).__name__}}: {{error}}", file=sys.stderr)
    sys.exit(error.exit_code)
"""
HEEDING = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
TORCH = "from model import Net\nnet = Net()\n"
HIDDEN = """\
import sys
exec(compile('''
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
''', "<frozen importlib>", "exec"))
sys.meta_path.insert(0, Hidden())
"""


@dataclass(frozen=True)
class Case:
    """One awkward invocation.

    Attributes:
        what: What a person did.
        run: The words behind ``ml-switcheroo``; or lines of Python.
        files: The files that lie there.
        code: The right exit code.
        words: What the answer has to say, on either stream.
        python: Whether ``run`` is Python.
        makes: The files that are there afterwards, besides those that were.
        signal: What the process gets as soon as it has begun to write.
        begun: The file that shows that it has.
        before: What was run before, and what it got then.
        hidden: Packages that are not installed.
        env: Variables of the environment.
        record: What the object on stdout holds, where ``--json`` was asked for.
        pipe: What the output goes to, in a shell.
        longest: Seconds it may take.
        modes: The modes of files (``.`` for the folder); root is made to heed them.
    """

    what: str
    run: str
    files: str
    code: int
    words: tuple[str, ...]
    python: bool = False
    makes: tuple[str, ...] = ()
    signal: int = 0
    begun: str = ".*.partial"
    before: tuple[str, int] | None = None
    hidden: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    record: tuple[str, ...] = ()
    pipe: str = ""
    longest: float = SECONDS
    modes: Mapping[str, int] = field(default_factory=dict)


CASES = (
    # Files that are not there
    Case(
        "a checkpoint that is not there",
        "inspect weighs.pt",
        "weights.pt",
        2,
        ("weighs.pt", "no such file", "did you mean 'weights.pt'"),
    ),
    Case(
        "no checkpoint, and a model that takes long to make",
        "plan weighs.pt --to nnx --like slow.py:make",
        "slow.py weights.pt",
        2,
        ("weighs.pt", "no such file", "did you mean"),
        longest=5,
    ),
    Case(
        "a source that is not there",
        f"{PLAN} --layers modle.py:Net",
        "weights.pt model.py",
        2,
        ("modle.py", "no such file", "did you mean 'model.py'"),
    ),
    Case(
        "a port that is not there",
        f"{PLAN} --like prot.py:make",
        "weights.pt port.py",
        2,
        ("--like", "prot.py", "did you mean 'port.py'"),
    ),
    Case(
        "a spec file that is not there",
        f"{PLAN} --like wid.json",
        "weights.pt wide.json",
        2,
        ("wid.json", "no such file", "did you mean 'wide.json'"),
    ),
    Case(
        "rules that are not there",
        f"{NET} --rules rule.toml",
        "weights.pt model.py",
        2,
        ("rule.toml", "no such file"),
    ),
    Case(
        "a plan that is not there",
        f"{BIG} --plan plna.json",
        "big.safetensors plan.json",
        2,
        ("plna.json", "no such file", "did you mean 'plan.json'"),
    ),
    Case(
        "a folder to write to that is not there",
        "convert weights.pt new/out.safetensors --to nnx --layers model.py:Net --like slow.py:make",
        "weights.pt model.py slow.py",
        2,
        ("new", "no such folder", "mkdir"),
        longest=5,
    ),
    Case(
        "a script that is not there",
        "rewrite infre.py --to nnx",
        "infer.py",
        2,
        ("infre.py", "no such file", "did you mean 'infer.py'"),
    ),
    # Misspelled
    Case("a misspelled target", "plan weights.pt --to nxn", "weights.pt", 2, ("'nxn'", "did you mean 'nnx'")),
    Case(
        "a misspelled alias, and a model that takes long to make",
        "plan weights.pt --to tensorflo --like slow.py:make",
        "weights.pt slow.py",
        2,
        ("'tensorflo'", "did you mean 'tensorflow'"),
        longest=5,
    ),
    Case(
        "a misspelled dtype",
        f"{NET} --dtype bfloat",
        "weights.pt model.py",
        2,
        ("'bfloat'", "did you mean 'bfloat16'"),
    ),
    Case(
        "a misspelled class",
        f"{PLAN} --layers model.py:Nett",
        "weights.pt model.py",
        2,
        ("model.py", "Nett", "did you mean 'Net'"),
    ),
    Case(
        "a misspelled factory",
        f"{PLAN} --like port.py:mak",
        "weights.pt port.py",
        2,
        ("port.py", "mak", "did you mean 'make'"),
    ),
    Case(
        "a misspelled option",
        f"{PLAN} --layer model.py:Net",
        "weights.pt model.py",
        2,
        ("--layer", "--layers"),
    ),
    Case("a misspelled verb", "plam weights.pt --to nnx", "weights.pt", 2, ("plam", "did you mean 'plan'")),
    Case(
        "a misspelled choice",
        "convert weights.pt out --to nnx --format safetensor",
        "weights.pt",
        2,
        ("--format", "safetensor", "did you mean 'safetensors'"),
    ),
    Case(
        "a misspelled kind",
        f"{NET} --rules kind.toml",
        "weights.pt model.py kind.toml",
        2,
        ("liner", "did you mean 'linear'"),
    ),
    Case(
        "a rule that matches nothing",
        f"{NET} --rules pattern.toml",
        "weights.pt model.py pattern.toml",
        2,
        ('Kind("fcc1", "linear")', "did you mean 'fc1'"),
    ),
    Case(
        "a misspelled key of a rule",
        f"{NET} --rules key.toml",
        "weights.pt model.py key.toml",
        2,
        ("key.toml", "patern", "did you mean 'pattern'"),
    ),
    Case(
        "a misspelled rule",
        f"{NET} --rules table.toml",
        "weights.pt model.py table.toml",
        2,
        ("table.toml", "renam", "did you mean 'rename'"),
    ),
    Case(
        "a misspelled rule in a line",
        f"{NET} --rules line.toml",
        "weights.pt model.py line.toml",
        2,
        ("line.toml", "Knid", "did you mean 'Kind'"),
    ),
    Case(
        "rules that are no TOML",
        f"{NET} --rules syntax.toml",
        "weights.pt model.py syntax.toml",
        2,
        ("syntax.toml", "line 2"),
    ),
    Case(
        "a misspelled setting of a project",
        "rewrite infer.py --to nnx",
        "infer.py pyproject.toml",
        2,
        ("pyproject.toml", "runtme", "did you mean 'runtime'"),
    ),
    Case(
        "a misspelled part of a file",
        "inspect parts.pt --select mdoel_ema",
        "parts.pt",
        2,
        ("parts.pt", "mdoel_ema", "did you mean 'model_ema'"),
    ),
    Case(
        "a misspelled tensor",
        f"{NET} --explain fc1.weigth",
        "weights.pt model.py",
        2,
        ("fc1.weigth", "did you mean 'fc1.weight'"),
    ),
    Case(
        "a misspelled code",
        "rewrite infer.py --to nnx --select SW2O1",
        "infer.py",
        2,
        ("SW2O1", "did you mean 'SW201'"),
    ),
    # Shapes and frameworks
    Case(
        "a leaf of another size",
        f"{NET} --like wide.json",
        "weights.pt model.py wide.json",
        1,
        ("fc1.kernel", "[128,49]", "[48,128]"),
    ),
    Case(
        "shapes that are none",
        f"{PORT} --layers model.py:Net --inputs float32[1,1,8,8",
        "weights.pt model.py port.py",
        2,
        ("float32[1,1,8,8", "float32[1,3,64,64]"),
    ),
    Case(
        "a model of another framework",
        "plan weights.pt --to keras --like port.py:make",
        "weights.pt port.py",
        2,
        ("nnx", "keras", "--to nnx"),
    ),
    Case(
        "a framework that is not installed",
        PORT,
        "weights.pt port.py",
        2,
        ("port.py:4", "from flax import nnx", "ml-switcheroo[nnx]"),
        hidden=("flax",),
    ),
    Case(
        "no PyTorch, where it is needed",
        "verify --source model.py:Net --target-model port.py:make --inputs batch.py:make",
        "model.py port.py batch.py",
        2,
        ("model.py:3", "import torch", "pip install torch"),
        hidden=("torch",),
    ),
    Case(
        "no h5py, where a file of Keras is read",
        "inspect small.weights.h5",
        "small.weights.h5",
        2,
        ("small.weights.h5", "h5py", "ml-switcheroo[keras]"),
        hidden=("h5py",),
    ),
    # Their own code
    Case(
        "a factory that raises",
        f"{PLAN} --like raises.py:make",
        "weights.pt raises.py",
        2,
        ("--like raises.py:make", "KeyError", "raises.py:3", "return sizes['width']"),
    ),
    Case(
        "a file that is no Python",
        f"{PLAN} --layers broken.py:Net",
        "weights.pt broken.py",
        2,
        ("broken.py:1", "class Net(:"),
    ),
    Case(
        "a file that imports what is not there",
        f"{PLAN} --like imports.py:make",
        "weights.pt imports.py",
        2,
        ("imports.py:1", "import einopz", "Install einopz"),
    ),
    Case(
        "a class that needs arguments",
        f"{PLAN} --like needs.py:Port",
        "weights.pt needs.py",
        2,
        ("needs.py:Port", "width, rngs", "def make()"),
    ),
    Case(
        "a factory that returns nothing",
        f"{PLAN} --like nothing.py:make",
        "weights.pt nothing.py",
        2,
        ("nothing.py:make", "None", "return"),
    ),
    Case(
        "a forward that raises",
        "verify --source forward.py:Net --target-model port.py:make --inputs batch.py:make",
        "forward.py model.py port.py batch.py",
        2,
        ("forward.py:7", "return self.fc3(x)", "fc3"),
    ),
    # What is written
    Case(
        "an output that is the input",
        "convert weights.pt weights.pt --to nnx --layers model.py:Net --format safetensors",
        "weights.pt model.py",
        2,
        ("weights.pt", "another name"),
    ),
    Case(
        "a page that is the source",
        f"{NET} --html model.py",
        "weights.pt model.py",
        2,
        ("model.py", "another name"),
    ),
    Case(
        "shards, and no output",
        "convert a-00001-of-00002.safetensors a-00002-of-00002.safetensors --to nnx",
        "shards",
        2,
        ("a-00002-of-00002.safetensors", "another name"),
    ),
    Case(
        "a folder that may not be written",
        "convert weights.pt out.safetensors --to nnx --layers model.py:Net",
        "weights.pt model.py",
        2,
        ("out.safetensors", "Permission denied", "Nothing was changed"),
        modes={".": 0o555},
    ),
    Case("Ctrl-C", BIG, "big.safetensors", 130, ("Interrupted", "--resume"), signal=signal.SIGINT),
    Case(
        "Ctrl-C of a run that can be resumed",
        f"{BIG} --resume",
        "big.safetensors",
        130,
        ("Interrupted", "run the same command again"),
        makes=(".out.safetensors.unfinished.partial", ".out.safetensors.unfinished.journal"),
        begun=".*.journal",
        signal=signal.SIGINT,
    ),
    Case("SIGTERM", BIG, "big.safetensors", 143, ("Terminated",), signal=signal.SIGTERM),
    Case("a terminal that was closed", BIG, "big.safetensors", 129, (), signal=signal.SIGHUP),
    Case(
        "a run that was killed before",
        BIG,
        "big.safetensors",
        0,
        ("was left by a run that was killed", "rm .out.safetensors."),
        makes=("out.safetensors", ".out.safetensors.*.partial"),
        before=(BIG, signal.SIGKILL),
    ),
    Case("nobody who reads on", f"{NET}", "weights.pt model.py", 0, ("weights.pt -> nnx",), pipe="| head -1"),
    # Files that are no checkpoints
    Case("an empty file", "inspect empty.pt", "empty.pt", 2, ("empty.pt", "empty")),
    Case("a download that was cut off", "inspect cut.pt", "cut.pt", 2, ("cut.pt", "cut off", "again")),
    Case("a folder without a checkpoint", "inspect .", "model.py", 2, ("no checkpoint", "model.safetensors")),
    Case(
        "a file that may not be read",
        "inspect weights.pt",
        "weights.pt",
        2,
        ("weights.pt", "Permission denied"),
        modes={"weights.pt": 0o200},
    ),
    # For programs
    Case(
        "an error, for a program",
        "inspect weighs.pt --json",
        "weights.pt",
        2,
        (),
        record=("CheckpointError", "weighs.pt", "no such file", "did you mean"),
    ),
    Case(
        "open questions, for a program",
        f"{PLAN} --json",
        "weights.pt",
        1,
        (),
        record=("PlanError", "fc1.weight", "moves"),
    ),
    Case(
        "a misspelled option, for a program",
        f"{PLAN} --json --dtpye float16",
        "weights.pt",
        2,
        (),
        record=("NoSuchOption", "--dtype", "ml-switcheroo plan --help"),
    ),
    # In a narrow terminal, and in Python
    Case(
        "a narrow terminal", "convert --help", "", 0, ("--allow-missing", "CHECKPOINT"), env={"COLUMNS": "40"}
    ),
    Case(
        "a module, a path and a list of shards",
        TORCH
        + "from pathlib import Path\nfor state in (net, 'weights.pt', Path('weights.pt'), net.state_dict()):\n    print(len(ms.make_plan(state, to='nnx', layers='model.py:Net').moves))\nprint(ms.make_plan(sorted(Path().glob('a-*')), to='jax').source)",
        "weights.pt model.py shards",
        0,
        ("16\n16\n16\n16", "a-00001-of-00002"),
        python=True,
    ),
    Case(
        "a module in place of a file",
        TORCH
        + "ms.convert(net, 'out.safetensors', to='nnx')\nfrom port import make\nm = make()\nprint(ms.load_into(m, net))\nprint(len(ms.to_torch(m, like=net)))",
        "weights.pt model.py port.py",
        0,
        ("missing", "18"),
        python=True,
        makes=("out.safetensors",),
    ),
    Case(
        "what is no checkpoint",
        "ms.make_plan(42, to='nnx')",
        "",
        2,
        ("UsageError", "int", "path", "module"),
        python=True,
    ),
)


@cache
def made() -> Mapping[str, tuple[Path, ...]]:
    """Make, once, the files that take long."""
    import h5py
    import numpy as np
    import torch

    from ml_switcheroo.formats.safetensors_writer import write_safetensors
    from ml_switcheroo.tensors import TensorSpec

    folder = Path(tempfile.mkdtemp(prefix="awkward-"))
    big, small = np.ones((1024, 1024), "f4"), np.ones((4, 4), "f4")

    def write(name: str, names: list[str], value: np.ndarray) -> Path:
        specs = {name: TensorSpec(value.shape, "float32") for name in names}
        write_safetensors(folder / name, specs, ((name, value) for name in names))
        return folder / name

    net = {f"net.fc{i}.weight": torch.ones(2, 2) for i in range(2)}
    torch.save({"model": net, "model_ema": net}, folder / "parts.pt")
    with h5py.File(folder / "small.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = small
    shards = [write(f"a-0000{i}-of-00002.safetensors", [f"fc{i}.weight"], small) for i in (1, 2)]
    return {
        "big.safetensors": (write("big.safetensors", [f"layer{i}.weight" for i in range(40)], big),),
        "parts.pt": (folder / "parts.pt",),
        "small.weights.h5": (folder / "small.weights.h5",),
        "shards": tuple(shards),
    }


def lay_out(case: Case, folder: Path) -> None:
    """Put the files of a case into its folder."""
    for name in case.files.split():
        if name not in FILES:
            for file in made()[name]:
                os.link(file, folder / file.name)
            continue
        content = FILES[name]
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def digests(folder: Path) -> dict[str, str]:
    """Return what lies in a folder, with its content."""
    files = [file for file in sorted(folder.rglob("*")) if "__pycache__" not in file.parts and file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def command(case: Case, run: str) -> list[str]:
    """Return the words of a process."""
    if case.python:
        body = textwrap.indent(run, "    ")
        return [sys.executable, "-c", SNIPPET.format(body=body)]
    words = [sys.executable, "-m", "ml_switcheroo", *shlex.split(run)]
    if case.modes and os.getuid() == 0:
        return [*HEEDING, *words]
    if case.pipe:
        return ["bash", "-o", "pipefail", "-c", f"{shlex.join(words)} {case.pipe}"]
    return words


def environment(case: Case, hiding: Path) -> dict[str, str]:
    """Return the variables of a process; a ``sitecustomize`` hides packages."""
    paths = [str(ROOT / "src")]
    if case.hidden:
        (hiding / "sitecustomize.py").write_text(HIDDEN.format(names=case.hidden), encoding="utf-8")
        paths.insert(0, str(hiding))
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**os.environ, **quiet, "PYTHONPATH": os.pathsep.join(paths), **case.env}


def perform(
    words: list[str], folder: Path, env: Mapping[str, str], sent: int, begun: str
) -> tuple[int, str, str]:
    """Run a process; as soon as a hidden file appears, send it a signal."""
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    there = set(folder.glob(begun))
    end = time.monotonic() + SECONDS
    while sent and process.poll() is None and time.monotonic() < end:
        if set(folder.glob(begun)) - there:
            process.send_signal(sent)
            break
        time.sleep(0.0005)
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        err += "\n(it took too long)"
    return process.returncode, out, err


def problems(case: Case, folder: Path, hiding: Path) -> Iterator[str]:
    """Run a case, and yield what is not right."""
    lay_out(case, folder)
    env = environment(case, hiding)
    if case.before is not None:
        perform(command(case, case.before[0]), folder, env, case.before[1], case.begun)
    before = digests(folder) if case.before is None else {}
    for name, mode in case.modes.items():
        (folder / name).chmod(mode)
    began = time.monotonic()
    code, out, err = perform(command(case, case.run), folder, env, case.signal, case.begun)
    took = time.monotonic() - began
    for name in case.modes:
        (folder / name).chmod(0o755)
    yield from said_wrong(case, code, out, err)
    if took > case.longest:
        yield f"it took {took:.0f} s, more than {case.longest:.0f} s"
    yield from left_wrong(case, before, digests(folder), folder)


def said_wrong(case: Case, code: int, out: str, err: str) -> Iterator[str]:
    """Yield what is wrong with an exit code and an answer."""
    if code != case.code:
        yield f"the exit code is {code}, not {case.code}"
    said = out + err
    flat = " ".join(said.split())
    yield from (f"it does not say {word!r}" for word in case.words if word not in said and word not in flat)
    if "Traceback" in said:
        yield "a traceback"
    if err.count("\n") > LINES or len(err) > CHARACTERS:
        yield f"{err.count(chr(10))} lines and {len(err)} characters on stderr"
    if case.record:
        yield from record_wrong(case, out)
    if sys.argv[-1] == "--show":
        print(f"--- {case.what}: {case.run}\n{textwrap.indent(out[-1500:] + err, '    ')}")


def record_wrong(case: Case, out: str) -> Iterator[str]:
    """Yield what is wrong with an error that a program reads."""
    try:
        record = json.loads(out)
    except ValueError:
        yield "stdout is no JSON"
        return
    if not isinstance(record, dict) or "error" not in record or "schema" not in record:
        yield "the object has no error and no schema"
    yield from (f"the object does not hold {word!r}" for word in case.record if word not in out)


def left_wrong(
    case: Case, before: Mapping[str, str], after: Mapping[str, str], folder: Path
) -> Iterator[str]:
    """Yield what is wrong with the files."""
    expected = {str(file.relative_to(folder)) for name in case.makes for file in folder.glob(name)}
    yield from (f"{name} was changed" for name in before if before[name] != after.get(name))
    if case.before is None:
        yield from (f"{name} was left behind" for name in after.keys() - before.keys() - expected)
    yield from (f"{name} was not made" for name in case.makes if not any(folder.glob(name)))


def judged(case: Case) -> tuple[Case, list[str]]:
    """Run a case in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="awkward-") as name, tempfile.TemporaryDirectory() as hiding:
        Path(name).chmod(0o755)
        return case, list(problems(case, Path(name), Path(hiding)))


def main() -> None:
    """Run the cases, and print those that are not right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="WORD", help="only cases with this in what they are")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="print what each case says; the last option")
    options = parser.parse_args()
    cases = [case for case in CASES if options.only in case.what]
    made()
    right = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for case, wrong in pool.map(judged, cases):
            right += not wrong
            if wrong:
                print(f"{case.what}\n  $ {case.run.splitlines()[-1]}")
                print("".join(f"    {line}\n" for line in wrong), end="", flush=True)
    print(f"awkward: {right} of {len(cases)}")
    sys.exit(0 if right == len(cases) else 1)


if __name__ == "__main__":
    main()
