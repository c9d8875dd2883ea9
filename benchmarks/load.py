"""Load one checkpoint into live models: this package beside what people write by hand, a process each.

    python benchmarks/load.py [--rounds 3] [--layers 14] [--only nnx,mlx] [--keep]

A decoder of transformer blocks (0.8 GB in bfloat16, random; 14 layers) is written once, in PyTorch's names
and layouts. Timed is the loading alone: building the model comes before it; at the end every array is ready.
By hand means: each tensor is read with safetensors' own loader for the framework, transposed where it is a
matrix of a linear layer, and put in the place that is known. With ``--keep`` it also keeps the old values
until the end, as this package does to be able to give them back: at some GB fresh memory costs more than the
rest. Memory is the most that is resident meanwhile, the model included.

The last columns say where our time goes: import, plan, leaves. What is done with the leaves overlaps, in
threads; their seconds are added up: reading the file, handing over with the axes turned, handing over as it
lies. MLX reads the file by itself. The last row goes back, and is not taken apart.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

VOCAB, WIDTH, INNER, KEYS = 16000, 1536, 4096, 512
MATRICES = {
    **{
        f"attn.{name}": (size, WIDTH) for name, size in (("q", WIDTH), ("k", KEYS), ("v", KEYS), ("o", WIDTH))
    },
    "mlp.gate": (INNER, WIDTH),
    "mlp.up": (INNER, WIDTH),
    "mlp.down": (WIDTH, INNER),
}
NORMS = ("norm1", "norm2")


def names(layers: int) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield name, kind and shape of each tensor."""
    yield "embed", "embedding", (VOCAB, WIDTH)
    for i in range(layers):
        yield from ((f"blocks.{i}.{name}", "linear", shape) for name, shape in MATRICES.items())
        yield from ((f"blocks.{i}.{name}", "norm", (WIDTH,)) for name in NORMS)
    yield "norm", "norm", (WIDTH,)
    yield "head", "linear", (VOCAB, WIDTH)


def write(path: Path, layers: int) -> None:
    """Write the checkpoint."""
    import ml_dtypes
    import numpy as np
    from safetensors.numpy import save_file

    draw = np.random.default_rng(0)
    tensors = {
        f"{name}.weight": (draw.standard_normal(shape, "f4") * 0.02).astype(ml_dtypes.bfloat16)
        for name, _, shape in names(layers)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={"format": "pt"})


# ---- models, and how they are filled by hand -------------------------------------------------------


def _nnx(layers: int) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    rngs = nnx.Rngs(0)

    class Holder(nnx.Module):
        pass

    def layer(kind: str, shape: tuple[int, ...]) -> Any:
        if kind == "norm":
            return nnx.RMSNorm(shape[0], param_dtype=jnp.bfloat16, rngs=rngs)
        if kind == "embedding":
            return nnx.Embed(*shape, param_dtype=jnp.bfloat16, rngs=rngs)
        return nnx.Linear(*shape[::-1], use_bias=False, param_dtype=jnp.bfloat16, rngs=rngs)

    return _built(Holder, layer, nnx.List, layers)


def _built(holder: type, layer: Callable[..., Any], several: Callable[..., Any], layers: int) -> Any:
    """Put the layers into objects of a class, as their names say."""
    model = holder()
    blocks = [holder() for _ in range(layers)]
    for block in blocks:
        block.attn, block.mlp = holder(), holder()
    model.blocks = several(blocks)
    for name, kind, shape in names(layers):
        owner, *path = model, *name.split(".")
        for step in path[:-1]:
            owner = owner[int(step)] if step.isdecimal() else getattr(owner, step)
        setattr(owner, path[-1], layer(kind, shape))
    return model


def _nnx_by_hand(model: Any, path: Path) -> None:
    import jax
    import jax.numpy as jnp
    from flax import nnx
    from safetensors import safe_open

    state = nnx.state(model)
    flat = {".".join(map(str, at)): variable for at, variable in nnx.to_flat_state(state)}
    with safe_open(path, framework="flax") as file:
        for name in file.keys():  # noqa: SIM118 - the file is no dictionary
            value, at = file.get_tensor(name), name.removesuffix("weight")
            if f"{at}kernel" in flat:
                flat[f"{at}kernel"].set_value(jnp.transpose(value))
            else:
                flat[f"{at}{'embedding' if value.ndim == 2 else 'scale'}"].set_value(value)
    nnx.update(model, state)
    jax.block_until_ready(nnx.state(model))


