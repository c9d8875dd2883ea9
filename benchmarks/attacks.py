"""Attack pairs of conversions, count what is filled wrongly: `python benchmarks/attacks.py FOLDER`.

FOLDER holds pairs as `benchmarks/pairs/make.py` writes them (`source.safetensors`, `source_modules.json`,
`target_spec.json`, `reference.safetensors`, `provenance.json`). Each attack spoils a pair at random, always
in the same way. A leaf is right if it is the reference bit for bit; it is silent if it is filled otherwise,
or although what belongs there is gone.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import ml_switcheroo as ms

Shape = tuple[int, ...]
WORDS = ("extra", "shadow", "adapter", "spare", "zorp")


@dataclass(frozen=True)
class Pair:
    """One conversion.

    Attributes:
        to: The target.
        source: The checkpoint.
        kinds: The class and attributes of each module of it.
        leaves: The shapes of the target's leaves.
        wanted: What belongs in each leaf; None where nothing does any more.
        origins: The tensors that each leaf is made of.
        tied: The leaves of which any one of these tensors is enough: they are the same.
    """

    to: str
    source: Mapping[str, np.ndarray]
    kinds: Mapping[str, tuple[str, Mapping[str, object]]]
    leaves: Mapping[str, Shape]
    wanted: Mapping[str, np.ndarray | None]
    origins: Mapping[str, tuple[str, ...]]
    tied: frozenset[str]


FRAMEWORKS = {
    "bonsai": "nnx",
    "hf_flax": "linen",
    "hf_tf": "keras",
    "keras_hub": "keras",
    "keras_hub_timm": "keras",
}
FRAMEWORKS |= {"levanter": "jax", "penzai": "jax", "mlx_examples": "mlx", "mlx_lm": "mlx"}


def read(folder: Path) -> Pair:
    """Read a pair."""
    modules, spec, meta, provenance = (
        json.loads((folder / f"{name}.json").read_text())
        for name in ("source_modules", "target_spec", "meta", "provenance")
    )
    tensors = load_file(folder / "source.safetensors")
    reference = load_file(folder / "reference.safetensors")
    own = set(meta.get("not_from_source", ()))
    return Pair(
        meta.get("to") or FRAMEWORKS[folder.name.split("__")[0]],
        {entry["name"]: tensors[entry["name"]] for entry in modules["tensors"]},
        {entry["path"]: (entry["class"], entry["attrs"]) for entry in modules["modules"]},
        {entry["path"]: tuple(entry["shape"]) for entry in spec},
        {path: None if path in own else array for path, array in reference.items()},
        {path: tuple(entry["from"]) for path, entry in provenance.items()},
        frozenset(path for path, entry in provenance.items() if entry["kind"] == "single"),
    )


def without(pair: Pair, gone: set[str]) -> Pair:
    """Take tensors out of the checkpoint: nothing belongs in the leaves that they make up."""
    lost = {
        path
        for path, names in pair.origins.items()
        if names and (gone >= set(names) if path in pair.tied else gone & set(names))
    }
    return replace(
        pair,
        source={name: array for name, array in pair.source.items() if name not in gone},
        wanted={path: None if path in lost else array for path, array in pair.wanted.items()},
    )


def of_module(name: str) -> str:
    """Return the module of a tensor."""
    return name.rpartition(".")[0]


def module_dropped(pair: Pair, chance: random.Random) -> Pair:
    """Drop one module, of one block."""
    module = chance.choice(sorted({of_module(name) for name in pair.source}))
    return without(pair, {name for name in pair.source if of_module(name) == module})


def sort_dropped(pair: Pair, chance: random.Random) -> Pair:
    """Drop one module in all blocks."""
    module = re.sub(r"\d+", "#", of_module(chance.choice(sorted(pair.source))))
    return without(pair, {name for name in pair.source if re.sub(r"\d+", "#", of_module(name)) == module})


def half_dropped(pair: Pair, chance: random.Random) -> Pair:
    """Drop half of the tensors."""
    return without(pair, {name for name in pair.source if chance.random() < 0.5})


def called_otherwise(path: str, separator: str, chance: random.Random) -> str:
    """Give the module of a path a name of its own."""
    head, _, slot = path.rpartition(separator)
    above, dot, own = head.rpartition(separator)
    word = chance.choice(WORDS)
    return f"{above}{dot}{chance.choice((word, f'{own}_{word}', f'{word}_{own}'))}{separator}{slot}"


def leaves_added(pair: Pair, chance: random.Random) -> Pair:
    """Put leaves beside others that nothing belongs to."""
    chosen = chance.sample(sorted(pair.leaves), min(3, len(pair.leaves)))
    more = {called_otherwise(path, "/", chance): pair.leaves[path] for path in chosen}
    more = {path: shape for path, shape in more.items() if path not in pair.leaves}
    return replace(pair, leaves={**pair.leaves, **more}, wanted={**pair.wanted, **dict.fromkeys(more)})


def tensors_added(pair: Pair, chance: random.Random) -> Pair:
    """Put tensors beside others that belong nowhere."""
    chosen = chance.sample(sorted(pair.source), min(3, len(pair.source)))
    more = {called_otherwise(name, ".", chance): pair.source[name] for name in chosen}
    more = {name: np.flip(array) + 1 for name, array in more.items() if name not in pair.source}
    return replace(pair, source={**pair.source, **more})


def copied(pair: Pair, chance: random.Random) -> Pair:
    """Add a copy of the whole model with other values."""
    root = chance.choice(("ema", "teacher", "shadow"))
    return replace(
        pair, source={**pair.source, **{f"{root}.{n}": np.flip(a) + 1 for n, a in pair.source.items()}}
    )


def words_replaced(pair: Pair, chance: random.Random) -> Pair:
    """Replace a word of the target's paths, wherever it stands, by one that nobody knows."""
    parts = {part for path in pair.leaves for part in path.split("/")[:-1]}
    words = sorted({word for part in parts for word in part.split("_") if word and not word.isdecimal()})
    if not words:
        return pair
    old = chance.choice(words)

    def new(path: str) -> str:
        *above, slot = path.split("/")
        spelled = ["_".join("gnarl" if word == old else word for word in part.split("_")) for part in above]
        return "/".join([*spelled, slot])

    names = {path: new(path) for path in pair.leaves}
    return replace(
        pair,
        leaves={names[path]: shape for path, shape in pair.leaves.items()},
        wanted={names.get(path, path): array for path, array in pair.wanted.items()},
        origins={names.get(path, path): found for path, found in pair.origins.items()},
        tied=frozenset(names.get(path, path) for path in pair.tied),
    )


