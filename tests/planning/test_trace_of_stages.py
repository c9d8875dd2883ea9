"""A trace keeps what was weighed, and changes nothing."""

from dataclasses import replace

import numpy as np

from ml_switcheroo.planning.drawing import draw_plan
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.trace import Trace
from ml_switcheroo.sources.stated import from_table
from ml_switcheroo.targets import find_target
from ml_switcheroo.tensors import spec_of
from ml_switcheroo.tree import template_of_tree

STATE = {
    "fc.weight": np.zeros((4, 6)),
    "tower.query.weight": np.zeros((4, 6)),
    "zorp.weight": np.zeros((3, 5)),
}
LIKE = {"fc": {"kernel": np.zeros((6, 4))}, "tower": {"q_proj": {"kernel": np.zeros((6, 4))}}}
LIKE["gnarl"] = {"kernel": np.zeros((5, 3))}


def request(like=LIKE):
    specs = {name: spec_of(value) for name, value in STATE.items()}
    known = [from_table({name.rpartition(".")[0]: "Linear" for name in STATE})]
    template = template_of_tree({"params": like}, "/") if like else None
    return Request(specs, find_target("linen"), known, template)


def test_each_stage_adds_what_it_had_in_hand():
    trace = Trace()
    assert draw_plan(replace(request(), trace=trace)) == draw_plan(request())
    assert list(trace.asked) == ["tower.query", "zorp"]
    assert len(trace.weighed) == 1
    (exclusion,) = trace.excluded
    assert list(exclusion.fits) == list(exclusion.unvouched) == ["zorp"]


def test_without_a_template_nothing_is_asked():
    trace = Trace()
    draw_plan(replace(request(None), trace=trace))
    assert trace == Trace()
