"""Make a plan from what a user has at hand: a checkpoint, a model, its source, a target model."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_switcheroo.errors import RuleError, UsageError, did_you_mean
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.formats.given import Paths, as_state, is_files, layers_of
from ml_switcheroo.formats.quantised import refuse_named_quantised, refuse_quantised
from ml_switcheroo.formats.shards import refuse_a_part
from ml_switcheroo.match.kinds_by_target import as_shown, from_template
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Cast
from ml_switcheroo.plan import Plan
from ml_switcheroo.planning.drawing import draw_plan
from ml_switcheroo.planning.prefixes import Peeled, peel, restored
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.by_rule import dropped_by
from ml_switcheroo.planning.told import told_by
from ml_switcheroo.progress import beginning
from ml_switcheroo.provenance import refuse_converted
from ml_switcheroo.rule_lines import expanded, rules_given, written
from ml_switcheroo.rules import Keep, Kind, Rename, Rule, match
from ml_switcheroo.sources import evidence
from ml_switcheroo.sources.foreign import refuse_foreign, refuse_turned
from ml_switcheroo.sources.stated import from_rules, layers_in, module_paths
from ml_switcheroo.targets import find_target, owner_of, template_of
from ml_switcheroo.targets.ports import layout_shown, with_layout
from ml_switcheroo.tensors import TensorSpec, dtype_named, spec_of
from ml_switcheroo.tree import Template
from ml_switcheroo.unmoved import Unmoved

if TYPE_CHECKING:
    from ml_switcheroo.graph.matching.matched import Matched
    from ml_switcheroo.graph.programs import Programs
    from ml_switcheroo.recipes import Target

__all__ = ["Prepared", "make_plan", "matched_programs", "plan_into", "prepare", "specs_of"]


def make_plan(
    state: Mapping[str, Any] | Paths,
    *,
    to: str,
    layers: Any = None,
    like: Any = None,
    rules: Iterable[Rule] | str | Path = (),
    dtype: Any = None,
    layout: str | None = None,
    inputs: Any = None,
    target_inputs: Any = None,
    target_call: Callable[..., Any] | None = None,
) -> Plan:
    """Make the plan that moves a checkpoint to a target; no tensor is read for it.

    Args:
        state: A checkpoint, its path, the paths of all its shards, a state dict of arrays or tensors, or a
            ``torch.nn.Module``, which is then what the layers are, too.
        to: Name of the target.
        layers: What the PyTorch side is: a ``torch.nn.Module``, ``"model.py:Net"`` or ``"package:Net"``
            (read, never executed), ``"folder/config.json"`` of Hugging Face, or ``{module path: kind or class
            of torch.nn}``. Without it, a ``config.json`` beside the weights is taken.
        like: What the target side is: a live model, a tree of arrays or ``ShapeDtypeStruct``, or
            ``{path: shape}``. Without it the leaves are named after PyTorch's names.
        rules: The user's rules, lines as a report prints them, or the TOML file they are in.
        dtype: The dtype that floating-point leaves get, by name or as any framework has it; without it (and
            without one in ``like``) every leaf keeps the bits it has.
        layout: Where the target model has the channels of its images, ``"first"`` or ``"last"``, where it is
            not as its framework's layers have them; a live model may say so by an attribute ``channels``.
        inputs: What the PyTorch model is given: a batch, shapes (``"float32[1,3,64,64]"``), several in a
            sequence, or by the names of the arguments. With it, with ``layers`` and with a live model as
            ``like``, both programs are read, and what they compute decides; nothing is run.
        target_inputs: The same as the target's model takes it; without it, axes are tried as they are, then
            with the channels last.
        target_call: What runs the target's model, with the model and its inputs; without it the model is
            called.

    Returns:
        The plan. What could not be settled stands in it; ``plan.check()`` raises then.

    Raises:
        CheckpointError: The checkpoint cannot be read.
        RuleError: A rule matches nothing, or two contradict each other.
        SourceError: The source of ``layers`` cannot be read.
        UnknownTarget: There is no target of that name.
        UsageError: Another argument makes no sense.

    >>> import numpy as np
    >>> plan = make_plan({"fc.weight": np.zeros((2, 3)), "fc.bias": np.zeros(2)}, to="jax")
    >>> dict(plan.outputs)
    {'fc.kernel': float64[3,2], 'fc.bias': float64[2]}
    """
    if is_files(state):
        with open_checkpoint(state) as checkpoint:
            return make_plan(
                checkpoint,
                to=to,
                layers=layers,
                like=like,
                rules=rules,
                dtype=dtype,
                layout=layout,
                inputs=inputs,
                target_inputs=target_inputs,
                target_call=target_call,
            )
    state, layers = as_state(state), layers_of(state, layers)
    with _uncollected():
        asked = {"layers": layers, "like": like, "rules": rules, "dtype": dtype, "layout": layout}
        read = {"inputs": inputs, "target_inputs": target_inputs, "target_call": target_call}
        return _finished(prepare(state, to=to, **asked, **read))


def plan_into(state: Mapping[str, Any], model: Any, template: Template, **asked: Any) -> Plan:
    """Make the plan for a live model whose template was read before; the rest is as for :func:`make_plan`."""
    with _uncollected():
        return _finished(prepare(state, like=model, template=template, **asked))


def _finished(prepared: Prepared) -> Plan:
    beginning("reading both programs" if prepared.request.programs else "planning")
    plan = draw_plan(prepared.request)
    _all_used(prepared.request.rules, [*prepared.peeled.specs, *prepared.dropped], plan)
    plan = restored(plan, prepared.peeled, prepared.specs)
    return replace(plan, dropped={**prepared.dropped, **plan.dropped})


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector rest: a plan is many small objects without cycles."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass(frozen=True)
class Prepared:
    """What a plan is drawn from, after every source has been asked.

    Attributes:
        request: The request, under the names inside of wrappers.
        peeled: What was taken off the names.
        specs: All specs by the names of the checkpoint.
        dropped: What Drop rules leave behind.
    """

    request: Request
    peeled: Peeled
    specs: Mapping[str, TensorSpec]
    dropped: Mapping[str, Unmoved]


def prepare(
    state: Mapping[str, Any],
    *,
    to: str,
    layers: Any = None,
    like: Any = None,
    rules: Iterable[Rule] | str | Path = (),
    dtype: Any = None,
    layout: str | None = None,
    template: Template | None = None,
    inputs: Any = None,
    target_inputs: Any = None,
    target_call: Callable[..., Any] | None = None,
) -> Prepared:
    """Ask every source; the arguments are those of :func:`make_plan`, and the template of ``like``."""
    target = with_layout(find_target(to), layout)
    dtype = dtype_named(dtype)
    if dtype is not None:
        Cast(dtype).specs(())  # an unknown one is said before anything is read
    specs = specs_of(state)
    refuse_converted(state)
    refuse_a_part(state)
    rules = rules_given(rules)
    template = template or template_of(like, find_target(to))
    dropped = dropped_by(rules, specs)
    _none_dropped(rules, dropped)
    kept = {name: spec for name, spec in specs.items() if name not in dropped}
    moved = {name for rule in rules if isinstance(rule, Move) for name in rule.sources}
    refuse_quantised(kept, _where(state), moved)
    refuse_named_quantised(state, {name: spec for name, spec in kept.items() if name not in moved})
    told = told_by(layers, state, kept)
    peeled = peel(kept, told.count if told.layers is not None else None)
    _check_layout(layers, peeled.specs, rules, _where(state))
    known = [from_rules(rules, peeled.specs), told.of(peeled.specs)]
    if template is not None:
        seen = from_template(template, peeled.specs, target.naming, rules)
        known = [*(as_shown(one, seen) for one in known), seen]
    inner = {peeled.names[name]: name for name in peeled.specs}
    tied = [tuple(inner[name] for name in names if name in inner) for names in evidence.tied_in(state)]
    known.append(replace(evidence.read_names(peeled.specs), tied=tuple(tied)))
    is_open = layout is None and target.channels == "last" and owner_of(like) is not None
    request = Request(
        specs=peeled.specs,
        target=target,
        knowledge=known,
        template=template,
        rules=rules,
        dtype=dtype,
        source=str(getattr(state, "path", "")),
        layout_shown=partial(layout_shown, like) if is_open else None,
        programs=_programs(told.layers, target, like, inputs, target_inputs, target_call),
    )
    return Prepared(request, peeled, specs, dropped)


def matched_programs(state: Mapping[str, Any], **asked: Any) -> Matched:
    """Read both programs and match them; the arguments are those of :func:`make_plan`.

    Raises:
        UsageError: No inputs are given.
        SwitcherooError: One of the programs cannot be read.
    """
    from ml_switcheroo.graph.programs import match_programs

    request = prepare(state, **asked).request
    if request.programs is None:
        raise UsageError('say what the PyTorch model is given, for example inputs="float32[1,3,64,64]"')
    return match_programs(request.programs, request.specs)


def _programs(
    layers: Any,
    target: Target,
    like: Any,
    inputs: Any,
    target_inputs: Any,
    target_call: Callable[..., Any] | None,
) -> Programs | None:
    """Return what both programs are drawn from; None where no inputs are given.

    Raises:
        UsageError: Inputs are given, but not both programs.
    """
    if inputs is None:
        if target_inputs is not None or target_call is not None:
            raise UsageError("target_inputs= and target_call= go with inputs=, what PyTorch's model is given")
        return None
    if layers is None or isinstance(layers, Mapping) or owner_of(like, target) is None:
        raise UsageError(
            "inputs= is for reading both programs: say layers= (a module, or model.py:Net) and like= (a live"
            " model)"
        )
    from ml_switcheroo.graph.inputs import given
    from ml_switcheroo.graph.programs import Programs

    given(inputs)
    if target_inputs is not None:
        given(target_inputs)
    return Programs(layers, target, like, inputs, target_inputs, target_call)


def specs_of(state: Mapping[str, Any]) -> Mapping[str, TensorSpec]:
    """Return the specs of a checkpoint or state dict, in its order.

    Raises:
        UsageError: An entry is no tensor; all such are named.
    """
    specs = getattr(state, "specs", None)
    if specs is not None:
        return dict(specs)
    odd = [f"{name} ({type(value).__name__})" for name, value in state.items() if not hasattr(value, "shape")]
    if odd:
        raise UsageError(f"not a state dict; these entries are no tensors: {', '.join(odd)}")
    return {name: spec_of(value) for name, value in state.items()}


def _check_layout(layers: Any, specs: Mapping[str, TensorSpec], rules: Sequence[Rule], where: str) -> None:
    """Raise where a checkpoint is laid out as another framework's, and nobody says what its tensors are."""
    if hasattr(layers, "state_dict"):
        refuse_turned(layers, specs, where)
    elif layers is None:
        stated = [rule.pattern for rule in rules if isinstance(rule, Kind)]
        moved = {name for rule in rules if isinstance(rule, Move) for name in rule.sources}
        refuse_foreign(
            {
                name: spec
                for name, spec in specs.items()
                if name not in moved
                and not any(match(pattern, name.rpartition(".")[0]) is not None for pattern in stated)
            },
            where,
        )


