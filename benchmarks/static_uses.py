"""Prove on running models what ``forward`` was read to do: flattens before linears, fused projections.

No key of a checkpoint shows either, so the models decide. Behind a Flatten of ``(c h w)`` the channels of
the convolution are permuted, with all that is kept per channel up to the Linear, and the columns of the
Linear by the axes found: its output has to stay as it is, and to change where the columns are permuted as
``(h w c)``. Of a fused projection single outputs are disturbed: by the axes found that reaches one head (of
a value: one column) of the layer that takes the result, and no other; a query is felt at its own token
alone, a key at others too.

    python benchmarks/static_uses.py                       # a sample of each library
    python benchmarks/static_uses.py timm --every 1 --per-file 2
    python benchmarks/static_uses.py timm --only vgg11 --verbose
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import static
import torch
from torch import nn

from ml_switcheroo.sources.findings import Flatten, Part
from ml_switcheroo.sources.static import read_layers

CONFIRMED, REFUTED, UNTESTED = "confirmed", "refuted", "not testable"
LARGEST = 150_000_000
"""Parameters of the largest model that is run."""


@dataclass(frozen=True)
class Verdict:
    """What running a model says of one finding."""

    what: str
    path: str
    answer: str
    why: str = ""


Run = Callable[[], Any]


def prove(case: static.Case) -> list[Verdict]:
    """Build a model, read its source, and test every flatten and projection that was found."""
    torch.manual_seed(0)
    try:
        model = case.build().eval()
    except static.BUILD_ERRORS:
        return []
    if sum(parameter.numel() for parameter in model.parameters()) > LARGEST:
        return []
    known = read_layers(case.spec, static.specs_of(model), root=case.root)
    # Where it is open what is flattened before a layer, how its output is divided may still be known.
    divided_alike = {
        path: replace(found[0], flatten=None)
        for path, found in known.candidates.items()
        if len({one.parts for one in found}) == 1
    }
    findings = {**known.findings, **divided_alike}
    _stir(model)
    run = _runner(model)
    verdicts, seen = [], set()
    for path, found in findings.items():
        if found.flatten is not None and found.flatten.channels > 1 and found.kind == "linear":
            answer, why = (
                (UNTESTED, "no input runs") if run is None else flattened(model, run, path, found.flatten)
            )
            verdicts.append(Verdict("flatten", path, answer, why))
        parent = type(model.get_submodule(path.rpartition(".")[0])) if path else None
        alike = (parent, found.parts)
        if found.parts is not None and alike not in seen:
            seen.add(alike)
            answer, why = (
                (UNTESTED, "no input runs") if run is None else divided(model, run, path, found.parts.parts)
            )
            verdicts.append(Verdict("parts", path, answer, why))
    return verdicts


def _stir(model: nn.Module) -> None:
    """Take away what hides a mistake: tensors of zeros or ones alone."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() > 1 and parameter.is_floating_point() and parameter.std() < 1e-3:
                parameter.add_(0.1 * torch.randn_like(parameter))


def _runner(model: nn.Module) -> Run | None:
    """Return a call of the model on an input it takes; None where none was found."""
    for args, keywords in _inputs(model):

        def run(args: Any = args, keywords: Any = keywords) -> Any:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return model(*args, **keywords)

        try:
            run()
        except Exception:  # noqa: BLE001 - whatever a foreign model raises: the next input
            continue
        return run
    return None


def _inputs(model: nn.Module) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    config = getattr(model, "config", None)
    size = getattr(config, "image_size", None) or (getattr(model, "default_cfg", None) or {}).get(
        "input_size", 224
    )
    sides = tuple(size)[-2:] if isinstance(size, tuple | list) else (size, size)
    ids = torch.randint(5, 90, (2, 12))
    if config is not None:
        yield (), {"input_ids": ids}
        yield (), {"input_ids": ids, "decoder_input_ids": ids}
        yield (), {"pixel_values": torch.randn(2, getattr(config, "num_channels", 3), *sides)}
        yield (), {"input_ids": ids, "pixel_values": torch.randn(2, 3, *sides)}
        yield (), {"input_values": torch.randn(2, 4000)}
        yield (), {"input_features": torch.randn(2, 80, 3000), "decoder_input_ids": ids}
    for side in dict.fromkeys([sides, (224, 224), (256, 256), (64, 64)]):
        yield (torch.randn(2, 3, *side),), {}


