"""What people pass by mistake in Python is named as what it is, with what to pass instead."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.cli.records import facts_of
from ml_switcheroo.rule_lines import rules_given
from ml_switcheroo.tensors import dtype_named


class Port(nnx.Module):
    def __init__(self):
        self.fc = nnx.Linear(3, 2, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.fc(x)


def net():
    return torch.nn.ModuleDict({"fc": torch.nn.Linear(3, 2)})


def make():
    return Port()


STATE = {"fc.weight": np.ones((2, 3), "f4"), "fc.bias": np.ones(2, "f4")}
LINEAR = {"fc": "linear"}


def plan(**options):
    return ms.make_plan(STATE, **{"to": "nnx", "layers": LINEAR, **options})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: plan(to=None), "unknown target None"),
        (lambda: plan(to=nnx), "unknown target <module"),
        (lambda: plan(layers=torch.nn.Linear), r"layers= is the class Linear \(make one of it\)"),
        (lambda: plan(layers=3), "layers= is an int"),
        (lambda: plan(like=Port), r"the class Port \(make one of it\)"),
        (lambda: plan(like=make), r"the function make \(call it\)"),
        (lambda: plan(like=net()), "is a ModuleDict, not an array"),
        (lambda: plan(dtype=np.str_), "unknown dtype 'str'"),
        (lambda: plan(rules=[("fc", "linear")]), r"rules=: a tuple is no rule; write for example Kind\("),
        (lambda: ms.Kind(3, "linear"), "Kind: pattern= is an int, not a text"),
        (lambda: ms.Rename("a", None), "Rename: target= is None, not a text"),
        (lambda: ms.Drop(["a"]), "Drop: pattern= is a list, not a text"),
        (lambda: ms.Move(3, "a"), "Move: sources= is an int; expected a name"),
        (lambda: ms.Move("a", ["b", 3]), "Move: leaves= is a list; expected a name"),
        (lambda: ms.open_checkpoint(""), "an empty path is no checkpoint"),
        (lambda: plan(rules=["fc"]), "not a rule: fc"),
        (lambda: ms.load_into("weights.pt", Port()), "takes the model first, and then the checkpoint"),
        (
            lambda: ms.load_into(net(), STATE),
            "a ModuleDict is not a model of a known target .*; load_state_dict",
        ),
        (lambda: ms.load_into(Port, STATE), r"the class Port \(make one of it\) is not a model"),
        (
            lambda: ms.load_into(Port(), STATE, to="keras", layers=LINEAR),
            "one of nnx, not of keras: leave out to=",
        ),
        (lambda: ms.to_torch(Port(), like=STATE, to="mlx"), "one of nnx, not of mlx"),
        (lambda: ms.to_torch(Port(), like=None), "None is no checkpoint"),
        (lambda: ms.to_torch(net(), like=STATE), "a ModuleDict shows no target; say to="),
        (lambda: ms.verify(source_model="m.py:Net", target_model=Port(), inputs=1), "source_model= is a str"),
        (
            lambda: ms.verify(source_model=net(), target_model=net(), inputs=1),
            "target_model= is a ModuleDict",
        ),
        (lambda: ms.open_checkpoint(None), "the path of a file or folder, not None"),
        (lambda: ms.convert(STATE, "out", to="nnx", max_shard_bytes="5GB"), "a number of bytes, such as"),
        (lambda: ms.rewrite("infer.py"), r"the text of a file, or its path: Path\('infer.py'\)"),
        (lambda: plan().apply("weights.pt"), "open checkpoint"),
    ],
)
def test_what_is_no_argument_is_named(wrong, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ms.UsageError, match=said):
        wrong()
    assert list(tmp_path.iterdir()) == []


def test_a_run_needs_something_to_run_on():
    with pytest.raises(ms.UsageError, match="inputs= is None"):
        ms.verify(
            ms.make_plan(STATE, to="nnx", layers=LINEAR), source_model=net(), target_model=Port(), inputs=None
        )


def test_rules_come_as_people_have_them(tmp_path):
    rule, line = ms.Kind("fc", "linear"), 'Kind("fc", "linear")'
    (tmp_path / "rules.toml").write_text(f"rules = ['{line}']\n", encoding="utf-8")
    for given in (
        rule,
        [rule],
        (rule,),
        [line],
        iter([line]),
        tmp_path / "rules.toml",
        str(tmp_path / "rules.toml"),
    ):
        assert rules_given(given) == (rule,)
    assert plan(layers=None, rules=rule).outputs == plan().outputs


def test_a_dtype_comes_as_any_framework_has_it():
    import jax.numpy as jnp
    import ml_dtypes

    mine = np.dtype(ml_dtypes.bfloat16)
    for dtype in ("bfloat16", torch.bfloat16, jnp.bfloat16, ml_dtypes.bfloat16, mine):
        assert dtype_named(dtype) == "bfloat16"
        assert {spec.dtype for spec in plan(dtype=dtype).outputs.values()} == {"bfloat16"}


def test_a_name_that_is_not_there_is_asked_for(tmp_path):
    np.savez(tmp_path / "w.npz", **STATE)
    with ms.open_checkpoint(tmp_path / "w.npz") as state:
        for name, known, what in (("fc.weigth", state, "tensor"), ("fc.kernle", plan().apply(state), "leaf")):
            with pytest.raises(KeyError) as failed:
                known[name]
            error = failed.value
            assert isinstance(error, ms.UnknownName)
            assert str(error).startswith(f"no {what} is called '{name}' (did you mean 'fc.")
            assert error.known == tuple(known)
            assert json.loads(json.dumps(facts_of(error)))["name"] == name
            assert known.get(name) is None
            assert name not in known


def test_a_file_that_is_rewritten_is_named_by_its_path(tmp_path):
    file = tmp_path / "infer.py"
    file.write_text("import torch\nmodel.load_state_dict(torch.load('w.pt'))\n", encoding="utf-8")
    before = file.read_bytes()
    done = ms.rewrite(file, to="nnx")
    assert done.code == ms.rewrite(before.decode(), to="nnx", file=file).code
    assert "KeyMapper.load_into(model" in done.code
    assert file.read_bytes() == before
    with pytest.raises(ms.SourceError, match="no such file"):
        ms.rewrite(tmp_path / "absent.py", to="nnx")


def test_what_is_no_text_is_said_to_be_none(tmp_path):
    binary = tmp_path / "w.pt"
    binary.write_bytes(b"\xff\xfe")
    for read in (ms.Plan.load, ms.load_rules, lambda path: plan(like=path)):
        with pytest.raises(ms.UsageError, match="no text: its byte 0 is not UTF-8"):
            read(binary)


def test_a_folder_to_write_to_that_is_not_there_says_how_to_make_it(tmp_path):
    out = tmp_path / "new"
    for write in (
        lambda: plan().save(out / "plan.json"),
        lambda: ms.convert(STATE, out / "o.npz", to="nnx", layers=LINEAR),
        lambda: ms.convert(STATE, out / "folder", to="nnx", layers=LINEAR),
    ):
        with pytest.raises(ms.CheckpointError, match=f"no such folder as {out}\nMake it: mkdir -p {out}"):
            write()
    assert not Path(out).exists()
