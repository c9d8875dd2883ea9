"""Kind and name: what they settle, what they leave to the structure, and what only the user can say."""

from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.by_recipe import by_recipe
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.targets import TARGETS
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template


def owner(path, shapes, *kinds, origin="live"):
    tensors = {slot: f"{path}.{slot}" for slot in shapes}
    found = tuple(Finding(kind, origin, "said") for kind in kinds)
    return Owner(path, found, tensors), {f"{path}.{slot}": shape for slot, shape in shapes.items()}


def after(leaves, *modules):
    owners = [one for one, _ in modules]
    specs = {name: TensorSpec(shape, "float32") for _, shapes in modules for name, shape in shapes.items()}
    template = None
    if leaves is not None:
        template = Template({path: TensorSpec(shape, "float32") for path, shape in leaves.items()})
    ledger = Ledger(specs, template and template.specs)
    return by_recipe(Request(specs, TARGETS["nnx"], (), template), owners, ledger), ledger


def test_one_kind_and_one_place_are_enough():
    found, ledger = after({"fc.kernel": (3, 2)}, owner("fc", {"weight": (2, 3)}, "linear"))
    assert [move.leaves for move in ledger.moves] == [("fc.kernel",)]
    assert not found.pending
    assert not found.rivals


def test_the_structure_is_asked_where_the_shape_does_not_show_the_layout():
    found, ledger = after({"fc.kernel": (3, 3)}, owner("fc", {"weight": (3, 3)}, "linear"))
    assert [one.path for one, _ in found.pending] == ["fc"]
    assert not ledger.moves


def test_the_structure_is_asked_where_nothing_is_spelled_like_it():
    found, _ = after({"head.kernel": (3, 2)}, owner("fc", {"weight": (2, 3)}, "linear"))
    assert [(one.path, options) for one, options in found.pending] == [("fc", [])]


def test_without_a_tree_several_kinds_are_asked_of_the_user():
    found, ledger = after(None, owner("fc", {"weight": (2, 3)}, "linear", "embedding", origin="evidence"))
    (doubt,) = ledger.asked
    assert doubt.names == ("fc.weight",)
    assert doubt.rules == ('Kind("fc", "linear")', 'Kind("fc", "embedding")')
    assert [one.path for one in found.rivals] == ["fc"]


def test_a_module_that_nothing_shows_is_asked_of_the_user():
    _, ledger = after(None, owner("fc", {"weight": (2, 3)}))
    assert ledger.asked[0].candidates == ("nothing shows what it is",)


def test_what_a_recipe_drops_is_said():
    shapes = {
        "weight": (2,),
        "bias": (2,),
        "running_mean": (2,),
        "running_var": (2,),
        "num_batches_tracked": (),
    }
    _, ledger = after(None, owner("bn", shapes, "batch_norm"))
    assert "bn.num_batches_tracked" in ledger.dropped
    assert len(ledger.moves) == 4
