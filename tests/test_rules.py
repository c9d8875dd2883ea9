import numpy as np
import pytest

from ml_switcheroo.errors import RuleError, UsageError
from ml_switcheroo.moves import Move
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.rule_lines import load_rules
from ml_switcheroo.rules import Drop, Keep, Kind, Rename, match, renamed


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [
        ("layers.{i}.fc", "layers.12.fc", {"i": "12"}),
        ("layers.{i}.fc", "layers.x.fc", None),
        ("layers.{i}.fc", "layers.1.fc.weight", None),
        ("{p}_proj", "q_proj", {"p": "q"}),
        ("{p}_proj", "a.q_proj", None),
        ("*.tok", "a.b.tok", {}),
        ("*.tok", "tok", None),
        ("{i}.{i}", "3.3", {"i": "3"}),
        ("{i}.{i}", "3.4", None),
        ("a+b", "a+b", {}),
        ("a.b", "axb", None),
    ],
)
def test_braces_match_whole_segments(pattern, name, found):
    assert match(pattern, name) == found


@pytest.mark.parametrize(
    ("source", "target", "name", "new"),
    [
        (
            "model.layers.{i}.self_attn.{p}_proj",
            "layers.{i}.attn.{p}",
            "model.layers.3.self_attn.q_proj",
            "layers.3.attn.q",
        ),
        ("model", "", "model.layers.0", "layers.0"),
        ("encoder", "enc", "encoder.layers.0.norm", "enc.layers.0.norm"),
        ("encoder", "enc", "encoders.0", None),
        ("h.{i}", "blocks.{i}.{i}", "h.4.fc", "blocks.4.4.fc"),
    ],
)
def test_rename_takes_everything_below_along(source, target, name, new):
    assert Rename(source, target).apply(name) == new


def test_a_brace_on_the_right_only_is_an_error():
    with pytest.raises(RuleError, match="stands on the right only"):
        Rename("layers.{i}", "layers.{j}")


def test_contradicting_renames_are_an_error():
    with pytest.raises(RuleError, match="contradict each other on a"):
        renamed("a", [Rename("a", "b"), Rename("{p}", "c")])


def test_agreeing_renames_are_none():
    assert renamed("a.x", [Rename("a", "b"), Rename("{p}.x", "b.x")]) == "b.x"