def kernels_turned(pair: Pair, _: random.Random) -> Pair:
    """Keep every matrix of the target the other way round."""
    turned = {
        path for path, shape in pair.leaves.items() if len(shape) == 2 and path.endswith(("kernel", "weight"))
    }
    if all(len(set(pair.leaves[path])) == 1 for path in turned):
        return pair  # nothing would show it
    return replace(
        pair,
        leaves={p: shape[::-1] if p in turned else shape for p, shape in pair.leaves.items()},
        wanted={p: a.T if a is not None and p in turned else a for p, a in pair.wanted.items()},
    )


def shuffled(pair: Pair, chance: random.Random) -> Pair:
    """Change the order of both sides."""
    names, paths = list(pair.source), list(pair.leaves)
    chance.shuffle(names)
    chance.shuffle(paths)
    return replace(pair, source={n: pair.source[n] for n in names}, leaves={p: pair.leaves[p] for p in paths})


Attack = Callable[[Pair, random.Random], Pair]
ATTACKS: Mapping[str, tuple[Attack, ...]] = {
    "none": (),
    "the order of both sides changed": (shuffled,),
    "one module dropped": (module_dropped,),
    "one module dropped in all blocks": (sort_dropped,),
    "half of the tensors dropped": (half_dropped,),
    "leaves of nothing added": (leaves_added,),
    "tensors of nothing added": (tensors_added,),
    "a copy of the model added": (copied,),
    "a word of the target replaced": (words_replaced,),
    "every matrix turned": (kernels_turned,),
    "leaves added, a module dropped": (leaves_added, module_dropped),
    "tensors added, a module dropped": (tensors_added, module_dropped),
    "a word replaced, a module dropped in all blocks": (words_replaced, sort_dropped),
    "every matrix turned, a word replaced": (kernels_turned, words_replaced),
}


def score(pair: Pair, given: bool) -> Counter[str]:
    """Count the leaves of a pair that are right, silent and left open."""
    spec = [{"path": path, "shape": list(shape), "dtype": "float32"} for path, shape in pair.leaves.items()]
    counts: Counter[str] = Counter(leaves=sum(array is not None for array in pair.wanted.values()))
    try:
        plan = ms.make_plan(pair.source, to=pair.to, layers=pair.kinds if given else None, like=spec)
        found = dict(plan.apply(pair.source, partial=True))
    except ms.errors.SwitcherooError:
        counts["refused"] += 1
        return counts
    except Exception:  # noqa: BLE001  (counted: a plan must not crash)
        counts["crashed"] += 1
        return counts
    for path, array in pair.wanted.items():
        if path in found:
            same = array is not None and np.array_equal(np.asarray(found[path]), array, equal_nan=True)
            counts["right" if same else "silent"] += 1
    return counts


def main() -> None:
    """Print a row for each attack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--times", type=int, default=2, help="attacks of each sort on each pair")
    options = parser.parse_args()
    pairs = {
        path.parent.name: read(path.parent) for path in sorted(options.folder.glob("*/target_spec.json"))
    }
    print("| attack | leaves | filled right: names, classes | silent: names, classes | crashed |")
    print("|---|---:|---:|---:|---:|")
    for title, steps in ATTACKS.items():
        totals = Counter[str](), Counter[str]()
        for name, pair in pairs.items():
            for time in range(options.times if steps else 1):
                chance = random.Random(f"{title} {name} {time}")
                spoiled = pair
                for step in steps:
                    spoiled = step(spoiled, chance)
                for given in (False, True):
                    totals[given].update(score(spoiled, given))
        names, classes = totals
        share = [f"{100 * one['right'] / max(1, one['leaves']):.1f} %" for one in totals]
        print(
            f"| {title} | {names['leaves']:,} | {share[0]}, {share[1]} |"
            f" {names['silent']}, {classes['silent']} |"
            f" {names['crashed'] + classes['crashed']} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
