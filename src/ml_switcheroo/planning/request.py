"""Everything a plan is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_switcheroo.planning.trace import Trace
from ml_switcheroo.recipes import Target
from ml_switcheroo.rules import Rule
from ml_switcheroo.sources.findings import Knowledge
from ml_switcheroo.targets.ports import Shown
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template

if TYPE_CHECKING:
    from ml_switcheroo.graph.programs import Programs

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """Everything a plan is made from.

    Attributes:
        specs: Specs of the source tensors, in order.
        target: The target.
        knowledge: What the sources say, the most believed first.
        template: The target's tree, where there is one.
        rules: The user's rules.
        dtype: The dtype that floating-point leaves get, where one was asked for.
        source: Where the tensors come from.
        layout_shown: Reads where the live target has the channels of its images; None where that is known. It
            takes a while: it is asked only where something depends on it.
        programs: What both programs are drawn from, where the inputs are given.
        trace: Where to keep what was weighed; None for nowhere.
    """

    specs: Mapping[str, TensorSpec]
    target: Target
    knowledge: Sequence[Knowledge]
    template: Template | None = None
    rules: tuple[Rule, ...] = ()
    dtype: str | None = None
    source: str = ""
    layout_shown: Callable[[], Shown] | None = None
    programs: Programs | None = None
    trace: Trace | None = None
