"""What a module fits is asked once for places of one form, and made when it is asked for."""

from types import MappingProxyType

from ml_switcheroo.moves import Move
from ml_switcheroo.planning.options.option import Option
from ml_switcheroo.planning.stages.fitting import fits_of
from ml_switcheroo.planning.stages.sites import Site
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template

SQUARE = TensorSpec((4, 4), "float32")
FINDING = Finding("linear", "source", "")


def fitted(leaves, attributes=MappingProxyType({}), refused=()):
    """Return what one square module fits among these sites, and at which of them it was tried."""
    template = Template(leaves, attributes=attributes)
    sites = [Site(path.rpartition(".")[0], {(path.rpartition(".")[2],): path}) for path in leaves]
    owner = Owner("fc", (FINDING,), {"weight": "fc.weight"})
    tried = []

    def option_at(owner, site):
        if site is not None:
            tried.append(site.path)
        if site is not None and site.path in refused:
            return Option(FINDING, (), {}, {"fc.weight": "no"})
        path = next(iter(site.leaves.values())) if site else "fc.kernel"
        return Option(FINDING, (Move(("fc.weight",), (path,), ()).bind({"fc.weight": SQUARE}),))

    return fits_of([owner], sites, template, {"fc.weight": SQUARE}, option_at).get("fc"), tried


def test_places_of_one_form_are_tried_once():
    fits, tried = fitted({"a.kernel": SQUARE, "b.kernel": SQUARE, "c.kernel": SQUARE})
    assert list(fits) == ["a", "b", "c"]
    assert tried == ["a"]


def test_moves_are_made_for_their_own_place():
    fits, _ = fitted({"a.kernel": SQUARE, "b.kernel": SQUARE})
    assert [fits[site].moves[0].leaves for site in ("b", "a")] == [("b.kernel",), ("a.kernel",)]


def test_places_of_other_leaves_dtypes_or_attributes_are_tried_each():
    half = TensorSpec((4, 4), "float16")
    fits, tried = fitted({"a.kernel": SQUARE, "b.scale": SQUARE, "c.kernel": half}, refused=("b",))
    assert tried == ["a", "b", "c"]
    assert list(fits) == ["a", "c"]
    attributes = {"b": {"transpose_kernel": True}}
    fits, tried = fitted({"a.kernel": SQUARE, "b.kernel": SQUARE}, attributes, refused=("b",))
    assert (list(fits), tried) == (["a"], ["a", "b"])


def test_places_of_other_sizes_are_not_tried():
    fits, tried = fitted({"a.kernel": TensorSpec((4, 8), "float32"), "b.kernel": SQUARE})
    assert (list(fits), tried) == (["b"], ["b"])


def test_some_of_the_places_can_be_kept():
    fits, _ = fitted({"a.kernel": SQUARE, "b.kernel": SQUARE, "c.kernel": SQUARE})
    kept = fits.at({"c", "a"})
    assert list(kept) == ["a", "c"]
    assert "b" not in kept
    assert kept["c"].moves[0].leaves == ("c.kernel",)