# Flattens ---------------------------------------------------------------------------------


def flattened(model: nn.Module, run: Run, path: str, found: Flatten) -> tuple[str, str]:
    """Tell whether the input axis of a linear is ``(c *space)``, of the channels of a module."""
    linear, maker = model.get_submodule(path), model.get_submodule(found.of)
    between, before = _between(model, run, maker, linear)
    if before is None:
        return UNTESTED, "it does not run"
    order = torch.randperm(found.channels)
    columns = torch.arange(linear.in_features)
    right = columns.view(found.channels, -1)[order].flatten()
    wrong = columns.view(-1, found.channels)[:, order].flatten()
    if torch.equal(right, wrong):
        return UNTESTED, "one place a channel: any order is the same"
    answers = []
    for chosen in (right, wrong):
        with ExitStack() as stack:
            for module in between:
                for tensor in (*module._parameters.values(), *module._buffers.values()):
                    if tensor is not None and tensor.ndim and tensor.shape[0] == found.channels:
                        stack.enter_context(_changed(tensor, tensor[order]))
            stack.enter_context(_changed(linear.weight, linear.weight[:, chosen]))
            stack.enter_context(_hooked(maker, lambda out: out[:, order]))
            answers.append(_alike(before, _output_of(run, linear)))
    mixing = [
        module
        for module in between
        if isinstance(module, nn.Linear | nn.Conv2d) and getattr(module, "groups", 1) == 1
    ]
    if answers == [True, False]:
        return CONFIRMED, ""
    return (
        (UNTESTED, f"{type(mixing[0]).__name__} between")
        if mixing
        else (REFUTED, f"as found, else: {answers}")
    )


def _between(model: nn.Module, run: Run, maker: nn.Module, linear: nn.Module) -> tuple[list[nn.Module], Any]:
    called: list[nn.Module] = []
    outputs: list[torch.Tensor] = []

    def note(module: nn.Module, out: Any) -> None:
        if module is maker:
            called.clear()
        elif module is linear:
            outputs.append(out)
        elif not outputs and not list(module.children()):
            called.append(module)

    with ExitStack() as stack:
        for module in model.modules():
            stack.enter_context(_hooked(module, partial(note, module)))
        run()
    return called, outputs[0] if outputs else None


def _output_of(run: Run, module: nn.Module) -> Any:
    outputs: list[Any] = []
    with _hooked(module, outputs.append):
        run()
    return outputs[0]


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).abs().max() <= 1e-4 * one.abs().max())


@contextmanager
def _hooked(module: nn.Module, act: Callable[[Any], Any]) -> Iterator[None]:
    """Hand every output of a module over; what comes back takes its place, unless it is None."""
    handle = module.register_forward_hook(lambda _module, _args, out: act(out))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _changed(tensor: torch.Tensor, by: torch.Tensor) -> Iterator[None]:
    kept = tensor.detach().clone()
    with torch.no_grad():
        tensor.copy_(by)
    try:
        yield
    finally:
        with torch.no_grad():
            tensor.copy_(kept)


