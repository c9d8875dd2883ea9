"""The trace says what happened: who won, by how much, against whom, and what was ruled out by which stage."""

from ml_switcheroo.match.structure import Question, solve
from ml_switcheroo.match.trace import accounts
from ml_switcheroo.match.weights import WEIGHTS
from ml_switcheroo.targets import find_target
from ml_switcheroo.tensors import TensorSpec


def specs(shapes):
    return {path: TensorSpec(shape, "float32") for path, shape in shapes.items()}


def traced(tensors, leaves, **more):
    trace = []
    question = Question(specs(tensors), specs(leaves), find_target("linen"), **more)
    found = solve(Question(**{**vars(question), "trace": trace}))
    assert found == solve(question), "a trace must change nothing"
    (weighing,) = trace
    return found, weighing


def account(weighing, path):
    (one,) = accounts(weighing, path)
    return one


def taken(account):
    return {other.name: other.taken for other in account.considered}


def test_a_clear_winner_comes_first_with_its_margin():
    tensors = {"encoder.query.weight": (4, 6), "encoder.key.weight": (4, 6)}
    leaves = {"enc/q_proj/kernel": (6, 4), "enc/k_proj/kernel": (6, 4)}
    found, weighing = traced(tensors, leaves)
    one = account(weighing, "encoder.query.weight")
    assert taken(one) == {"enc/q_proj": True, "enc/k_proj": False}
    assert one.considered[0].stage == "assignment"
    assert one.margin >= one.needed
    assert not one.doubt
    assert ("encoder.query.weight",) in [move.sources for move in found.moves]


def test_the_terms_of_a_score_add_up_to_it():
    tensors = {"encoder.layer1.fc.weight": (4, 6), "encoder.head.weight": (4, 6)}
    leaves = {"encoder/layer1/dense/kernel": (6, 4), "encoder/head/kernel": (6, 4), "other/kernel": (6, 4)}
    _, weighing = traced(tensors, leaves)
    scored = [o for path in tensors for o in account(weighing, path).considered if o.score is not None]
    assert len(scored) > 2
    for one in scored:
        assert abs(sum(term for _, term in one.terms) - one.score) < 1e-9
    words = dict(account(weighing, "encoder.head.weight").considered[0].terms)
    assert words["words in both (encoder, head)"] > 0


def test_a_tie_is_in_doubt_and_names_its_rival():
    tensors = {"tower.proj.weight": (4, 6)}
    leaves = {"tower/left/proj/kernel": (6, 4), "tower/right/proj/kernel": (6, 4)}
    found, weighing = traced(tensors, leaves)
    one = account(weighing, "tower.proj.weight")
    assert not found.moves
    assert not any(other.taken for other in one.considered)
    assert one.considered[0].score == one.considered[1].score
    assert one.margin < one.needed == WEIGHTS.margin_of_strangers
    assert {one.rival, next(o.name for o in one.considered if o.why)} == {
        "tower/left/proj",
        "tower/right/proj",
    }
    assert one.doubt == "another pair is nearly as good"


def test_a_veto_says_by_which_stage_and_why():
    tensors = {"encoder.fc.weight": (4, 6)}
    leaves = {"decoder/fc/kernel": (6, 4), "encoder/mlp/kernel": (7, 4)}
    _, weighing = traced(tensors, leaves)
    why = {
        one.name: (one.stage, one.why, one.score) for one in account(weighing, "encoder.fc.weight").considered
    }
    assert why["decoder/fc"] == ("candidates", "a word contradicts it", None)
    assert why["encoder/mlp"] == ("candidates", "no layout gives its shape", None)
    kinds = {"kinds": {"encoder.mlp": "embedding"}, "classes": {"encoder.fc.weight": "Linear"}}
    _, weighing = traced(tensors, {"encoder/mlp/embedding": (4, 6)}, **kinds)
    (only,) = account(weighing, "encoder.fc.weight").considered
    assert only.why == "another kind"


def test_words_that_say_too_little_are_said_to():
    _, weighing = traced({"zorp.weight": (4, 6)}, {"gnarl/kernel": (6, 4)})
    (only,) = account(weighing, "zorp.weight").considered
    assert (only.taken, only.why) == (False, "its words say too little")
    assert only.score < WEIGHTS.enough
    assert account(weighing, "zorp.weight").margin is None