def _tree(layers: int) -> Any:
    """Return Linen's variables."""
    import jax.numpy as jnp

    tree: dict[str, Any] = {}
    for name, kind, shape in names(layers):
        at = tree
        for step in name.replace("blocks.", "blocks_").split("."):
            at = at.setdefault(step, {})
        leaf = {"norm": "scale", "embedding": "embedding", "linear": "kernel"}[kind]
        at[leaf] = jnp.zeros(shape[::-1] if kind == "linear" else shape, jnp.bfloat16)
    return {"params": tree}


def _haiku_tree(layers: int) -> Any:
    import jax.numpy as jnp

    leaf = {"norm": "scale", "embedding": "embeddings", "linear": "w"}
    return {
        "net/~/" + name.replace("blocks.", "blocks_").replace(".", "/~/"): {
            leaf[kind]: jnp.zeros(shape[::-1] if kind == "linear" else shape, jnp.bfloat16)
        }
        for name, kind, shape in names(layers)
    }


def _tree_by_hand(tree: Any, path: Path) -> Any:
    import jax
    import jax.numpy as jnp
    from safetensors import safe_open

    by_place = {}
    with safe_open(path, framework="flax") as file:
        for name in file.keys():  # noqa: SIM118
            value = file.get_tensor(name)
            turned = value.ndim == 2 and not name.startswith("embed")
            place = tuple(name.removesuffix(".weight").replace("blocks.", "blocks_").split("."))
            by_place[place] = jnp.transpose(value) if turned else value

    def put(at: Any, _: Any) -> Any:
        words = [str(key.key).removeprefix("net/~/") for key in at if str(key.key) != "params"][:-1]
        return by_place[tuple(part for word in words for part in word.split("/~/"))]

    new = jax.tree_util.tree_map_with_path(put, tree)
    return jax.block_until_ready(new)


def _equinox(layers: int) -> Any:
    import equinox as eqx
    import jax.numpy as jnp

    class Weight(eqx.Module):
        weight: Any

    class Block(eqx.Module):
        attn: dict[str, Weight]
        mlp: dict[str, Weight]
        norm1: Weight
        norm2: Weight

    class Net(eqx.Module):
        embed: Weight
        blocks: list[Block]
        norm: Weight
        head: Weight

    made = {name: Weight(jnp.zeros(shape, jnp.bfloat16)) for name, _, shape in names(layers)}
    blocks = [
        Block(
            {word: made[f"blocks.{i}.attn.{word}"] for word in "qkvo"},
            {word: made[f"blocks.{i}.mlp.{word}"] for word in ("gate", "up", "down")},
            *(made[f"blocks.{i}.{word}"] for word in NORMS),
        )
        for i in range(layers)
    ]
    return Net(made["embed"], blocks, made["norm"], made["head"])


def _equinox_by_hand(model: Any, path: Path) -> Any:
    import jax
    from safetensors import safe_open

    with safe_open(path, framework="flax") as file:

        def put(at: Any, _: Any) -> Any:
            words = (str(getattr(key, "name", getattr(key, "idx", getattr(key, "key", "")))) for key in at)
            return file.get_tensor(".".join(words))

        return jax.block_until_ready(jax.tree_util.tree_map_with_path(put, model))


def _keras(layers: int) -> Any:
    import keras

    class Holder(keras.layers.Layer):
        pass

    def layer(kind: str, shape: tuple[int, ...]) -> Any:
        if kind == "norm":
            made = keras.layers.RMSNormalization(dtype="bfloat16")
            made.build((None, *shape))
        elif kind == "embedding":
            made = keras.layers.Embedding(*shape, dtype="bfloat16")
            made.build()
        else:
            made = keras.layers.Dense(shape[0], use_bias=False, dtype="bfloat16")
            made.build((None, shape[1]))
        return made

    return _built(Holder, layer, list, layers)


def _keras_by_hand(model: Any, path: Path) -> None:
    import numpy as np
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118
            owner = model
            for step in name.removesuffix(".weight").split("."):
                owner = owner[int(step)] if step.isdecimal() else getattr(owner, step)
            value = file.get_tensor(name)
            turned = value.ndim == 2 and not name.startswith("embed")
            owner.weights[0].assign(np.transpose(value) if turned else value)


