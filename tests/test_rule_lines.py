"""What a report prints can be pasted into Python and into a rules file, and then settles its ambiguity."""

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.errors import RuleError
from ml_switcheroo.ops import Axes, Concat
from ml_switcheroo.rule_lines import load_rules, parse_rules, written


def arrays(**shapes):
    return {name.replace("__", "."): np.zeros(shape, "f4") for name, shape in shapes.items()}


MATRIX = arrays(a__mid__weight=(4, 4))
BLOCKS = {f"h.{i}.foo.weight": np.zeros((4, 4), "f4") for i in range(3)}
CASES = {
    "a Flatten": (
        arrays(conv__weight=(6, 2, 3, 3), conv__bias=(6,), fc1__weight=(7, 24), fc1__bias=(7,)),
        {"to": "nnx"},
    ),
    "unknown": (arrays(m__odd__weight=(3, 5)), {"to": "nnx"}),
    "a layout": (
        MATRIX,
        {"to": "linen", "layers": {"a.mid": "linear"}, "like": {"a": {"mid": {"m": (4, 4)}}}},
    ),
    "layouts of blocks": (
        BLOCKS,
        {
            "to": "linen",
            "layers": {f"h.{i}.foo": "linear" for i in range(3)},
            "like": {f"h_{i}": {"foo": {"m": (4, 4)}} for i in range(3)},
        },
    ),
    "rivals": (
        arrays(x__foo__weight=(3, 5), x__bar__weight=(3, 5)),
        {"to": "linen", "like": {"x": {"foo_bar": {"kernel": (5, 3)}, "bar_foo": {"kernel": (5, 3)}}}},
    ),
    "an embedding or a linear": (arrays(tok__weight=(4, 4)), {"to": "nnx"}),
    "the parts of a fused tensor": (
        {
            f"h.{i}.attn.{name}.weight": np.zeros(shape, "f4")
            for i in range(2)
            for name, shape in (("query_key_value", (12, 4)), ("o", (4, 4)))
        },
        {
            "to": "linen",
            "like": {f"h_{i}": {"attn": {part: {"kernel": (4, 4)} for part in "qkvo"}} for i in range(2)},
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_rule_that_is_printed_settles_its_ambiguity(case, tmp_path):
    state, options = CASES[case]
    plan = ms.make_plan(state, **options)
    assert plan.ambiguous, str(plan)
    for entry in plan.ambiguous:
        assert len(entry.candidates) == len(entry.rules)
        for line in entry.rules:
            rules = eval(f"[{line}\n]", vars(ms) | {name: getattr(ms, name) for name in ms.__all__})
            assert tuple(rules) == parse_rules(line)
            file = tmp_path / "rules.toml"
            file.write_text(f"rules = [\n  {chr(39)}{line}{chr(39)},\n]\n")
            assert load_rules(file) == parse_rules(line)
            for given in (rules, file):
                after = ms.make_plan(state, **options, rules=given)
                left = {name for doubt in after.ambiguous for name in doubt.names}
                assert left.isdisjoint(entry.names), f"{line}\n{after}"


def test_the_lines_of_folded_layers_work_as_they_are_printed(tmp_path):
    state = {f"h.{i}.tok.weight": np.zeros((7, 24), "f4") for i in range(3)}
    plan = ms.make_plan(state, to="nnx")
    line = next(text for text in str(plan).splitlines() if "embedding" in text)
    line = line[line.index("Kind(") :]
    assert line == 'Kind("h.{i}.tok", "embedding")'
    file = tmp_path / "rules.toml"
    file.write_text(f"rules = ['{line}']")
    ms.make_plan(state, to="nnx", rules=file).check()


def test_moves_are_written_with_their_operations():
    move = ms.Move(("q", "k"), "qk", (Concat(0), Axes("(h d) in -> h d in", (("d", 2),))))
    assert parse_rules(written(move)) == (move,)
    assert parse_rules(written(ms.Move("a", "b"))) == (ms.Move("a", "b"),)
    every = (ms.Drop("a*", "why"), ms.Keep("b"), ms.Kind("c", "mha", args={"num_heads": 2}))
    assert parse_rules(written(every)) == every


@pytest.mark.parametrize(
    "line",
    ["", "print(1)", 'Rename("a")', 'Rename("a", open("b"))', "a b", "[", '"Drop"'],
)
def test_what_is_no_rule_is_refused_and_not_run(line):
    with pytest.raises((RuleError, ms.errors.UsageError)):
        parse_rules(line)


def test_a_move_with_braces_is_one_for_each_layer():
    state = arrays(h__0__w=(2, 3), h__1__w=(2, 3))
    like = {"b": [{"k": (3, 2)}, {"k": (3, 2)}]}
    plan = ms.make_plan(state, to="nnx", like=like, rules=[ms.Move("h.{i}.w", "b.{i}.k", "out in -> in out")])
    plan.check()
    assert [move.leaves for move in plan.moves] == [("b.0.k",), ("b.1.k",)]
    with pytest.raises(RuleError, match="match nothing"):
        ms.make_plan(state, to="nnx", like=like, rules=[ms.Move("g.{i}.w", "b.{i}.k")])
