"""From a fit to findings: a kind for each module, with the constructor call that shows it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from ml_switcheroo.computed import Computed
from ml_switcheroo.layers import LAYERS, OWN
from ml_switcheroo.sources.findings import Finding, Knowledge
from ml_switcheroo.sources.static.python.containing import contained
from ml_switcheroo.sources.static.python.values import Instance, Site, Value, known
from ml_switcheroo.sources.static.reading.attempt import Attempt
from ml_switcheroo.sources.static.reading.computing import computed_of, pools_of
from ml_switcheroo.sources.static.reading.fit import Claim, Fit
from ml_switcheroo.sources.static.reading.forward import uses
from ml_switcheroo.sources.static.torch.flatten import Use, steps_flattened, used_as
from ml_switcheroo.sources.static.torch.nn import reparametrized
from ml_switcheroo.sources.static.torch.parameter_uses import uses_of
from ml_switcheroo.sources.static.torch.use_verdicts import ParameterUses, turned_as, written_as
from ml_switcheroo.sources.static.torch.values import Tensor
from ml_switcheroo.tensors import TensorSpec

__all__ = ["knowledge_of"]

_LONGEST = 100


def knowledge_of(attempt: Attempt, specs: Mapping[str, TensorSpec]) -> Knowledge:
    """Return what a reading says of the checkpoint."""
    found = attempt.fit
    if attempt.machine.blind:
        return Knowledge(notes=(f"{attempt.machine.blind} runs code made at run time: nothing is certain.",))
    resized = {name.rpartition(".")[0] for name in found.wrong}
    keys = _claims(attempt, specs)
    parameters = parameters_of(attempt, specs)
    failed: list[str] = []
    used = uses(attempt, specs, failed)
    findings: dict[str, Finding] = {}
    candidates: dict[str, tuple[Finding, ...]] = {}
    for key, makers in keys.items():
        said = [_finding(claim, key in resized) for claim in makers.values() if claim.kind]
        certain = len(said) == len(makers) and len({one.kind for one in said}) == 1
        kinds = [_agreed(said)] if certain else list({one.kind: one for one in said}.values())
        kinds = [turned_as(one, parameters.turned.get(key)) for one in kinds]
        kinds = [_chosen(one, attempt.reasons.get((key, one.kind), "")) for one in kinds]
        possible = tuple(one for kind in kinds for one in used_as(kind, used.get(key, Use())))
        if certain and len(possible) == 1:
            findings[key] = possible[0]
        elif possible:
            candidates[key] = possible
    _split_conflicts(found, findings, candidates)
    what = f"{attempt.label}:{attempt.name}: what it computes without weights"
    computed: dict[str, tuple[Computed, ...]] = contained(what, partial(computed_of, attempt), {}, failed)
    return Knowledge(
        MappingProxyType(dict(sorted(findings.items()))),
        MappingProxyType(dict(sorted(candidates.items()))),
        MappingProxyType(_containers(found, specs)),
        _tied(found),
        (*_notes(attempt, specs), *_flattened_steps(findings, used), *failed, *parameters.notes),
        computed=MappingProxyType(computed),
        pools=MappingProxyType(pools_of(attempt)),
        uses=MappingProxyType(parameters.uses),
        more=MappingProxyType(parameters.more),
        written=MappingProxyType(written_as(parameters, "static")),
    )


def parameters_of(attempt: Attempt, specs: Mapping[str, TensorSpec]) -> ParameterUses:
    """Return what the code does with the parameters of the modules that the checkpoint chose."""
    sizes = attempt.fit.sizes.items()
    solved = {name: min(real) for name, real in sizes if name and len(real) == 1}
    modules = [(path, made[0]) for path, made in attempt.fit.modules.items() if len(made) == 1]
    return uses_of(attempt.machine.library, modules, specs, {**attempt.machine.solved, **solved})


def _claims(attempt: Attempt, specs: Mapping[str, TensorSpec]) -> dict[str, dict[tuple[str, int], Claim]]:
    """Return by key what a module (or a tensor of the user's own) may be.

    A layer with a tensor more or less in the checkpoint is not what the code says; neither are a
    class's own tensors that are a layer of torch.nn together with one more.
    """
    found = attempt.fit
    keys: dict[str, dict[tuple[str, int], Claim]] = {}
    for name, claims in found.claims.items():
        for claim in claims:
            if name not in found.misfits:
                keys.setdefault(claim.key, {}).setdefault((claim.kind, id(claim.maker)), claim)
    for name in (*found.missing, *found.extra):
        keys.pop(name.rpartition(".")[0], None)
    for path in {name.rpartition(".")[0] for name in found.extra}:
        beside = [name for name in specs if name.rpartition(".")[0] == path]
        slots = {name.rpartition(".")[2] for name in beside}
        if any(slots <= layer.slots.keys() for layer in LAYERS.values()):
            for name in beside:
                keys.pop(name, None)
    for claims in attempt.doubts.values():
        for claim in claims:
            keys.setdefault(claim.key, {}).setdefault((claim.kind, id(claim.maker)), claim)
    return keys


def _chosen(finding: Finding, why: str) -> Finding:
    """Return a finding with the argument of the model that makes it so."""
    return replace(finding, reason=f"{finding.reason}, where {why}") if why else finding


def _split_conflicts(
    found: Fit, findings: dict[str, Finding], candidates: dict[str, tuple[Finding, ...]]
) -> None:
    """Make candidates of findings that claim the same tensor under different keys."""
    for claims in found.claims.values():
        keys = dict.fromkeys(claim.key for claim in claims)
        if len(keys) > 1:
            said = [findings.pop(key) for key in keys if key in findings]
            for key in keys:
                before = candidates.get(key, ())
                candidates[key] = before + tuple(one for one in said if one not in before)


def _agreed(said: list[Finding]) -> Finding:
    first = said[0]
    if len(said) == 1:
        return first
    shared = {
        name: value
        for name, value in first.args.items()
        if all(name in other.args and other.args[name] == value for other in said)
    }
    return replace(first, args=MappingProxyType(shared))


def _finding(claim: Claim, resized: bool) -> Finding:
    maker = claim.maker
    reason, where = _shown(maker.site, maker)
    args = maker.args if isinstance(maker, Instance) and not resized else {}
    # What is left out has its default; a size that the layout depends on is said all the same.
    whole = isinstance(maker, Instance) and not maker.args_open and not resized
    layer = LAYERS[claim.kind]
    sizes = {n: v for n, v in layer.defaults.items() if n in layer.sizes.values()} if whole else {}
    sizes |= {n: v for n, v in layer.window.items() if n not in args} if whole else {}
    stated = sizes | {
        name: _plain(value)
        for name, value in args.items()
        if known(value) and (value is not None or name == "momentum")
    }
    if isinstance(maker, Instance) and (moved := reparametrized(maker)):
        stated["reparametrized"] = tuple((name, *marks.split(", ")) for name, marks in moved.items())
    if isinstance(maker, Instance) and maker.base in OWN:
        stated["written"] = True  # by a class that has no defaults of torch's
    return Finding(claim.kind, "static", reason, where, MappingProxyType(stated))


def _plain(value: Value) -> Value:
    return tuple(_plain(item) for item in value) if isinstance(value, list | tuple) else value


def _shown(site: Site | None, maker: Instance | Tensor) -> tuple[str, str]:
    if site is None:
        return ("made in the code", "")
    text = (
        ast.unparse(site.node)
        if isinstance(site.node, ast.expr)
        else f"class {getattr(site.node, 'name', '')}"
    )
    text = " ".join(text.split())
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 3]}..."
    cls = maker.base if isinstance(maker, Instance) else ""
    called = text.partition("(")[0].rpartition(".")[2]
    if cls in OWN:
        return f"{text}: by the row of {cls}", site.where
    return (f"{text}: nn.{cls}" if cls and called != cls else text), site.where


def _containers(found: Fit, specs: Mapping[str, TensorSpec]) -> dict[str, str]:
    used = {
        ".".join(parts[:end]) for name in specs for parts in [name.split(".")] for end in range(len(parts))
    }
    return {path: kind for path, kind in sorted(found.containers.items()) if path in used}


def _tied(found: Fit) -> tuple[tuple[str, ...], ...]:
    groups: dict[tuple[int, str], list[str]] = {}
    for name, maker in found.makers.items():
        groups.setdefault(maker, []).append(name)
    return tuple(
        tuple(names)
        for names in groups.values()
        if len(names) > 1 and not found.claims.keys().isdisjoint(names)
    )


def _notes(attempt: Attempt, specs: Mapping[str, TensorSpec]) -> list[str]:
    found, who = attempt.fit, f"{attempt.label}:{attempt.name}"
    if attempt.failure:
        return [f"{who} could not be followed: {attempt.failure}."]
    if not found.claims and specs:
        return [f"{who} makes none of the checkpoint's {len(specs)} tensors."]
    notes = []
    for names, text in (
        (found.extra, "does not make"),
        (found.missing, "also makes, and the checkpoint lacks,"),
        (found.wrong, "makes in another shape"),
    ):
        if names:
            notes.append(f"{who} {text} {_listed(names)}.")
    return notes


def _flattened_steps(findings: Mapping[str, Finding], used: Mapping[str, Use]) -> Iterator[str]:
    """Say where a recurrent layer takes a flattened image: no recipe permutes its columns."""
    for path, finding in findings.items():
        yield from steps_flattened(path, finding.kind, used.get(path, Use()))


def _listed(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
