"""``--json`` prints one object, also where something went wrong, and docs/json.md says what is in it."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from ml_switcheroo import errors
from ml_switcheroo.cli import cli
from ml_switcheroo.cli.boundary import run
from ml_switcheroo.cli.records import SCHEMA, facts_of

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")


def keys_of(section):
    """Return the keys that the page has for a verb."""
    body = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| (\w+) \|", body, re.MULTILINE)) - {"key"}


@pytest.fixture
def printed(monkeypatch, capsys, tmp_path):
    """Run a command with ``--json``; return its exit code and the one object that it prints."""
    monkeypatch.chdir(tmp_path)
    np.savez("w.npz", **{"fc.weight": np.zeros((3, 2), "f4"), "fc.bias": np.zeros(3, "f4")})
    Path("open.toml").write_text('[[rename]]\nsource = "nothing"\ntarget = "x"\n', encoding="utf-8")
    Path("kind.toml").write_text('[[kind]]\npattern = "fc"\nkind = "linear"\n', encoding="utf-8")
    Path("spec.json").write_text('{"fc.kernel": [2, 3], "fc.bias": [3], "head": [7]}', encoding="utf-8")
    Path("a.py").write_text("import torch\nmodel.load_state_dict(torch.load('w.pt'))\n", encoding="utf-8")
    Path("raises.py").write_text("def make():\n    return {}[1]\n", encoding="utf-8")

    def show(text, command=cli.main):
        monkeypatch.setattr(sys, "argv", ["ml-switcheroo", *text.split(), "--json"])
        try:
            code = run(command)
        except SystemExit as error:
            code = error.code
        out = capsys.readouterr().out
        record = json.loads(out)
        assert record.pop("schema") == SCHEMA
        return code, record

    return show


@pytest.mark.parametrize(
    "text",
    [
        "inspect w.npz",
        "plan w.npz --to nnx --rules kind.toml",
        "convert w.npz out.npz --to nnx --rules kind.toml",
        "rewrite a.py --to nnx",
        "targets",
        "layers --to nnx",
    ],
)
def test_a_result_has_the_keys_of_the_page(printed, text):
    code, record = printed(text)
    assert code == 0
    assert "error" not in record
    assert record.keys() <= keys_of(text.split()[0])
    assert keys_of(text.split()[0]) - record.keys() <= {"differences"}


def test_the_way_back_has_the_keys_of_the_page(printed):
    printed("convert w.npz out.safetensors --to nnx --rules kind.toml")
    code, record = printed("export out.safetensors back.npz --like w.npz --rules kind.toml")
    assert (code, record.keys()) == (0, keys_of("export"))


@pytest.mark.parametrize(
    ("text", "code", "name", "facts"),
    [
        ("inspect x.npz", 2, "CheckpointError", {"file": "x.npz", "where": "x.npz", "offset": None}),
        ("plan w.npz --to nxn", 2, "UnknownTarget", {"target": "nxn"}),
        ("plan w.npz --to nnx --rules open.toml", 2, "RuleError", {}),
        ("plan w.npz --too nnx", 2, "NoSuchOption", {"cure": "ml-switcheroo plan --help"}),
        ("paln w.npz --to nnx", 2, "UsageError", {"cure": "ml-switcheroo --help"}),
        (
            "plan w.npz --to nnx --like raises.py:make",
            2,
            "UserCodeError",
            {"error": "KeyError: 1", "line": "return {}[1]"},
        ),
        (
            "convert w.npz out.npz --to nnx --rules kind.toml --like spec.json",
            1,
            "PlanError",
            {"missing": ["head"]},
        ),
    ],
)
def test_what_went_wrong_is_an_object_with_its_facts(printed, text, code, name, facts):
    status, record = printed(text)
    assert (status, record.keys()) == (code, {"error"})
    error = record["error"]
    assert (error["class"], error["exit_code"]) == (name, code)
    assert error["message"]
    assert error.keys() >= keys_of("error")
    assert {key: error[key] for key in facts} == facts
    assert not Path("out.npz").exists()


def test_a_plan_that_is_not_complete_is_printed_with_why(printed):
    code, record = printed("plan w.npz --to nnx --rules kind.toml --like spec.json")
    assert code == 1
    assert record.keys() - {"error"} <= keys_of("plan")
    assert record["missing"].keys() == {"head"}
    assert record["error"]["missing"] == ["head"]
    assert any("head" in line for line in record["error"]["problems"])


@pytest.mark.parametrize("text", ["plan w.npz --to nnx", "convert w.npz out.npz --to nnx"])
def test_what_the_users_code_prints_is_no_part_of_the_object(printed, text):
    made = "{'fc.kernel': (2, 3), 'fc.bias': (3,)}"
    code = f"print('imported')\ndef make():\n    print('made')\n    return {made}\n"
    Path("noisy.py").write_text(code, encoding="utf-8")
    status, record = printed(f"{text} --like noisy.py:make --rules kind.toml")
    assert (status, "error" in record) == (0, False)


def test_an_interrupt_and_a_fault_of_ours_are_objects(printed, monkeypatch):
    def end(error):
        def command(**_):
            raise error

        return command

    assert printed("inspect w.npz", end(KeyboardInterrupt()))[1]["error"]["class"] == "Interrupted"
    monkeypatch.setattr("ml_switcheroo.graph.lines.is_users", lambda _: False)
    code, record = printed("inspect w.npz", end(KeyError("lost")))
    assert (code, record["error"]["class"], record["error"]["exit_code"]) == (70, "KeyError", 70)


MADE = [
    errors.UsageError("x", where="a.py", cure="y"),
    errors.AxesError("x"),
    errors.RuleError("x"),
    errors.UnknownTarget("nxn", ["nnx"]),
    errors.UnknownName("tensor", "a", {"b": 1}),
    errors.UserCodeError("--like", KeyError("a"), "a.py:1", "a = b['a']", "mend it"),
    errors.CheckpointError(Path("a"), "broken", offset=7, member="m"),
    errors.SourceError("a.py:1", "not Python"),
    errors.RewriteError("a.py:1", "not Python"),
    errors.PlanError("x\n  a\n  b", missing=["a"], full="x\n  a\n  b\n  c"),
    errors.CastError("x", {"a": "1 infinite"}),
    errors.LoadError("x", ["a is missing"]),
]


def test_every_error_of_ours_can_be_told_to_a_program():
    assert {type(error).__name__ for error in MADE} == {
        name for name in errors.__all__ if name[0].isupper()
    } - {"SwitcherooError"}
    for error in MADE:
        facts = facts_of(error)
        assert json.loads(json.dumps(facts)) == facts
        assert facts.keys() >= keys_of("error")


def test_the_version_on_the_page_is_that_of_the_code():
    assert f"**{SCHEMA}**" in PAGE
