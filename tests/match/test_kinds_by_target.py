"""What the types of a live target prove about the modules of the source."""

from match.built import specs_of
from ml_switcheroo.match.kinds_by_target import as_shown, from_template
from ml_switcheroo.rules import Rename
from ml_switcheroo.sources.findings import Finding, Knowledge
from ml_switcheroo.targets import find_target
from ml_switcheroo.tree import Template

NAMING = find_target("nnx").naming


def template(**kinds):
    return Template(specs_of({f"{path}.kernel": (4, 4) for path in kinds}), kinds=kinds)


def test_a_module_is_what_the_one_spelled_like_it_is():
    found = from_template(template(fc="linear", table="embedding"), ["fc.weight", "other.weight"], NAMING)
    assert found.findings.keys() == {"fc"}
    assert (found.findings["fc"].kind, found.findings["fc"].origin) == ("linear", "target")


def test_a_rename_counts():
    found = from_template(template(out="linear"), ["fc.weight"], NAMING, [Rename("fc", "out")])
    assert found.findings["fc"].kind == "linear"


def test_a_tree_without_types_says_nothing():
    assert not from_template(Template(specs_of({"fc.kernel": (4, 4)})), ["fc.weight"], NAMING).findings


def written(kind):
    known = Finding(kind, "static", "forward computes one")
    own = Finding("parameter", "static", "a parameter of its own")
    return Knowledge({"n.weight": own, "n.bias": own, "n": known}, written={"n": known})


def test_a_class_that_writes_a_layer_out_is_one_where_the_target_has_one():
    shown = Knowledge({"n": Finding("rms_norm", "target", "")})
    found = as_shown(written("rms_norm"), shown)
    assert found.findings["n"].kind == "rms_norm"
    assert not {"n.weight", "n.bias"} & found.findings.keys()
    elsewhere = as_shown(written("rms_norm"), Knowledge({"m": Finding("rms_norm", "target", "")}))
    assert elsewhere.findings["n.weight"].kind == "parameter"


def test_one_kind_of_norm_may_be_another_that_has_its_tensors_but_nothing_else_may():
    norm = Knowledge({"n": Finding("layer_norm", "target", "")})
    assert as_shown(written("rms_norm"), norm).findings["n"].kind == "layer_norm"
    linear = Knowledge({"n": Finding("linear", "target", "")})
    assert "n.weight" in as_shown(written("rms_norm"), linear).findings
