"""Score `like=` on a pack of real conversions: `score.py benchmarks/matching.py:solve`."""

from __future__ import annotations

from ml_switcheroo.draw import Request, draw_plan
from ml_switcheroo.sources.stated import from_table
from ml_switcheroo.targets import find_target, template_of
from ml_switcheroo.tensors import spec_of

STAND_IN = {"keras": "linen", "mlx": "numpy"}


def solve(source, modules, target_spec):
    """Return the leaves that the plan is certain of."""
    known = [from_table({m["path"]: (m["class"], m["attrs"]) for m in modules["modules"]})] if modules else []
    framework = target_spec[0]["framework"]
    target = find_target(STAND_IN.get(framework, framework))
    specs = {name: spec_of(array) for name, array in source.items()}
    plan = draw_plan(Request(specs, target, known, template_of(target_spec, target)))
    return dict(plan.apply(source, partial=True))