# Splits -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """A projection, the layer that takes the result, and how to run the part of the model around them."""

    run: Run
    layer: nn.Module
    taker: nn.Module
    width: int
    before: torch.Tensor

    def reached(self, row: int, token: int | None = None) -> tuple[frozenset[int], int]:
        """Return which columns of the taker change with one output of the layer, and at how many tokens."""

        def disturb(out: torch.Tensor) -> torch.Tensor:
            changed = out.clone()
            rows = changed.view(-1, changed.shape[-1])
            noise = torch.linspace(-2, 3, len(rows)).cos() * (
                10 * out.std() + 1
            )  # no constant: softmax hides it
            chosen = slice(None) if token is None else token
            rows[chosen, row] += noise[chosen]
            return changed

        with _hooked(self.layer, disturb):
            after = _taken(self.run, self.taker)
        change = (after - self.before).abs().reshape(-1, self.width)
        felt = change > 1e-6 * self.before.abs().max()
        return frozenset(felt.any(0).nonzero().flatten().tolist()), int(felt.any(1).sum())


def divided(model: nn.Module, run: Run, path: str, found: tuple[Part, ...]) -> tuple[str, str]:
    """Tell whether the outputs of a linear are the parts and heads found, in that order."""
    if {part.role for part in found} & {"o", "down"}:
        return UNTESTED, "it takes a result itself"
    if len({part.size for part in found}) > 1:
        return UNTESTED, "parts of several sizes"
    layer = model.get_submodule(path)
    probe = None
    parent = path
    while probe is None and parent:
        parent = parent.rpartition(".")[0]
        probe = _probe(model.get_submodule(parent), run, layer, found[0].size)
    if probe is None:
        return UNTESTED, "no layer takes the result"
    heads = {part.heads for part in found if part.heads is not None}
    return _by_heads(probe, found, *heads) if len(heads) == 1 else _by_parts(probe, found)


def _probe(parent: nn.Module, run: Run, layer: nn.Module, width: int) -> Probe | None:
    """Find the first linear behind a layer whose input has the width of a part, or a multiple of it."""
    calls: list[tuple[Any, Any]] = []
    order: list[nn.Module] = []

    def arrive(_module: nn.Module, args: Any, keywords: Any) -> None:
        calls.append((args, keywords))

    handle = parent.register_forward_pre_hook(arrive, with_kwargs=True)
    with ExitStack() as stack:
        for module in parent.modules():
            stack.enter_context(_hooked(module, lambda _out, module=module: order.append(module)))
        run()
    handle.remove()
    if not calls or layer not in order:
        return None
    args, keywords = calls[0]

    def again() -> Any:
        with torch.no_grad():
            return parent(*args, **keywords)

    for module in order[order.index(layer) + 1 :]:
        size = getattr(module, "in_features", 0) or (module.weight.shape[0] if hasattr(module, "nf") else 0)
        if module is not layer and size and size % width == 0:
            try:
                return Probe(again, layer, module, size, _taken(again, module))
            except (RuntimeError, TypeError, ValueError, IndexError):
                return None  # what surrounds it cannot be run twice
    return None


def _taken(run: Run, module: nn.Module) -> torch.Tensor:
    inputs: list[torch.Tensor] = []
    handle = module.register_forward_pre_hook(lambda _module, args: inputs.append(args[0].detach().clone()))
    try:
        run()
    finally:
        handle.remove()
    return inputs[0]


def _by_heads(probe: Probe, found: tuple[Part, ...], heads: int) -> tuple[str, str]:
    if found[0].size % heads:
        return UNTESTED, "the heads do not make up the part"
    if heads == 1:
        return UNTESTED, "one head: any order is the same"
    dim = found[0].size // heads
    block = probe.width // heads
    lone: dict[int, bool] = {}
    whole_heads = set()
    for part, one in enumerate(found):
        for head in dict.fromkeys((0, 1, heads - 1)):
            columns, _ = probe.reached(one.rows[head * dim + min(1, dim - 1)])
            if not columns or len(columns) == probe.width:
                return UNTESTED, "what is between reaches all columns, or none"
            whole = frozenset(range(head * block, (head + 1) * block))
            if not columns <= whole:
                if not _is_block(columns, probe.width):
                    return UNTESTED, "what is between mixes the heads"
                return (
                    REFUTED,
                    f"part {part}, head {head} reaches {sorted(columns)[:4]} ..., not {min(whole)} ...",
                )
            if len(columns) > 1 and columns != whole and _is_block(columns, probe.width):
                return REFUTED, f"part {part}, head {head} reaches {len(columns)} columns, not {block}"
            own = head * block + min(1, dim - 1)
            whole_heads.add(columns == whole or (block == dim and columns == {own}))
            lone[part] = lone.get(part, True) and len(columns) == 1
    if whole_heads != {True}:
        return UNTESTED, "a head is reached in part"
    return _by_role(probe, found, lone)