def _mlx(layers: int) -> Any:
    import mlx.core as mx
    from mlx import nn

    class Holder(nn.Module):
        pass

    def layer(kind: str, shape: tuple[int, ...]) -> Any:
        if kind == "norm":
            return nn.RMSNorm(*shape)
        return nn.Embedding(*shape) if kind == "embedding" else nn.Linear(*shape[::-1], bias=False)

    model = _built(Holder, layer, list, layers)
    model.set_dtype(mx.bfloat16)
    mx.eval(model.parameters())
    return model


def _mlx_by_hand(model: Any, path: Path) -> None:
    import mlx.core as mx

    model.load_weights(list(mx.load(str(path)).items()))
    mx.eval(model.parameters())


def _to_torch(layers: int) -> Any:
    import jax
    import torch
    from flax import nnx

    model = _nnx(layers)
    jax.block_until_ready(nnx.state(model))
    like = {f"{name}.weight": torch.empty(shape, dtype=torch.bfloat16) for name, _, shape in names(layers)}
    return model, like


def _to_torch_by_hand(pair: Any, _: Path) -> Any:
    import numpy as np
    import torch
    from flax import nnx

    state = {}
    for at, variable in nnx.to_flat_state(nnx.state(pair[0])):
        *module, leaf = map(str, at)
        array = np.asarray(variable.get_value())
        whole = np.ascontiguousarray(array.T if leaf == "kernel" else array)
        state[".".join([*module, "weight"])] = torch.tensor(whole.view(np.int16)).view(torch.bfloat16)
    assert state.keys() == pair[1].keys()
    return state


SIDES: dict[str, tuple[Callable[[int], Any], Callable[[Any, Path], Any], str]] = {
    "nnx": (_nnx, _nnx_by_hand, ""),
    "linen": (_tree, _tree_by_hand, "linen"),
    "haiku": (_haiku_tree, _tree_by_hand, "haiku"),
    "equinox": (_equinox, _equinox_by_hand, ""),
    "keras on jax": (_keras, _keras_by_hand, ""),
    "keras on tensorflow": (_keras, _keras_by_hand, ""),
    "mlx": (_mlx, _mlx_by_hand, ""),
    "nnx to torch": (_to_torch, _to_torch_by_hand, ""),
}


# ---- measuring -------------------------------------------------------------------------------------


class Peak(threading.Thread):
    """The most that is resident, looked at every 5 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.going = 0, True

    def run(self) -> None:
        page = resource.getpagesize()
        while self.going:
            self.most = max(self.most, int(Path("/proc/self/statm").read_text().split()[1]) * page)
            time.sleep(0.005)


class Clock(dict[str, float]):
    """Seconds by what they went into, those of threads added up."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(("import", "plan", "file", "transpose", "framework"), 0.0))
        self._lock = threading.Lock()

    def timed(self, call: Callable[..., Any], what: str) -> Callable[..., Any]:
        """Return a function whose calls are timed."""

        def timed(*args: Any, **words: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*args, **words)
            finally:
                with self._lock:
                    self[what] += time.perf_counter() - start

        return timed

    def leaves(self) -> None:
        """Time what is done with each leaf."""
        from ml_switcheroo.formats import owned, parts

        parts.Part.fill = self.timed(parts.Part.fill, "file")
        hand_over = owned.Owned.hand_over

        def handed(leaves: Any, paths: Any, take: Callable[..., Any], *, copied: bool = False) -> Any:
            turned, as_it_lies = self.timed(take, "transpose"), self.timed(take, "framework")
            return hand_over(
                leaves, paths, lambda *leaf: (turned if leaf[2] else as_it_lies)(*leaf), copied=copied
            )

        owned.Owned.hand_over = handed
        if "mlx.core" in sys.modules:
            from ml_switcheroo.targets.mlx_arrays import Reader

            Reader._ready = self.timed(Reader._ready, "file")
            Reader._leaf = self.timed(Reader._leaf, "framework")


