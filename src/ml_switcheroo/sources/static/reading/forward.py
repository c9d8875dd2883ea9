"""``forward`` of a model that was read, followed once with the layers the checkpoint chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from ml_switcheroo.layers import BASE_OF_CLASS, own_name
from ml_switcheroo.sources.static.python.containing import contained
from ml_switcheroo.sources.static.python.observing import observing
from ml_switcheroo.sources.static.python.values import Instance, options
from ml_switcheroo.sources.static.reading.attempt import Attempt
from ml_switcheroo.sources.static.reading.observed import Observed
from ml_switcheroo.sources.static.torch.flatten import WEIGHTS, Layer, Use, known, used, with_parts
from ml_switcheroo.sources.static.torch.following import Inputs, run_forward
from ml_switcheroo.sources.static.torch.rows.reading import Read, read_parts
from ml_switcheroo.sources.static.torch.storage import following_storage
from ml_switcheroo.sources.static.torch.values import Tensor
from ml_switcheroo.tensors import TensorSpec

__all__ = ["follow", "observed", "uses"]


def follow(attempt: Attempt, layers: Sequence[Layer], notes: list[str], inputs: Inputs | None = None) -> None:
    """Follow ``forward`` once, with what the checkpoint has shown of sizes.

    Args:
        attempt: The reading of the model.
        layers: Its layers.
        notes: Where it is said that ``forward`` could not be followed.
        inputs: What it is given.
    """
    sizes = attempt.fit.sizes.items()
    attempt.machine.solved.update({name: min(real) for name, real in sizes if name and len(real) == 1})
    known(layers)
    for root in options(attempt.value):
        if isinstance(root, Instance):
            what = f"{attempt.label}:{attempt.name}.forward"
            contained(what, partial(run_forward, attempt.machine, root, inputs or Inputs()), None, notes)


def observed(
    attempt: Attempt, specs: Mapping[str, TensorSpec], notes: list[str], inputs: Sequence[Sequence[int]] = ()
) -> Observed:
    """Return what each expression of ``forward`` is.

    Args:
        attempt: The reading of the model.
        specs: The checkpoint.
        notes: Where it is said that ``forward`` could not be followed.
        inputs: The shapes of the first arguments; any further one is a tensor of any shape.
    """
    found = Observed()
    with (
        following_storage(attempt.machine) as found.storages,
        observing(attempt.machine, found) as found.frames,
    ):
        follow(attempt, layers_of(attempt, specs), notes, Inputs(inputs, apart=True))
    return found


def layers_of(attempt: Attempt, specs: Mapping[str, TensorSpec]) -> list[Layer]:
    """Return the layers of a reading, with what the checkpoint has of them."""
    return [_layer(path, modules, specs) for path, modules in attempt.fit.modules.items()]


def uses(attempt: Attempt, specs: Mapping[str, TensorSpec], notes: list[str]) -> dict[str, Use]:
    """Return what each layer is given and what becomes of its output, as far as ``forward`` shows it.

    Args:
        attempt: The reading of the model.
        specs: The checkpoint.
        notes: Where it is said that ``forward`` could not be followed.

    Returns:
        The uses by module path.
    """
    layers = layers_of(attempt, specs)
    follow(attempt, layers, notes)
    own = {
        id(claim.maker): (name, specs[name].shape)
        for name, claims in attempt.fit.claims.items()
        for claim in claims
        if isinstance(claim.maker, Tensor) and name in specs
    }
    found = used(layers, attempt.machine, own)
    tensors = {
        name: [claim.maker for claim in claims if isinstance(claim.maker, Tensor) and claim.key == name]
        for name, claims in attempt.fit.claims.items()
    }
    what = f"{attempt.label}:{attempt.name}: what its rows are for"
    read = partial(read_parts, attempt.machine, attempt.fit.modules, tensors, specs)
    return with_parts(found, contained(what, read, Read({}, {}), notes))


def _layer(path: str, modules: Sequence[Instance], specs: Mapping[str, TensorSpec]) -> Layer:
    slots = dict.fromkeys(own_name(made.base, slot) for made in modules for slot in WEIGHTS)
    names = (f"{path}.{slot}" if path else slot for slot in slots)
    pieces = (f"{path}.{slot}" for slot in ("weight_v", "weight_orig", "parametrizations.weight.original1"))
    shape = next((specs[name].shape for name in (*names, *pieces) if name in specs), ())
    groups = modules[0].args.get("groups", 1) if modules else 1
    kinds = {BASE_OF_CLASS.get(made.base, "") for made in modules}
    kind = kinds.pop() if len(kinds) == 1 else ""
    return Layer(tuple(modules), path, kind, shape, groups if isinstance(groups, int) else 0)
