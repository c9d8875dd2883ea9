"""The command line as a person meets it: what it prints, where, and its exit codes."""

import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.cli.convert import convert
from ml_switcheroo.formats.writing import WRITERS

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
WEIGHTS = str(DIGITS / "weights.pt")
LAYERS = f"{DIGITS}/model.py:Net"


def run(*arguments, cwd=None):
    command = [sys.executable, "-m", "ml_switcheroo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_help_lists_the_verbs_and_the_exit_codes():
    shown = run("--help")
    assert shown.returncode == 0
    for word in ("inspect", "plan", "convert", "rewrite", "verify", "export", "Exit codes"):
        assert word in shown.stdout


@pytest.mark.parametrize(
    "verb", ["inspect", "plan", "convert", "rewrite", "verify", "export", "targets", "layers"]
)
def test_every_verb_has_help_and_json(verb):
    shown = run(verb, "--help")
    assert shown.returncode == 0
    assert "--json" in shown.stdout


def test_inspect_folds_layers():
    shown = run("inspect", WEIGHTS)
    assert shown.returncode == 0
    assert "18 tensors" in shown.stdout
    assert "features.{0..1}.1.num_batches_tracked" in shown.stdout
    record = json.loads(run("inspect", WEIGHTS, "--json").stdout)
    assert record["tensors"]["fc1.weight"] == {"dtype": "float32", "shape": [48, 128], "nbytes": 24576}


def test_plan_prints_every_tensor_with_the_reason(tmp_path):
    shown = run("plan", WEIGHTS, "--to", "nnx", "--layers", LAYERS, "-o", tmp_path / "plan.json", "--full")
    assert shown.returncode == 0, shown.stderr
    assert "static: nn.Linear(hidden, classes)" in shown.stdout
    assert "keeps no counter" in shown.stdout
    record = json.loads(run("plan", WEIGHTS, "--to", "nnx", "--layers", LAYERS, "--json").stdout)
    assert record == {"schema": 1, **json.loads((tmp_path / "plan.json").read_text())}


def test_an_ambiguous_plan_exits_1_with_the_rule_to_write(tmp_path):
    shown = run("plan", WEIGHTS, "--to", "nnx")
    assert shown.returncode == 1
    assert 'Kind("fc1", "linear", flatten=32)' in shown.stdout
    failed = run("convert", WEIGHTS, tmp_path / "out.safetensors", "--to", "nnx")
    assert failed.returncode == 1
    assert "PlanError" in failed.stderr
    assert not list(tmp_path.iterdir())
    rules = tmp_path / "rules.toml"
    # Shapes alone leave open whether a convolution is a transposed one with groups.
    rules.write_text(
        '[[kind]]\npattern = "fc1"\nkind = "linear"\nflatten = 32\n'
        '[[kind]]\npattern = "features.{i}.0"\nkind = "conv"\n'
    )
    assert run("plan", WEIGHTS, "--to", "nnx", "--rules", rules).returncode == 0


def test_convert_writes_and_check_compares(tmp_path):
    out = tmp_path / "out.safetensors"
    arguments = ("convert", WEIGHTS, out, "--to", "nnx", "--layers", LAYERS)
    assert run(*arguments, "--check").returncode == 1
    shown = run(*arguments)
    assert shown.returncode == 0, shown.stderr
    assert "16 leaves filled" in shown.stdout
    assert run(*arguments, "--check").returncode == 0
    assert run("convert", WEIGHTS, out, "--to", "linen", "--layers", LAYERS, "--check").returncode == 1
    record = json.loads(run("inspect", out, "--json").stdout)
    assert record["metadata"]["ml_switcheroo.target"] == "nnx"
    assert record["tensors"]["fc1.kernel"]["shape"] == [128, 48]


def test_convert_carries_out_a_saved_plan(tmp_path):
    plan, out = tmp_path / "plan.json", tmp_path / "out.npz"
    assert run("plan", WEIGHTS, "--to", "linen", "--layers", LAYERS, "-o", plan).returncode == 0
    assert run("convert", WEIGHTS, out, "--to", "linen", "--plan", plan).returncode == 0
    assert "params/features/layers_0/layers_0/kernel" in np.load(out).files


class Evil:
    def __reduce__(self):
        return (print, ("pwned",))


def truncated(folder):
    file = folder / "truncated.pt"
    file.write_bytes(Path(WEIGHTS).read_bytes()[:3000])
    return file


def text(folder):
    file = folder / "notes.pt"
    file.write_text("not a checkpoint")
    return file


def evil(folder):
    file = folder / "evil.pt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps({"weight": Evil()}))
        archive.writestr("evil/version", "3")
    return file


def absent(folder):
    return folder / "absent.pt"


@pytest.mark.parametrize("make", [truncated, text, evil, absent])
@pytest.mark.parametrize("verb", ["inspect", "plan", "convert"])
def test_a_bad_file_exits_2_without_traceback_or_output(make, verb, tmp_path):
    file = make(tmp_path)
    more = [] if verb == "inspect" else ["--to", "nnx"]
    out = [tmp_path / "out.safetensors"] if verb == "convert" else []
    before = set(tmp_path.iterdir())
    shown = run(verb, file, *out, *more)
    assert shown.returncode == 2
    assert file.name in shown.stderr
    assert "Traceback" not in shown.stderr
    assert shown.stdout == ""
    assert set(tmp_path.iterdir()) == before


def test_a_forbidden_global_is_named_and_not_called(tmp_path):
    shown = run("inspect", evil(tmp_path))
    assert "print" in shown.stderr
    assert "data.pkl" in shown.stderr
    assert "pwned" not in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", WEIGHTS, "--to", "theano"), "unknown target 'theano'; known targets: "),
        (("plan", WEIGHTS), "Missing option '--to'"),
        (("plan", WEIGHTS, "--to", "nnx", "--layers", f"{DIGITS}/model.py:Nett"), "Nett"),
        (("plan", WEIGHTS, "--to", "nnx", "--layers", f"{DIGITS}/absent.py:Net"), "absent.py"),
        (("plan", WEIGHTS, "--to", "nnx", "--rules", "absent.toml"), "absent.toml"),
        (("convert", WEIGHTS, "out.bin", "--to", "nnx"), "the suffix is none of .safetensors, .npz"),
        (("convert", WEIGHTS, "out.npz", "--to", "nnx", "--dtype", "float7"), "unknown dtype 'float7'"),
        (("nothing",), "no such verb"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_wrong(arguments, message, tmp_path):
    shown = run(*arguments, cwd=tmp_path)
    assert shown.returncode == 2
    assert message in shown.stderr
    assert "Traceback" not in shown.stderr
    assert not list(tmp_path.iterdir())


def test_like_takes_a_factory_of_the_target_model(tmp_path):
    factory = tmp_path / "factory.py"
    factory.write_text(
        f"import sys\nsys.path.insert(0, {str(DIGITS)!r})\n"
        "from flax import nnx\nfrom port import Net\n"
        "def make():\n    return Net(rngs=nnx.Rngs(0))\n"
        "def small():\n    return Net(hidden=40, rngs=nnx.Rngs(0))\n"
    )
    arguments = ("plan", WEIGHTS, "--to", "nnx", "--layers", LAYERS)
    shown = run(*arguments, "--like", f"{factory}:make")
    assert shown.returncode == 0, shown.stderr
    assert "16 leaves filled" in shown.stdout
    shown = run(*arguments, "--like", f"{factory}:small")
    assert shown.returncode == 1
    assert "fc1.kernel" in shown.stdout
    shown = run(*arguments, "--like", f"{factory}:nothing")
    assert shown.returncode == 2
    assert "it has Net, make, small" in shown.stderr


def test_explain_prints_what_is_known():
    shown = run("plan", WEIGHTS, "--to", "nnx", "--layers", LAYERS, "--explain", "fc1.weight")
    assert shown.returncode == 0
    assert "believed: weight of fc1, linear (static)" in shown.stdout


SCRIPT = "import torch\nfrom model import Net\n\nnet = Net()\nnet.load_state_dict(torch.load('w.pt'))\n"


def test_rewrite_shows_checks_and_writes(tmp_path):
    script = tmp_path / "infer.py"
    script.write_text(SCRIPT)
    shown = run("rewrite", script, "--to", "nnx", "--runtime", "import")
    assert shown.returncode == 0
    assert "+KeyMapper.load_into(net, torch.load('w.pt'))" in shown.stdout
    assert script.read_text() == SCRIPT
    assert run("rewrite", tmp_path, "--to", "nnx", "--check").returncode == 1
    assert run("rewrite", tmp_path, "--to", "nnx", "--write").returncode == 0
    written = script.read_text()
    assert "KeyMapper.load_into(net, torch.load('w.pt'))" in written
    assert run("rewrite", tmp_path, "--to", "nnx", "--check").returncode == 0
    assert run("rewrite", tmp_path, "--to", "nnx", "--write").returncode == 0
    assert script.read_text() == written


def test_rewrite_says_why_it_leaves_a_call(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("import torch\nopt = torch.optim.Adam([])\nopt.load_state_dict(state)\n")
    shown = run("rewrite", script, "--to", "nnx")
    assert shown.returncode == 0
    assert shown.stdout == ""
    assert "train.py:3: left as it is" in shown.stderr
    record = json.loads(run("rewrite", script, "--to", "nnx", "--json").stdout)
    (entry,) = record["files"]
    assert entry["changed"] is False
    assert entry["edits"] == []
    assert [(note["line"], "an optimizer" in note["text"]) for note in entry["notes"]] == [(3, True)]


def test_rewrite_sums_up_and_goes_on_where_a_file_cannot_be_written(tmp_path):
    for name in ("a.py", "b.py", "c.py"):
        (tmp_path / name).write_text(SCRIPT)
    (tmp_path / "b.py").chmod(0o444)
    (tmp_path / "d.py").write_text("print 'load_state_dict'\n")
    shown = run("rewrite", tmp_path, "--to", "nnx", "--runtime", "import")
    assert shown.returncode == 0
    assert "3 calls to rewrite in 3 files; 1 place left as it is (--write changes the files)" in shown.stderr
    shown = run("rewrite", tmp_path, "--to", "nnx", "--runtime", "import", "--write")
    assert shown.returncode == 2
    assert "b.py: the file is read-only; nothing was written" in shown.stderr
    assert "2 calls rewritten in 2 files; 1 place left as it is; 1 file failed" in shown.stderr
    assert (tmp_path / "b.py").read_text() == SCRIPT
    assert "KeyMapper" in (tmp_path / "c.py").read_text()


def test_a_named_file_that_is_no_python_exits_2(tmp_path):
    (tmp_path / "d.py").write_text("x = 1\nprint 'load_state_dict'\n")
    shown = run("rewrite", tmp_path / "d.py", "--to", "nnx")
    assert shown.returncode == 2
    assert "d.py:2: left as it is: this is no Python" in shown.stderr
    (tmp_path / "d.py").write_text("x = 1\n")
    shown = run("rewrite", tmp_path / "d.py", "--to", "nnx")
    assert (shown.returncode, shown.stderr) == (0, "nothing to rewrite\n")


def test_rewrite_without_torch_and_with_saving(tmp_path):
    script = tmp_path / "infer.py"
    script.write_text(SCRIPT + "torch.save(net.state_dict(), 'v.pt')\n")
    run("rewrite", script, "--to", "mlx", "--runtime", "import", "--write", "--no-torch", "--save")
    assert script.read_text().splitlines()[-2:] == [
        "KeyMapper.load_into(net, KeyMapper.read('w.pt'))",
        "torch.save(KeyMapper.to_torch(net), 'v.pt')",
    ]


def test_rewrite_of_an_absent_path_exits_2(tmp_path):
    shown = run("rewrite", tmp_path / "absent", "--to", "nnx")
    assert shown.returncode == 2
    assert "no such file" in shown.stderr


def test_a_rewritten_script_carries_the_kinds_that_names_cannot_show():
    script = DIGITS / "infer.py"
    shown = run("rewrite", script, "--to", "nnx", "--checkpoint", WEIGHTS, "--layers", LAYERS)
    assert shown.returncode == 0, shown.stderr
    assert "(c space) -> (space c) out, c=32 space=" in shown.stdout
    assert len(shown.stdout.splitlines()) < 60
    whole = run("rewrite", script, "--to", "nnx", "--checkpoint", WEIGHTS, "--layers", LAYERS, "--full")
    assert "def load_into" in whole.stdout
    assert "def load_into" not in shown.stdout
    assert run("rewrite", script, "--to", "nnx", "--layers", LAYERS).returncode == 2


def test_the_runtime_of_a_folder_is_a_module_that_can_be_renewed(tmp_path):
    (tmp_path / "infer.py").write_text(SCRIPT)
    shown = run("rewrite", tmp_path, "--to", "nnx", "--write")
    assert shown.returncode == 0, shown.stderr
    home = tmp_path / "key_mapper.py"
    assert shown.stdout.splitlines() == [f"changed {home}", f"changed {tmp_path / 'infer.py'}"]
    text = home.read_text()
    home.write_text(text.replace("ml-switcheroo 0", "ml-switcheroo 99.0"))
    shown = run("rewrite", tmp_path, "--update-runtime", "--check")
    assert (shown.returncode, shown.stdout) == (1, f"would change {home}\n")
    run("rewrite", tmp_path, "--update-runtime", "--write")
    assert home.read_text() == text
    assert run("rewrite", tmp_path).returncode == 2


def test_export_goes_back_to_pytorch_bit_for_bit(tmp_path):
    converted, back = tmp_path / "nnx.safetensors", tmp_path / "back.safetensors"
    assert run("convert", WEIGHTS, converted, "--to", "nnx", "--layers", LAYERS).returncode == 0
    shown = run("export", converted, back, "--like", WEIGHTS, "--layers", LAYERS)
    assert shown.returncode == 0, shown.stderr
    assert "18 tensors" in shown.stdout
    with ms.open_checkpoint(WEIGHTS) as before, ms.open_checkpoint(back) as after:
        assert set(after) == set(before)
        for name in before:
            assert after[name].read().tobytes() == before[name].read().tobytes()
    failed = run("export", WEIGHTS, back, "--like", WEIGHTS)
    assert failed.returncode == 2
    assert "has no stamp" in failed.stderr


def test_export_undoes_a_saved_plan_and_writes_what_torch_reads(tmp_path):
    converted, plan, back = (tmp_path / name for name in ("nnx.safetensors", "plan.json", "back.pt"))
    assert run("convert", WEIGHTS, converted, "--to", "nnx", "--layers", LAYERS).returncode == 0
    assert run("plan", WEIGHTS, "--to", "nnx", "--layers", LAYERS, "-o", plan).returncode == 0
    shown = run("export", converted, back, "--plan", plan, "--like", WEIGHTS)
    assert shown.returncode == 0, shown.stderr
    with ms.open_checkpoint(WEIGHTS) as before, ms.open_checkpoint(back) as after:
        assert after.format == "torch-zip"
        assert {name: after[name].read().tobytes() for name in after} == {
            name: before[name].read().tobytes() for name in before
        }
    alone = run("export", converted, back, "--plan", plan)
    assert alone.returncode == 0
    assert "not written" in alone.stderr
    assert "num_batches_tracked" in alone.stderr
    assert run("export", converted, back).returncode == 2
    assert run("export", converted, back, "--plan", plan, "--select", "model").returncode == 2
    lost = run("export", converted, plan, "--plan", plan)
    assert lost.returncode == 2
    assert ms.Plan.load(plan)


PORT = f"""
import sys
sys.path.insert(0, {str(DIGITS)!r})
import numpy as np
from flax import nnx
from port import Net

def make():
    return Net(rngs=nnx.Rngs(0))

def wrong():
    model = make()
    model.features.layers[0].layers[1].epsilon = 1e-2
    return model

def batch():
    return np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype("f4")
"""


def test_verify_runs_both_models_and_names_the_first_layer_that_differs(tmp_path):
    (tmp_path / "ports.py").write_text(PORT)
    there = ("--source", LAYERS, "--checkpoint", WEIGHTS, "--inputs", f"{tmp_path}/ports.py:batch")
    good = run("verify", *there, "--target-model", f"{tmp_path}/ports.py:make", "--load")
    assert good.returncode == 0, good.stderr
    assert "the outputs agree" in good.stdout
    bad = run("verify", *there, "--target-model", f"{tmp_path}/ports.py:wrong", "--load", "--json")
    assert bad.returncode == 1, bad.stderr
    assert json.loads(bad.stdout)["first"]["layer"]["source"] == "features.0.1"
    make = f"{tmp_path}/ports.py:make"
    plan = run("plan", WEIGHTS, "--to", "nnx", "--like", make, "-o", tmp_path / "p.json")
    assert plan.returncode == 1
    target = ("--target-model", make)
    out = tmp_path / "settled.json"
    settled = run("verify", *there, *target, "--plan", tmp_path / "p.json", "--settle", "-o", out)
    assert settled.returncode == 0, settled.stderr
    assert "settled: fc1.weight" in settled.stderr
    assert "the next best" in settled.stderr
    moves = json.loads(out.read_text())["moves"]
    assert "settled" in {move["origin"] for move in moves}
    unknown = run("verify", *there, "--target-model", f"{tmp_path}/ports.py:nothing")
    assert unknown.returncode == 2
    assert "--target-model" in unknown.stderr


def test_a_plan_as_a_page_and_against_a_saved_one(tmp_path):
    plan = ("plan", WEIGHTS, "--to", "nnx")
    first = run(*plan, "--layers", LAYERS, "-o", tmp_path / "plan.json", "--html", tmp_path / "plan.html")
    assert first.returncode == 0, first.stderr
    page = (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert '"features.0.0.weight"' in page
    assert "self.fc1 = nn.Linear(" in page, "the line that decided"
    without = run(*plan, "--values")
    assert (without.returncode, "--html" in without.stderr) == (2, True)
    same = run(*plan, "--layers", LAYERS, "--diff", tmp_path / "plan.json")
    assert (same.returncode, same.stdout) == (0, "")
    other = run(*plan, "--diff", tmp_path / "plan.json")
    assert other.returncode == 1
    assert "fc1.weight\n  -  moved: linear" in other.stdout


def test_every_format_that_is_written_can_be_asked_for():
    (option,) = [one for one in convert.params if one.name == "form"]
    assert list(option.type.choices) == list(WRITERS)