def ours(model: Any, path: Path, to: str) -> Clock:
    """Load, or go back to torch, with this package; return what took how long."""
    took, begin = Clock(), time.perf_counter()
    import ml_switcheroo as ms
    from ml_switcheroo import export, load

    took["import"] = time.perf_counter() - begin
    load.plan_into = took.timed(load.plan_into, "plan")
    export.make_plan = took.timed(export.make_plan, "plan")
    took.leaves()
    if isinstance(model, tuple):
        ms.to_torch(model[0], like=model[1])
        return took
    made = ms.load_into(model, path, to=to or None)
    _ready(made, model)
    return took


def _ready(*values: Any) -> None:
    """Wait until all that was asked for is computed."""
    jax, nnx, keras, mx = map(sys.modules.get, ("jax", "flax.nnx", "keras", "mlx.core"))
    for value in values:
        if mx is not None:
            mx.eval(value.parameters() if hasattr(value, "parameters") else [])
        elif keras is not None and isinstance(value, keras.Layer):
            _ready([variable.value for variable in value.variables])
        elif jax is not None:
            is_module = nnx is not None and isinstance(value, nnx.Module)
            jax.block_until_ready(nnx.state(value) if is_module else value)


def _values(model: Any) -> list[Any]:
    """Return the values of a model that changes in place."""
    jax, nnx, mx = map(sys.modules.get, ("jax", "flax.nnx", "mlx.core"))
    if mx is not None:
        from mlx.utils import tree_flatten

        return [value for _, value in tree_flatten(model.parameters())]
    if nnx is not None and isinstance(model, nnx.Module):
        return jax.tree.leaves(nnx.state(model))
    return [variable.value for variable in model.variables] if hasattr(model, "variables") else []


def side(name: str, whose: str, path: Path, layers: int, *, keep: bool) -> None:
    """Measure one side, and print it as JSON."""
    make, by_hand, to = SIDES[name]
    model = make(layers)
    _ready(model)
    kept = _values(model) if keep else []
    peak, took = Peak(), Clock()
    peak.start()
    start = time.perf_counter()
    if whose == "ours":
        took = ours(model, path, to)
    else:
        by_hand(model, path)
        _ready(model)
    seconds = time.perf_counter() - start
    peak.going = False
    peak.join()
    del kept
    print(json.dumps({"seconds": seconds, "memory": peak.most / 1e6, **took}))


COLUMNS = (
    "into",
    "ours, s",
    "by hand, s",
    "ours / by hand",
    "memory",
    "import, s",
    "plan, s",
    "leaves, s",
    "file",
    "turned",
    "as it lies",
)


def main() -> None:
    """Print a row for each target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=14)
    parser.add_argument("--only", default=",".join(SIDES))
    parser.add_argument("--keep", action="store_true", help="by hand, old values are kept as well")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    path = Path(tempfile.gettempdir()) / f"load-{options.layers}" / "model.safetensors"
    if options.side:
        side(*options.side, path, options.layers, keep=options.keep)
        return
    if not path.exists():
        write(path, options.layers)
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    for name in options.only.split(","):
        backend = "tensorflow" if name.endswith("tensorflow") else "jax"
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "KERAS_BACKEND": backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        runs: dict[str, list[dict[str, float]]] = {"hand": [], "ours": []}
        for _ in range(options.rounds):
            for whose, found in runs.items():
                command = [sys.executable, __file__, "--layers", str(options.layers), "--side", name, whose]
                command += ["--keep"] * (options.keep and whose == "hand")
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(f"{name}, {whose}: {done.stderr[-2000:]}")
                found.append(json.loads(done.stdout.splitlines()[-1]))
        mine, theirs = (
            {key: statistics.median(run[key] for run in found) for key in found[0]}
            for found in (runs["ours"], runs["hand"])
        )
        ratio = (
            statistics.median(a["seconds"] / b["seconds"] for a, b in zip(*runs.values(), strict=True)) ** -1
        )
        memory = mine["memory"] / theirs["memory"]
        leaves = mine["seconds"] - mine["plan"] - mine["import"]
        numbers = [mine["seconds"], theirs["seconds"], ratio, memory, mine["import"], mine["plan"], leaves]
        numbers += [mine[what] for what in ("file", "transpose", "framework")]
        print(f"| {name} | " + " | ".join(f"{number:.2f}" for number in numbers) + " |", flush=True)


if __name__ == "__main__":
    main()
