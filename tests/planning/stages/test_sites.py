"""The places of a target that a whole module can fill."""

import numpy as np
import pytest

from ml_switcheroo.errors import UsageError
from ml_switcheroo.planning.stages.sites import free_sites
from ml_switcheroo.targets import TARGETS

HAIKU = TARGETS["haiku"]


def found(tree, taken=()):
    template = HAIKU.live.template(tree)
    return template, {site.path: site for site in free_sites(template, HAIKU.naming, taken)}


@pytest.mark.parametrize(("taken", "left"), [((), {"", "a", "b", "b/c"}), (("b/c/w",), {"a"})])
def test_a_site_is_free_as_long_as_all_its_leaves_are(taken, left):
    _, sites = found({"a": {"w": np.zeros(1)}, "b/c": {"w": np.zeros(1)}}, taken)
    assert sites.keys() == left


def test_a_leaf_with_a_name_of_its_own_is_a_site_by_itself():
    _, sites = found({"a": {"table": np.zeros(1), "w": np.zeros(1)}})
    assert sites["a/table"].is_leaf
    assert not sites["a"].is_leaf
    assert "a/w" not in sites


def test_a_site_locates_the_leaves_below_it_and_no_others():
    template, sites = found({"b/c": {"w": np.zeros((2, 3))}})
    locate = sites["b"].locate(template.specs)
    assert locate("c.w", "") == ("b/c/w", template.specs["b/c/w"])
    with pytest.raises(UsageError, match=r"b has no leaf c\.b"):
        locate("c.b", "")
