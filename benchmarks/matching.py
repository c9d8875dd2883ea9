"""Score `like=` on a pack of real conversions: `python score.py benchmarks/matching.py:solve`."""

from __future__ import annotations

import ml_switcheroo as ms


def solve(source, modules, target_spec):
    """Return the leaves that the plan is certain of.

    Args:
        source: The PyTorch tensors, by name.
        modules: What is known of the PyTorch model: each module's path, class and attributes; or None.
        target_spec: The target's leaves: path, shape, dtype, framework.
    """
    layers = modules and {entry["path"]: (entry["class"], entry["attrs"]) for entry in modules["modules"]}
    plan = ms.make_plan(source, to=target_spec[0]["framework"], layers=layers, like=target_spec)
    return dict(plan.apply(source, partial=True))