def test_what_only_its_place_speaks_for_does_not_compete():
    tensors = {"encoder.stack.0.attn.zorp.weight": (6, 6), "encoder.stack.0.mlp.fc1.weight": (8, 6)}
    leaves = {"encoder/stack_0/attn/gnarl/kernel": (6, 6), "encoder/stack_0/mlp/fc1/kernel": (6, 8)}
    _, weighing = traced(tensors, leaves)
    one = next(
        o for o in account(weighing, "encoder.stack.0.attn.zorp.weight").considered if "gnarl" in o.name
    )
    assert (one.taken, one.why) == (False, "only its place speaks for it")
    assert one.score >= WEIGHTS.enough


def test_what_the_structure_alone_decides_is_left_over():
    tensors = {"model.net.zorp.weight": (8, 3, 3, 3), "model.net.head.weight": (5, 8)}
    leaves = {"model/net/gnarl/kernel": (3, 3, 3, 8), "model/net/head/kernel": (8, 5)}
    found, weighing = traced(tensors, leaves)
    one = account(weighing, "model.net.zorp.weight").considered[0]
    assert (one.taken, one.stage, one.why) == (True, "leftovers", "nothing else has this shape")
    assert one.score < WEIGHTS.enough
    assert ("model.net.zorp.weight",) in [move.sources for move in found.moves]


def test_leaves_that_are_not_square_rule_a_layout_out():
    tensors = {
        f"{name}.weight": shape for name, shape in {"a.fc": (4, 6), "b.fc": (6, 4), "c.fc": (5, 5)}.items()
    }
    leaves = {
        f"{name}/kernel": shape for name, shape in {"a/fc": (6, 4), "b/fc": (4, 6), "c/fc": (5, 5)}.items()
    }
    _, weighing = traced(tensors, leaves)
    assert account(weighing, "c.fc.weight").layouts == (
        ("weight", "io", "other leaves rule out 1 of 2 layouts"),
    )


def test_a_rule_of_the_user_decides_and_rules_out():
    tensors = {"a.weight": (4, 6), "b.weight": (4, 6)}
    leaves = {"x/kernel": (6, 4), "y/kernel": (6, 4)}
    _, weighing = traced(tensors, leaves, renamed={"a.weight": "y.weight"})
    one = account(weighing, "a.weight")
    assert (one.considered[0].name, one.considered[0].taken, one.considered[0].why) == (
        "y",
        True,
        "a rule names it",
    )
    assert [o.why for o in one.considered if o.name == "x"] == ["a rule says otherwise"]


def test_a_rule_that_cannot_be_followed_is_told_apart_from_one_that_says_otherwise():
    tensors = {"a.weight": (4, 6), "b.weight": (4, 6)}
    leaves = {"x/kernel": (6, 4), "y/kernel": (7, 4)}
    _, weighing = traced(tensors, leaves, renamed={"a.weight": "y.weight"})
    why = {one.name: one.why for one in account(weighing, "a.weight").considered}
    assert why == {"x": "a rule says otherwise", "y": "no layout gives its shape"}
    assert account(weighing, "b.weight").considered[-1].why == "a rule says otherwise"


def test_a_leaf_has_an_account_from_its_side():
    tensors = {"encoder.query.weight": (4, 6), "encoder.key.weight": (4, 6)}
    leaves = {"enc/q_proj/kernel": (6, 4), "enc/k_proj/kernel": (6, 4)}
    _, weighing = traced(tensors, leaves)
    one = account(weighing, "enc/k_proj/kernel")
    assert one.role == "keys"
    assert [(other.name, other.taken) for other in one.considered] == [
        ("encoder.key", True),
        ("encoder.query", False),
    ]
    assert one.margin >= one.needed


def test_repeated_blocks_are_one_account_and_a_fused_tensor_has_one_for_each_part():
    tensors = {f"h.{i}.attn.qkv.weight": (12, 4) for i in range(2)}
    tensors |= {f"h.{i}.mlp.fc1.weight": (8, 4) for i in range(2)}
    leaves = {f"h_{i}/attn/{name}/kernel": (4, 4) for i in range(2) for name in ("query", "key", "value")}
    leaves |= {f"h_{i}/mlp/fc1/kernel": (4, 8) for i in range(2)}
    _, weighing = traced(tensors, leaves)
    parts = list(accounts(weighing, "h.1.attn.qkv.weight"))
    assert [one.role for one in parts] == ["queries", "keys", "values"]
    assert {one.name for one in parts} == {"h.{i}.attn.qkv"}
    assert [one.considered[0].name for one in parts] == [
        f"h_{{i}}/attn/{n}" for n in ("query", "key", "value")
    ]
    leaf = account(weighing, "h_0/attn/key/kernel")
    assert leaf.considered[0].name == "h.{i}.attn.qkv (keys)"