def _where(state: Mapping[str, Any]) -> str:
    return str(getattr(state, "path", "the state dict"))


def _none_dropped(rules: Sequence[Rule], dropped: Mapping[str, Unmoved]) -> None:
    """Raise where one rule moves a tensor that another one drops."""
    moves = [move for rule in rules if isinstance(rule, Move) for move in expanded(rule, dropped)]
    lines = [
        f"  {name}: {move}; dropped: {dropped[name].why}"
        for move in moves
        for name in move.sources
        if name in dropped
    ]
    if lines:
        raise RuleError("\n".join(["rules contradict each other on:", *sorted(lines), "Keep one of each."]))


def _all_used(rules: Sequence[Rule], names: Sequence[str], plan: Plan) -> None:
    """Raise where a rule matches nothing: it is misspelled, or a Move takes all that it would decide."""
    modules = [*module_paths(names), *layers_in(names)]
    moves = [move for rule in rules if isinstance(rule, Move) for move in expanded(rule, modules)]
    moved = {name for move in moves for name in move.sources}
    left = list(module_paths(name for name in names if name not in moved)) if moved else modules
    leaves = [*plan.outputs, *plan.kept, *plan.missing]
    lines = []
    for rule in rules:
        if not _matches(rule, modules, leaves):
            lines.append(f"  {written(rule)}{_meant(rule, modules, leaves)}")
        elif isinstance(rule, Kind | Rename) and not _matches(rule, left, leaves):
            lines.append(f"  {written(rule)}: all that it matches is taken by a Move")
    if lines:
        listed = "\n".join(lines)
        raise RuleError(f"rules that match nothing:\n{listed}\nCorrect or delete them.")


def _meant(rule: Rule, modules: Sequence[str], leaves: Sequence[str]) -> str:
    """Ask for the module or leaf that is most like what a rule names."""
    if isinstance(rule, Move):
        odd = next((name for name in rule.sources if name not in modules), "")
        return did_you_mean(odd, modules)
    pattern = rule.source if isinstance(rule, Rename) else rule.pattern
    return did_you_mean(pattern, leaves if isinstance(rule, Keep) else modules)


def _matches(rule: Rule, modules: Sequence[str], leaves: Sequence[str]) -> bool:
    if isinstance(rule, Rename):
        return any(rule.apply(path) is not None for path in modules)
    if isinstance(rule, Move):
        found = list(expanded(rule, modules))
        return bool(found) and all(name in modules for move in found for name in move.sources)
    names = leaves if isinstance(rule, Keep) else modules
    return any(match(rule.pattern, name) is not None for name in names)
