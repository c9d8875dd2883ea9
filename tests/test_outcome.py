"""What becomes of tensors and leaves, without what a plan does with it."""

from ml_switcheroo.moves import Move
from ml_switcheroo.outcome import Outcome
from ml_switcheroo.plan import Plan
from ml_switcheroo.report import changes_text, plan_text
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.unmoved import Ambiguity

SPECS = {"fc.weight": TensorSpec((3, 2), "float32"), "fc.bias": TensorSpec((3,), "float32")}
MOVES = tuple(Move((name,), (name.replace("weight", "kernel"),)).bind(SPECS) for name in SPECS)


def test_the_specs_of_both_sides_are_those_of_the_moves() -> None:
    outcome = Outcome("nnx", MOVES)
    assert outcome.inputs == SPECS
    assert outcome.outputs == {"fc.kernel": SPECS["fc.weight"], "fc.bias": SPECS["fc.bias"]}


def test_every_name_of_every_ambiguity_is_doubted() -> None:
    asked = (Ambiguity(("a", "b"), (), ()), Ambiguity(("c",), (), ()))
    assert Outcome("nnx", (), ambiguous=asked).doubted == ("a", "b", "c")


def test_the_digest_depends_on_the_target_and_the_moves_alone() -> None:
    outcome = Outcome("nnx", MOVES)
    assert outcome.digest == Outcome("nnx", MOVES, notes=("x",), source="model.pt").digest
    assert outcome.digest != Outcome("keras", MOVES).digest
    assert outcome.digest != Outcome("nnx", MOVES[:1]).digest


def test_a_report_needs_no_more_than_the_outcome() -> None:
    assert plan_text(Outcome("nnx", MOVES)) == str(Plan("nnx", MOVES))
    assert changes_text(Outcome("nnx", MOVES), Plan("nnx", MOVES)) == ""
    assert "fc.bias" in changes_text(Outcome("nnx", MOVES), Plan("nnx", MOVES[:1]))


def test_an_outcome_is_no_plan() -> None:
    assert Outcome("nnx", MOVES) != Plan("nnx", MOVES)
    assert Plan("nnx", MOVES) == Plan("nnx", MOVES)
