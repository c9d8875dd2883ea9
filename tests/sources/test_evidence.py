from ml_switcheroo.runtime.kinds import KeyKinds
from ml_switcheroo.sources.evidence import read_names
from ml_switcheroo.sources.findings import NO_FLATTEN
from ml_switcheroo.tensors import TensorSpec


def read(shapes):
    return read_names({name: TensorSpec(shape, "float32") for name, shape in shapes.items()})


def test_what_is_proved_is_a_finding():
    known = read({"fc.weight": (5, 3), "fc.bias": (5,)})
    assert known.candidates == {}
    finding = known.findings["fc"]
    assert (finding.kind, finding.origin, finding.flatten) == ("linear", "evidence", None)


def test_what_is_open_lists_all_that_remains():
    known = read({"tok.weight": (5, 3)})
    assert known.findings == {}
    kinds = [finding.kind for finding in known.candidates["tok"]]
    assert kinds[:2] == ["linear", "embedding"]
    assert all(finding.reason for finding in known.candidates["tok"])


def test_a_suspected_flatten_is_a_candidate():
    known = read({"conv.weight": (8, 3, 3, 3), "conv.bias": (8,), "fc.weight": (5, 32), "fc.bias": (5,)})
    plain, flat = known.candidates["fc"]
    assert plain.flatten == NO_FLATTEN
    assert flat.flatten.channels == 8
    assert "conv" in flat.reason


def test_tensors_of_a_class_of_its_own_stand_by_their_names():
    known = read({"pos_embed": (1, 5, 4), "gate.weight": (3, 4), "gate.bias": (7,)})
    assert [finding.kind for finding in known.candidates["pos_embed"]] == ["parameter", "buffer"]
    assert [finding.kind for finding in known.candidates["gate.weight"]] == ["parameter", "buffer"]
    assert "gate" not in known.findings


def test_slots_of_layers_are_not_taken_for_parameters():
    known = read(
        {"attn.in_proj_weight": (12, 4), "rnn.weight_ih_l0": (8, 4), "rnn.weight_hh_l0_reverse": (8, 2)}
    )
    assert known.findings == {}
    assert known.candidates == {}


def test_a_norm_behind_a_possible_flatten_has_a_note():
    known = read(
        {
            "conv.weight": (8, 3, 3, 3),
            "norm.weight": (32,),
            "norm.bias": (32,),
            "fc.weight": (5, 32),
            "fc.bias": (5,),
        }
    )
    assert known.doubts["norm"].startswith("norm: where a Flatten")


def test_evidence_says_what_the_runtime_says():
    shapes = {
        "a.weight": (4, 4),
        "b.weight": (8, 4, 3, 3),
        "c.weight": (4,),
        "c.bias": (4,),
        "d.weight": (4, 128),
        "d.bias": (4,),
    }
    known = read(shapes)
    for path, readings in KeyKinds.possible_kinds(shapes).items():
        said = [known.findings[path]] if path in known.findings else known.candidates[path]
        words = {KeyKinds.parse_kind(kind)[0] for kind, _ in readings}
        assert {finding.kind for finding in said} <= words
