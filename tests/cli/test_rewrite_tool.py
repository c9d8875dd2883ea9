"""``rewrite`` among other tools: streams, settings, choices of notes, formats, processes."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_switcheroo.cli import cli
from ml_switcheroo.errors import UsageError

LOAD = "import torch\nnet.load_state_dict(torch.load('w.pt'))\n"
LOADED = "KeyMapper.load_into(net, torch.load('w.pt'))\n"
MIXED = (
    "import torch\nnet = net.load_state_dict(torch.load(q))\noptimizer.load_state_dict(sd)\n"
    "torch.save(net.state_dict(), p)\nscheduler.load_state_dict(sd)\n"
)


def run(*arguments, cwd=None, given=None, python=("-m", "ml_switcheroo")):
    command = [sys.executable, *python, *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, cwd=cwd, check=False)


def call(*arguments, given=None):
    """Run the command in this process: exit code, stdout, stderr."""
    shown = CliRunner().invoke(cli, ["rewrite", *map(str, arguments)], input=given)
    if shown.exception and not isinstance(shown.exception, SystemExit):
        raise shown.exception
    return shown.exit_code, shown.stdout, shown.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, content=LOAD):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    write.root = tmp_path
    return write


IMPORT = ("--to", "nnx", "--runtime", "import")


# ---- streams ------------------------------------------------------------------------------------


def test_stdin_goes_to_stdout(folder):
    code, out, err = call("-", *IMPORT, given=LOAD)
    assert code == 0
    assert out == f"import torch\nfrom ml_switcheroo.runtime import KeyMapper\n{LOADED}"
    assert "1 call to rewrite" in err
    assert call("-", *IMPORT, given=out)[1] == out
    assert call("-", *IMPORT, given="x = 1\n")[1] == "x = 1\n"


def test_bytes_of_stdin_stay_as_they_are(folder):
    before = "# -*- coding: latin-1 -*-\r\nimport torch\r\ns = 'é'\r\nnet.load_state_dict(sd)\r\n".encode(
        "latin-1"
    )
    shown = run("rewrite", "-", *IMPORT, given=before, cwd=folder.root)
    assert shown.returncode == 0
    assert shown.stdout.startswith(b"# -*- coding: latin-1 -*-\r\nimport torch\r\n")
    assert shown.stdout.endswith(b"\r\ns = '\xe9'\r\nKeyMapper.load_into(net, sd)\r\n")


def test_stdin_has_a_diff_a_check_and_a_name(folder):
    folder("pkg/nets.py", "import torch\nclass Net(torch.nn.Module): ...\n")
    assert call("-", *IMPORT, "--diff", given=LOAD)[1].startswith("--- a/stdin.py\n+++ b/stdin.py\n")
    assert call("-", *IMPORT, "--check", given=LOAD)[:2] == (1, "would change stdin.py\n")
    source = "from nets import Net\nx = Net()\nx.load_state_dict(sd)\n"
    for name, known in (("pkg/run.py", True), ("run.py", False)):
        out = call("-", "--to", "linen", "--runtime", "import", "--stdin-filename", name, given=source)[1]
        assert ("x = KeyMapper.load_into(x, sd)" in out) == known
    notebook = json.dumps({"cells": [{"cell_type": "code", "source": "net.load_state_dict(sd)"}]})
    out = call("-", *IMPORT, "--stdin-filename", "a.ipynb", given=notebook)[1]
    assert "KeyMapper.load_into(net, sd)" in json.loads(out)["cells"][0]["source"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(("-", "."), "takes no other paths"), (("-", "--write"), "has no file to write")],
)
def test_stdin_by_itself(folder, arguments, why):
    code, out, err = call(*arguments, "--to", "nnx", given=LOAD)
    assert (code, out) == (2, "")
    assert why in err


def test_stdin_that_is_no_python_prints_nothing(folder):
    code, out, err = call("-", *IMPORT, given="print 'load_state_dict'\n")
    assert (code, out) == (2, "")
    assert "stdin.py:1: left as it is: this is no Python" in err


# ---- which files --------------------------------------------------------------------------------

EXCLUDES = {
    "a name": (["tests"], ["a.py", "docs/conf.py", "pkg/b.py"]),
    "a name with a star": (["*conf*"], ["a.py", "pkg/b.py", "pkg/tests/d.py", "tests/c.py"]),
    "a path": (["pkg/tests"], ["a.py", "docs/conf.py", "pkg/b.py", "tests/c.py"]),
    "a path with a star": (["pkg/*.py"], ["a.py", "docs/conf.py", "tests/c.py"]),
    "a folder's slash": (["tests/"], ["a.py", "docs/conf.py", "pkg/b.py"]),
    "several": (["tests", "docs"], ["a.py", "pkg/b.py"]),
    "a file that is named": (["a.py"], ["docs/conf.py", "pkg/b.py", "pkg/tests/d.py", "tests/c.py"]),
}


@pytest.mark.parametrize("name", EXCLUDES)
@pytest.mark.parametrize("named", [False, True])
def test_exclude_leaves_files_out(folder, name, named):
    patterns, expected = EXCLUDES[name]
    files = [folder(file) for file in ("a.py", "docs/conf.py", "pkg/b.py", "pkg/tests/d.py", "tests/c.py")]
    options = [word for pattern in patterns for word in ("--exclude", pattern)]
    found = call(*(files if named else ["."]), *IMPORT, "--check", *options)[1]
    assert sorted(found.replace(f"{folder.root}/", "").replace("would change ", "").split()) == expected


def test_what_is_left_out_by_default(folder):
    for name in (".tox/a.py", "build/a.py", "dist/a.py", "node_modules/a.py", "env/lib/a.py", "ok/a.py"):
        folder(name)
    folder("env/pyvenv.cfg", "")
    assert call(".", *IMPORT, "--check")[1] == "would change ok/a.py\n"


def test_several_processes_give_the_same_in_the_same_order(folder):
    for number in range(40):
        folder(f"pkg{number % 3}/m{number}.py", MIXED if number % 2 else LOAD)
    alone = run("rewrite", ".", *IMPORT, "--json", cwd=folder.root)
    shared = run("rewrite", ".", *IMPORT, "--json", "--jobs", "2", cwd=folder.root)
    assert json.loads(alone.stdout)["files"]
    assert (alone.returncode, alone.stdout) == (shared.returncode, shared.stdout)
    assert run("rewrite", ".", *IMPORT, "--write", "--jobs", "2", cwd=folder.root).returncode == 0
    assert run("rewrite", ".", *IMPORT, "--check", "--jobs", "0", cwd=folder.root).returncode == 0


# ---- what a project sets ------------------------------------------------------------------------


def test_a_project_sets_options_and_the_command_line_goes_before_it(folder):
    folder("pyproject.toml", '[tool.ml-switcheroo]\nto = "linen"\nruntime = "import"\nexclude = ["b.py"]\n')
    folder("src/pyproject.toml", "[project]\nname = 'x'\n")
    folder("src/a.py")
    folder("src/b.py")
    code, out, _ = call("src", "--diff")
    assert code == 0
    assert "+net = KeyMapper.load_into(net, torch.load('w.pt'))" in out
    assert "b.py" not in out
    assert "+KeyMapper.load_into(net, torch.load('w.pt'))" in call("src/a.py", "--to", "nnx")[1]
    assert "b/src/b.py" in call("src", "--exclude", "other.py")[1]


@pytest.mark.parametrize(
    ("key", "argument"),
    [
        ("save = true", "--save"),
        ("no-torch = true", "--no-torch"),
        ('select = ["SW2"]', "--select=SW2"),
        ('ignore = ["SW2", "SW4"]', "--ignore=SW2,SW4"),
        ("exit-on-left = true", "--exit-on-left"),
        ('output-format = "github"', "--output-format=github"),
        ("jobs = 1", "--jobs=1"),
    ],
)
def test_a_setting_is_the_option_of_its_name(folder, key, argument):
    folder("a.py", MIXED)
    expected = call("a.py", *IMPORT, argument)
    assert argument == "--jobs=1" or expected != call("a.py", *IMPORT)
    folder("pyproject.toml", f"[tool.ml-switcheroo]\n{key}\n")
    assert call("a.py", *IMPORT) == expected


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[tool.ml-switcheroo]\ntarget = 'nnx'\n", r"has no key 'target'; keys: exclude, .*, to"),
        ("[tool.ml-switcheroo]\nwrite = true\n", "has no key 'write'"),
        ("[tool.ml-switcheroo]\nexclude = 'tests'\n", "exclude takes a list of strings, not 'tests'"),
        ("[tool.ml-switcheroo]\nsave = 'yes'\n", "save takes true or false, not 'yes'"),
        ("[tool.ml-switcheroo]\njobs = true\n", "jobs takes a number, not True"),
        ("[tool.ml-switcheroo]\njobs = -1\n", "jobs: -1 is not in the range"),
        ("[tool.ml-switcheroo]\nto = 3\n", "to takes a string, not 3"),
        ("[tool.ml-switcheroo]\nruntime = 'magic'\n", "runtime: 'magic' is none of"),
        ("[tool]\nml-switcheroo = 3\n", "is no table"),
        ("[tool\n", "pyproject.toml cannot be read"),
    ],
)
def test_a_wrong_setting_is_an_error(folder, content, why):
    folder("a.py")
    folder("pyproject.toml", content)
    with pytest.raises(UsageError, match=why) as error:
        call("a.py", "--to", "nnx")
    assert error.value.exit_code == 2


def test_a_target_must_come_from_somewhere(folder):
    folder("a.py")
    code, _, err = call("a.py")
    assert code == 2
    assert "Missing option '--to'" in err


# ---- skip ---------------------------------------------------------------------------------------

SKIPPED = {
    "a line": ("net.load_state_dict(a)  # ml-switcheroo: skip\nnet.load_state_dict(b)\n", 1),
    "with a reason": ("net.load_state_dict(a)  # ml-switcheroo: skip, torch only\n", 0),
    "the last of several lines": ("net.load_state_dict(\n    a,\n)  # ml-switcheroo: skip\n", 0),
    "the first of several lines": ("net.load_state_dict(  # ml-switcheroo: skip\n    a,\n)\n", 0),
    "a note": ("optimizer.load_state_dict(a)  # ml-switcheroo: skip\n", 0),
    "a header": ("if net.load_state_dict(a):  # ml-switcheroo: skip\n    net.load_state_dict(b)\n", 1),
    "a save": ("torch.save(net.state_dict(), p)  # ml-switcheroo: skip\n", 0),
    "the file": ("# ml-switcheroo: skip\nnet.load_state_dict(a)\n", 0),
    "the file, below its docstring": ('"""Doc."""\n\n# ml-switcheroo: skip\nnet.load_state_dict(a)\n', 0),
    "too late for the file": ("x = 1\n# ml-switcheroo: skip\nnet.load_state_dict(a)\n", 1),
    "in a string": ("s = '# ml-switcheroo: skip'; net.load_state_dict(a)\n", 1),
    "another word": ("net.load_state_dict(a)  # ml-switcheroo: skipped\n", 1),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_a_comment_keeps_a_line_or_a_file(folder, name):
    content, edits = SKIPPED[name]
    folder("a.py", content)
    record = json.loads(call("a.py", *IMPORT, "--json", "--save")[1])
    assert [len(file["edits"]) for file in record["files"]] == [edits] * bool(edits)
    assert all(not file["notes"] for file in record["files"])


# ---- notes --------------------------------------------------------------------------------------


def codes(*arguments):
    record = json.loads(call("a.py", *IMPORT, "--json", *arguments)[1])
    return [note["code"] for file in record["files"] for note in file["notes"]]


def test_notes_are_chosen_by_the_beginning_of_their_code(folder):
    folder("a.py", MIXED)
    assert codes() == ["SW302", "SW401", "SW201", "SW401"]
    assert codes("--select", "SW4") == ["SW401", "SW401"]
    assert codes("--select", "SW2,SW3") == ["SW302", "SW201"]
    assert codes("--ignore", "SW4", "--ignore", "SW302") == ["SW201"]
    assert codes("--select", "SW401", "--ignore", "SW4") == ["SW401", "SW401"]
    assert codes("--select", "SW4", "--ignore", "SW401") == []
    with pytest.raises(UsageError, match="no note has a code that begins with 'E5'"):
        codes("--select", "E5")


def test_a_person_sees_the_worst_first_and_the_rest_counted(folder):
    folder("a.py", MIXED + "class A(torch.nn.Module):\n    def set_extra_state(self, s): ...\n"
           "a = A()\na.load_state_dict(sd)\n")  # fmt: skip
    err = call("a.py", "--to", "nnx", "--runtime", "import")[2]
    shown = re.findall(r"^a\.py:\d+: .*\[(\w+)\]$", err, re.MULTILINE)
    assert shown == ["SW305", "SW201", "SW501", "SW302"]
    lines = [line.split()[:-1] for line in err.splitlines() if line.startswith("  ")]
    assert [line[:2] for line in lines] == [
        ["may", "differ"],
        ["by", "hand"],
        ["by", "hand"],
        ["done", "SW302"],
        ["none", "SW401"],
    ]
    assert "SW401    2  an optimizer, a scheduler and the like (--select SW401 lists them)" in err
    assert "a.py:5: " in call("a.py", *IMPORT, "--select", "SW")[2]


@pytest.mark.parametrize(
    ("content", "arguments", "code"),
    [
        ("torch.save(net.state_dict(), p)\n", (), 0),
        ("torch.save(net.state_dict(), p)\n", ("--exit-on-left",), 1),
        ("torch.save(net.state_dict(), p)\n", ("--exit-on-left", "--ignore", "SW2"), 0),
        ("torch.save(net.state_dict(), p)\n", ("--exit-on-left", "--save"), 0),
        ("optimizer.load_state_dict(sd)\n", ("--exit-on-left",), 0),
        (LOAD, ("--exit-on-left",), 0),
        (LOAD, ("--exit-on-left", "--check"), 1),
        ("print 'load_state_dict'\n", ("--exit-on-left",), 2),
    ],
)
@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_exit_codes(folder, content, arguments, code, form):
    folder("a.py", content)
    assert call("a.py", *IMPORT, *arguments, "--output-format", form)[0] == code


# ---- formats ------------------------------------------------------------------------------------


def test_github_gets_an_annotation_a_place(folder):
    folder("a,b.py", MIXED + "net.load_state_dict(\n    sd\n)\n")
    code, out, err = call("a,b.py", *IMPORT, "--output-format", "github", "--check")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    title = "title=SW401 an optimizer%2C a scheduler and the like"
    assert lines[2].startswith(f"::notice file=a%2Cb.py,line=3,{title}::left as it is: optimizer is")
    assert lines[3].startswith("::warning file=a%2Cb.py,line=4,title=SW201 a state dict that is saved::left")
    after = "net.load_state_dict(%0A    sd%0A) becomes KeyMapper.load_into(%0A    net, sd%0A)"
    assert lines[5] == f"::warning file=a%2Cb.py,line=6,title=SW000 a call that is rewritten::{after}"


def test_sarif_has_rules_and_results(folder):
    folder("a b.py", MIXED)
    folder("n.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": "net.load_state_dict(sd)"}]}))
    code, out, err = call(".", *IMPORT, "--output-format", "sarif")
    assert (code, err) == (0, "")
    log = json.loads(out)
    assert log["version"] == "2.1.0"
    (result,) = log["runs"]
    driver = result["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == ["SW000", "SW201", "SW302", "SW401"]
    for one in result["results"]:
        assert driver["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
        assert one["level"] in ("warning", "note")
    places = [one["locations"][0]["physicalLocation"] for one in result["results"]]
    assert places[0] == {"artifactLocation": {"uri": "a%20b.py"}, "region": {"startLine": 2}}
    assert places[-1] == {"artifactLocation": {"uri": "n.ipynb"}}
    assert run("rewrite", folder.root / "a b.py", *IMPORT, "--output-format", "sarif").stdout.count(
        b"file:///"
    )


# ---- pre-commit ---------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]


def test_the_hooks_of_pre_commit_run(folder):
    text = (ROOT / ".pre-commit-hooks.yaml").read_text()
    entries = re.findall(r"^  entry: (.*)$", text, re.MULTILINE)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert len(entries) == text.count("- id:") == 2
    folder("pyproject.toml", '[tool.ml-switcheroo]\nto = "nnx"\nruntime = "import"\nexclude = ["c.py"]\n')
    for name in ("a.py", "b.py", "c.py"):
        folder(name)
    codes = []
    for entry in reversed(entries):
        program, *arguments = entry.split()
        assert program in scripts
        codes.append(run(*arguments, "a.py", "b.py", "c.py", cwd=folder.root).returncode)
    assert codes == [1, 0]
    assert [LOADED in (folder.root / f"{name}.py").read_text() for name in "abc"] == [True, True, False]


@pytest.mark.parametrize("verb", [(), ("rewrite",)])
def test_help_fits_a_narrow_terminal(verb):
    shown = CliRunner().invoke(cli, [*verb, "--help"], terminal_width=80).output
    assert "\\b" not in shown
    assert max(map(len, shown.splitlines())) <= 80
