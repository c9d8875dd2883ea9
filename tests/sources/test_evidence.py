import pytest
import torch

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


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: torch.nn.LSTM(3, 4, 2, bidirectional=True), "lstm"),
        (lambda: torch.nn.LSTM(4, 4, proj_size=2), "lstm"),
        (lambda: torch.nn.GRU(4, 4), "gru"),
        (lambda: torch.nn.RNN(12, 4), "rnn"),
        (lambda: torch.nn.LSTMCell(4, 4), "lstm_cell"),
        (lambda: torch.nn.GRUCell(3, 4, bias=False), "gru_cell"),
        (lambda: torch.nn.RNNCell(3, 4), "rnn_cell"),
        (lambda: torch.nn.MultiheadAttention(4, 2), "mha"),
        (lambda: torch.nn.MultiheadAttention(4, 2, kdim=3, vdim=3), "mha"),
    ],
)
def test_names_that_one_layer_of_torch_gives_prove_it(make, kind):
    state = torch.nn.ModuleDict({"m": make()}).state_dict()
    assert read({name: tuple(tensor.shape) for name, tensor in state.items()}).findings["m"].kind == kind


def test_a_recurrent_weight_of_other_shapes_proves_nothing():
    known = read({"m.weight_ih_l0": (20, 3), "m.weight_hh_l0": (20, 4)})
    assert "m" not in known.findings


@pytest.mark.parametrize(
    "pieces",
    [
        {"weight_g": (4, 1, 1, 1), "weight_v": (4, 3, 3, 3)},
        {
            "parametrizations.weight.original0": (4, 1, 1, 1),
            "parametrizations.weight.original1": (4, 3, 3, 3),
        },
        {"weight_orig": (4, 3, 3, 3), "weight_u": (4,), "weight_v": (27,)},
    ],
)
def test_the_pieces_of_a_weight_are_read_as_the_weight(pieces):
    rest = {"norm.weight": (4,), "norm.bias": (4,), "fc.weight": (5, 64), "fc.bias": (5,)}
    split = read({**{f"c.{slot}": shape for slot, shape in pieces.items()}, **rest})
    whole = read({"c.weight": (4, 3, 3, 3), **rest})
    assert split == whole
    assert "conv" in {
        finding.kind for finding in (split.findings.get("c"), *split.candidates.get("c", ())) if finding
    }
    assert {finding.flatten.channels for finding in split.candidates["fc"]} == {1, 4}


def test_a_layer_with_a_weight_norm_is_the_layer():
    known = read({"fc.weight_g": (4, 1), "fc.weight_v": (4, 3), "fc.bias": (4,)})
    assert known.findings["fc"].kind == "linear"
    assert known.candidates == {}


def test_a_pair_that_may_be_a_table_and_its_head_lists_both():
    known = read({"tok.weight": (50, 8), "head.weight": (50, 8)})
    for path in ("tok", "head"):
        assert [one.kind for one in known.candidates[path]][:2] == ["linear", "embedding"]
        assert known.candidates[path][1].reason == "50 rows of size 8"


def test_running_statistics_and_a_weight_of_one_axis_leave_norms_only():
    known = read({"n.weight": (8,), "b.weight": (8,), "b.bias": (8,), "b.running_mean": (8,)})
    assert {one.kind for one in known.candidates["n"]} == {"layer_norm", "group_norm", "rms_norm", "prelu"}
    assert {one.reason for one in known.candidates["n"]} == {"a weight of one axis"}
    assert [one.kind for one in known.candidates["b"]] == ["batch_norm", "instance_norm"]


def test_a_recurrent_layer_behind_a_convolution_is_doubted():
    shapes = {
        "conv.weight": (6, 1, 3, 3),
        "rnn.weight_ih_l0": (20, 24),
        "rnn.weight_hh_l0": (20, 5),
        "rnn.bias_ih_l0": (20,),
        "rnn.bias_hh_l0": (20,),
    }
    assert read(shapes).doubts["rnn"].startswith("rnn: where 6 channels of conv are flattened into its input")
    assert "rnn" not in read(shapes | {"fc.weight": (24, 6)}).doubts  # which puts out what it takes in
    assert "rnn" not in read(shapes | {"conv.weight": (24, 1, 3, 3)}).doubts


def test_a_recurrent_layer_of_which_a_half_is_missing_is_read_all_the_same():
    known = read({"conv.weight": (6, 1, 3, 3), "rnn.weight_hh_l0": (20, 5)})
    assert known.findings["rnn"].kind == "lstm"
    assert "rnn" not in known.doubts
