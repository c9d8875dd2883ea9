"""The promise under attack: whatever is missing, added, renamed or turned, no leaf is silently wrong."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.internal.conjecture import providers

import ml_switcheroo as ms
from match.attacks import ATTACKS, attacked
from match.trees import networks

EXAMPLES = 300


@pytest.fixture(autouse=True)
def _no_constants_of_loaded_modules(monkeypatch):
    """Draw the same examples whatever else is imported: Hypothesis tries constants of all local modules."""
    monkeypatch.setattr(providers, "_get_local_constants", providers.Constants)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_no_leaf_is_wrong_without_a_word(attack):
    # The same examples on every run: a failure is reproduced by running the test again.
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(attacked(networks(), attack))
    def holds(network):
        source, leaves = network
        like = {path: getattr(value, "shape", value) for path, value in leaves.items()}
        plan = ms.make_plan(source, to="linen", like=like)
        filled = plan.apply(source, partial=True)
        for path, value in filled.items():
            assert not isinstance(leaves[path], tuple), f"{path} is filled with what happens to fit\n{plan}"
            assert np.array_equal(value, leaves[path]), f"{path} is wrong without a word\n{plan}"
        assert set(filled) | set(plan.missing) == set(leaves)

    holds()
