import pytest

from ml_switcheroo.errors import RuleError
from ml_switcheroo.moves import Move
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
        ("[[renam]]\nsource = 'a'", r"\[renam\] is no rule; known: \[\[rename\]\]"),
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
