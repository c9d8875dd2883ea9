"""The promise on random networks: a leaf is right, or something is said."""

import numpy as np
from hypothesis import HealthCheck, given, settings

import ml_switcheroo as ms
from match.trees import networks

EXAMPLES = 2000


# The same examples on every run: a failure is reproduced by running the test again.
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(networks())
def test_a_leaf_is_right_or_something_is_said(network):
    source, leaves = network
    plan = ms.make_plan(
        source, to="linen", like={path: getattr(value, "shape", value) for path, value in leaves.items()}
    )
    filled = plan.apply(source, partial=True)
    truth = {path: value for path, value in leaves.items() if not isinstance(value, tuple)}
    assert set(filled) <= set(truth), "filled with something that happens to fit"
    for path, value in filled.items():
        assert np.array_equal(value, truth[path]), f"{path} is wrong without a word\n{plan}"
    assert set(filled) | set(plan.missing) == set(leaves)
