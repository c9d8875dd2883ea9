"""Move a PyTorch model's weights, and the code that loads them, to another framework.

Nothing heavy is imported before it is needed: neither a framework nor NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ml_switcheroo._version import __version__

if TYPE_CHECKING:
    from ml_switcheroo.codemod.rewriter import rewrite as rewrite
    from ml_switcheroo.conversion import convert as convert
    from ml_switcheroo.errors import AxesError as AxesError
    from ml_switcheroo.errors import CastError as CastError
    from ml_switcheroo.errors import CheckpointError as CheckpointError
    from ml_switcheroo.errors import LoadError as LoadError
    from ml_switcheroo.errors import PlanError as PlanError
    from ml_switcheroo.errors import RewriteError as RewriteError
    from ml_switcheroo.errors import RuleError as RuleError
    from ml_switcheroo.errors import SourceError as SourceError
    from ml_switcheroo.errors import SwitcherooError as SwitcherooError
    from ml_switcheroo.errors import UnknownName as UnknownName
    from ml_switcheroo.errors import UnknownTarget as UnknownTarget
    from ml_switcheroo.errors import UsageError as UsageError
    from ml_switcheroo.errors import UserCodeError as UserCodeError
    from ml_switcheroo.export import to_torch as to_torch
    from ml_switcheroo.formats import open_checkpoint as open_checkpoint
    from ml_switcheroo.load import load_into as load_into
    from ml_switcheroo.moves import Move as Move
    from ml_switcheroo.plan import Plan as Plan
    from ml_switcheroo.planning.planner import make_plan as make_plan
    from ml_switcheroo.rule_lines import load_rules as load_rules
    from ml_switcheroo.rules import Drop as Drop
    from ml_switcheroo.rules import Keep as Keep
    from ml_switcheroo.rules import Kind as Kind
    from ml_switcheroo.rules import Rename as Rename
    from ml_switcheroo.sharded import load_sharded as load_sharded
    from ml_switcheroo.tensors import TensorSpec as TensorSpec
    from ml_switcheroo.verification import Experiment as Experiment
    from ml_switcheroo.verification import settle as settle
    from ml_switcheroo.verification import verify as verify

_ERRORS = (
    "AxesError",
    "CastError",
    "CheckpointError",
    "LoadError",
    "PlanError",
    "RewriteError",
    "RuleError",
    "SourceError",
    "SwitcherooError",
    "UnknownName",
    "UnknownTarget",
    "UsageError",
    "UserCodeError",
)

_HOME = {
    "Drop": "rules",
    "Experiment": "verification",
    "Keep": "rules",
    "Kind": "rules",
    "Move": "moves",
    "Plan": "plan",
    "Rename": "rules",
    "TensorSpec": "tensors",
    "convert": "conversion",
    "load_into": "load",
    "load_rules": "rule_lines",
    "make_plan": "planning.planner",
    "load_sharded": "sharded",
    "open_checkpoint": "formats",
    "to_torch": "export",
    "rewrite": "codemod.rewriter",
    "settle": "verification",
    "verify": "verification",
    **dict.fromkeys(_ERRORS, "errors"),
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
