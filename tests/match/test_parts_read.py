"""What forward says of the rows of a tensor is said of its unit, where it holds for all repetitions."""

from match.built import named, units_of
from ml_switcheroo.match.units.parts_read import reader_of, roles_read
from ml_switcheroo.sources.findings import Finding, Part, Parts


def parts(*roles, size=4, where="model.py:7"):
    return Parts(tuple(Part(role, n * size, ((size, 1),)) for n, role in enumerate(roles)), where=where)


def read(name, found, kind="linear", origin="static"):
    return {name: (Finding(kind, origin, "said", parts=found),)}


def test_what_forward_says_of_every_repetition_holds_for_the_unit():
    shapes = {f"h.{i}.{name}.weight": (12, 4) for i in range(2) for name in ("fused", "fc")}
    unit = named(units_of(shapes), "h.#.fused")
    said = parts("k", "q", "v")
    both = {**read("h.0.fused.weight", said), **read("h.1.fused.weight", said)}
    assert reader_of(both)(unit) == (said, "cut as forward says, model.py:7")
    assert reader_of(read("h.0.fused.weight", said))(unit) is None
    other = {**both, **read("h.1.fused.weight", parts("k", "q", "v", size=3))}
    assert reader_of(other)(unit) is None


def test_torchs_own_attention_is_documented():
    (unit,) = units_of({"attn.in_proj_weight": (12, 4)})
    found, why = reader_of(read("attn.in_proj_weight", None, "mha"))(unit)
    assert [(part.role, part.start, part.size) for part in found.parts] == [
        ("q", 0, 4),
        ("k", 4, 4),
        ("v", 8, 4),
    ]
    assert "MultiheadAttention" in why
    assert reader_of(read("attn.in_proj_weight", None, "mha", "evidence"))(unit) is None


def test_the_conv1d_of_gpt2_is_published_unless_its_code_was_read():
    (unit,) = units_of({"h.attn.c_attn.weight": (4, 12)})
    found, why = reader_of({})(unit)
    assert (found.axis, "Conv1D" in why) == (1, True)
    assert reader_of(read("h.attn.c_attn.weight", None))(unit) is None
    (square,) = units_of({"h.attn.c_attn.weight": (12, 12)})
    assert reader_of({})(square) is None


def test_a_role_that_forward_says_is_taken_where_two_prove_each_other():
    mine = units_of({"mlp.fc1.weight": (4, 4), "mlp.fc2.weight": (4, 4), "mlp.fc3.weight": (4, 4)})
    other = units_of({"mlp/gate/kernel": (4, 4), "mlp/up/kernel": (4, 4), "mlp/down/kernel": (4, 4)})
    said = {**read("mlp.fc1.weight", parts("gate")), **read("mlp.fc2.weight", parts("up"))}
    found = {str(unit): unit.role for unit in roles_read(mine, other, said)}
    assert (found["mlp.fc1"], found["mlp.fc2"]) == ("gate", "up")
    lone = {str(unit): unit.role for unit in roles_read(mine, other, read("mlp.fc1.weight", parts("gate")))}
    assert lone["mlp.fc1"] == "up", "one alone proves nothing against its name"


def test_what_several_findings_say_of_one_tensor_must_be_the_same():
    (unit,) = units_of({"attn.fused.weight": (12, 4)})
    one, other = (
        Finding("linear", "static", "said", parts=parts(*roles))
        for roles in (("q", "k", "v"), ("k", "q", "v"))
    )
    assert reader_of({"attn.fused.weight": (one, one)})(unit) is not None
    assert reader_of({"attn.fused.weight": (one, other)})(unit) is None