def _is_block(columns: frozenset[int], width: int) -> bool:
    """Tell whether columns are one of the equal blocks that a width is made of."""
    size, first = len(columns), min(columns)
    return width % size == 0 and first % size == 0 and columns == frozenset(range(first, first + size))


def _by_parts(probe: Probe, found: tuple[Part, ...]) -> tuple[str, str]:
    width = found[0].size
    if probe.width != width:
        return UNTESTED, "what takes the result is of another width"
    lone: dict[int, bool] = {}
    for part, one in enumerate(found):
        for column in dict.fromkeys((0, 1, width - 1)):
            columns, _ = probe.reached(one.rows[column])
            if not columns or len(columns) == width != 1:
                return UNTESTED, "what is between reaches all columns, or none"
            if column not in columns:
                if not _is_block(columns, width):
                    return UNTESTED, "what is between mixes the columns"
                return REFUTED, f"part {part}, column {column} reaches {sorted(columns)[:4]} ..."
            lone[part] = lone.get(part, True) and len(columns) == 1
    if not any(lone.values()):
        return UNTESTED, "no part keeps its columns apart"
    return _by_role(probe, found, lone)


def _by_role(probe: Probe, found: tuple[Part, ...], lone: dict[int, bool]) -> tuple[str, str]:
    """Compare which part is the value, and which the query, with what the parts are said to be."""
    values = [part for part, alone in lone.items() if alone]
    if sorted(one.role for one in found) != ["k", "q", "v"] or len(values) != 1:
        return CONFIRMED, ""
    token = probe.before.numel() // probe.width // 4
    queries = [
        part for part in range(3) if part not in values and probe.reached(found[part].rows[1], token)[1] == 1
    ]
    if len(queries) != 1:
        return CONFIRMED, "the roles of query and key do not show"
    real = {values[0]: "v", queries[0]: "q"}
    said = [one.role for one in found]
    wrong = [part for part, role in real.items() if said[part] != role]
    return (REFUTED, f"said to be {said}, but they are {real}") if wrong else (CONFIRMED, "with roles")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("suites", nargs="*", help=f"{', '.join(static.SUITES)}; all where nothing is named")
    parser.add_argument("--every", type=int, default=1, help="take each n-th model")
    parser.add_argument("--start", type=int, default=0, help="begin with this one")
    parser.add_argument("--per-file", type=int, default=1, help="at most so many models of one source file")
    parser.add_argument("--only", action="append", help="models by name")
    parser.add_argument("--verbose", action="store_true", help="show every verdict")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    for suite in options.suites or static.SUITES:
        counts: Counter[tuple[str, str]] = Counter()
        models = 0
        for case in static.chosen(static.SUITES[suite](), options):
            verdicts = prove(case)
            models += bool(verdicts)
            counts.update((verdict.what, verdict.answer) for verdict in verdicts)
            for verdict in verdicts:
                if options.verbose or verdict.answer == REFUTED:
                    told = f"{verdict.what:8} {verdict.path:40} {verdict.answer} {verdict.why}"
                    print(f"    {case.name:40} {told}", flush=True)
        for what in ("flatten", "parts"):
            told = ", ".join(f"{counts[what, answer]} {answer}" for answer in (CONFIRMED, REFUTED, UNTESTED))
            print(f"{suite:12} {what:8} {told}  ({models} models)", flush=True)


if __name__ == "__main__":
    main()