def test_rules_from_a_file(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text(
        """
        [[rename]]
        source = "model.layers.{i}"
        target = "layers.{i}"

        [[kind]]
        pattern = "*.tok"
        kind = "embedding"

        [[drop]]
        pattern = "*.inv_freq"
        why = "computed anew"

        [[keep]]
        pattern = "rope"

        [[move]]
        sources = "a.weight"
        leaves = "b.kernel"
        ops = "out in -> in out"
        """
    )
    assert load_rules(file) == (
        Rename("model.layers.{i}", "layers.{i}"),
        Kind("*.tok", "embedding"),
        Drop("*.inv_freq", "computed anew"),
        Keep("rope"),
        Move("a.weight", "b.kernel", "out in -> in out"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[[renam]]\nsource = 'a'",
            r"\[renam\] is no rule \(did you mean 'rename'\?\); known: \[\[rename\]\]",
        ),
        ("[rename]\nsource = 'a'", "is no rule"),
        ("[[rename]]\nsorce = 'a'", "its keys are source, target"),
        ("[[rename]", "rules.toml"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path, text, message):
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(RuleError, match=message):
        load_rules(file)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(RuleError, match="absent"):
        load_rules(tmp_path / "absent.toml")


STATE = {
    "model.layers.0.q_proj.weight": np.ones((3, 3), "f4"),
    "model.layers.1.q_proj.weight": np.ones((3, 3), "f4"),
    "tok.weight": np.ones((4, 3), "f4"),
    "table": np.ones((3, 4), "f4"),
    "inv_freq": np.ones(3, "f4"),
}
RULES = (
    Rename("model.layers.{i}.{p}_proj", "layers.{i}.attn.{p}"),
    Kind("model.layers.{i}.{p}_proj", "Linear"),
    Kind("*tok", "embedding"),
    Drop("*inv_freq", "computed anew"),
    Move("table", "table", "here there -> there here"),
)
TOML = """
rules = ['Kind("*tok", "embedding")']
[[rename]]
source = "model.layers.{i}.{p}_proj"
target = "layers.{i}.attn.{p}"
[[kind]]
pattern = "model.layers.{i}.{p}_proj"
kind = "Linear"
[[drop]]
pattern = "*inv_freq"
why = "computed anew"
[[move]]
sources = "table"
leaves = "table"
ops = "here there -> there here"
"""


def test_a_file_does_what_the_rules_in_python_do(tmp_path):
    (tmp_path / "rules.toml").write_text(TOML)
    plan, other = (make_plan(STATE, to="jax", rules=rules) for rules in (RULES, tmp_path / "rules.toml"))
    plan.check()
    assert plan.to_json() == other.to_json()
    assert {path: spec.shape for path, spec in plan.outputs.items()} == {
        "layers_0.attn.q.kernel": (3, 3),
        "layers_1.attn.q.kernel": (3, 3),
        "tok.embedding": (4, 3),
        "table": (4, 3),
    }
    assert plan.dropped["inv_freq"].why == "computed anew"


@pytest.mark.parametrize(
    "rule",
    [
        Rename("encoder", "enc"),
        Kind("toks", "embedding"),
        Drop("*.freq"),
        Keep("rope"),
        Move("h.{i}.w", "t.{i}"),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_a_rule_that_matches_nothing_is_an_error_that_names_it(rule):
    with pytest.raises(RuleError, match=r"(?s)rules that match nothing:.*Correct or delete them") as failed:
        make_plan(STATE, to="jax", rules=[*RULES, rule])
    assert repr(rule) in str(failed.value)


@pytest.mark.parametrize("rule", [Kind("fc", "linear"), Rename("fc", "head")], ids=["Kind", "Rename"])
def test_a_rule_beside_a_move_that_takes_all_it_matches_is_unused(rule):
    state = {"fc.weight": np.zeros((2, 3), np.float32), "other.weight": np.zeros((2, 4), np.float32)}
    moves = [Move("fc.weight", "fc.matrix", "out in -> in out"), Kind("other", "linear")]
    with pytest.raises(RuleError, match="all that it matches is taken by a Move") as failed:
        make_plan(state, to="jax", rules=[*moves, rule])
    assert repr(rule) in str(failed.value)
    several = Kind("*", "linear")  # says something of the rest: the Move is an exception
    assert make_plan(state, to="jax", rules=[moves[0], several]).outputs.keys() == {
        "fc.matrix",
        "other.kernel",
    }


def test_a_move_of_a_tensor_that_is_not_there_is_an_error():
    with pytest.raises(UsageError, match=r"tables -> t .*: not in the checkpoint: tables"):
        make_plan(STATE, to="jax", rules=[*RULES, Move("tables", "t")])


def test_a_tensor_that_is_moved_and_dropped_is_an_error():
    with pytest.raises(RuleError, match=r"contradict each other on:\n  table: table -> .*; dropped: old"):
        make_plan(STATE, to="jax", rules=[*RULES, Drop("table", "old")])


def test_a_rule_that_spells_a_name_out_goes_before_one_with_a_star():
    names = {f"{path}.weight": np.zeros((3, 3), "f4") for path in ("a.tok", "a.fc", "b.fc")}
    rules = [
        Kind("*", "linear"),
        Kind("{x}.tok", "embedding"),
        Rename("a.*", "rest"),
        Rename("a.tok", "table"),
    ]
    plan = make_plan(
        names, to="jax", rules=[*rules[:2], Rename("*.fc", "x.fc"), Rename("b.fc", "y.fc"), rules[3]]
    )
    assert {move.sources[0]: (move.leaves[0], move.kind) for move in plan.moves} == {
        "a.tok.weight": ("table.embedding", "embedding"),
        "a.fc.weight": ("x.fc.kernel", "linear"),
        "b.fc.weight": ("y.fc.kernel", "linear"),
    }
    with pytest.raises(RuleError, match="contradict"):
        make_plan(names, to="jax", rules=[Kind("{x}.tok", "linear"), Kind("a.tok", "embedding")])


def test_a_rule_that_matches_nothing_asks_for_the_nearest():
    rules = [*RULES, Kind("tokk", "embedding"), Rename("hed", "top")]
    state = {"tok.weight": np.zeros((5, 4), np.float32), "head.weight": np.zeros((3, 4), np.float32)}
    with pytest.raises(RuleError) as failed:
        make_plan(state, to="jax", rules=rules[len(RULES) :])
    assert 'Kind("tokk", "embedding") (did you mean \'tok\'?)' in str(failed.value)
    assert 'Rename("hed", "top") (did you mean \'head\'?)' in str(failed.value)


@pytest.mark.parametrize(
    "rule",
    [
        Rename("a.{i}", "b_{i}"),
        Kind("fc", "linear"),
        Kind("fc", "linear", flatten="6*16 + 10", args={"bias": False, "of": ["x", 1]}),
        Drop('a"b\\'),
        Drop("a", why="it is old"),
        Keep("rope"),
        Move(("q", "k"), "qk", [{"op": "concat", "axis": 0}]),
        Move("w", "k", "out in -> in out"),
        Move("w", "k"),
    ],
    ids=repr,
)
def test_a_rule_shows_itself_as_the_line_that_makes_it(rule):
    from ml_switcheroo.rule_lines import parse_rules

    assert parse_rules(repr(rule)) == (rule,)
    assert "reason" not in repr(rule)
