"""What can go wrong between a checkpoint and a tree: each attack takes a network of ``trees`` and spoils it.

A leaf that is given as a shape alone must not be filled.
"""

import numpy as np
from hypothesis import strategies as st

# None of them is a word for a part of a network: a second norm in a block would be a network of another kind.
WORDS = ("extra", "ema", "adapter", "shadow", "second", "spare")


def modules_of(paths, separator):
    """Return the modules, each once."""
    return sorted({path.rpartition(separator)[0] for path in paths})


def without(source, leaves, gone):
    """Take tensors out of the checkpoint; every number stands in one tensor only, so leaves show theirs."""
    lost = [source[name] for name in gone]
    left = {name: value for name, value in source.items() if name not in gone}
    return left, {path: _unless_of(value, lost) for path, value in leaves.items()}


def _unless_of(value, lost):
    if isinstance(value, tuple) or not any(np.isin(array, value).any() for array in lost):
        return value
    return value.shape


def dropped(draw, source, leaves):
    """Take one module out of the checkpoint, in one block only."""
    module = draw(st.sampled_from(modules_of(source, ".")))
    return without(source, leaves, {name for name in source if name.rpartition(".")[0] == module})


def dropped_block(draw, source, leaves):
    """Take everything of the first number out: the others do not move up."""
    gone = {name for name in source if "0" in name.split(".")}
    return without(source, leaves, gone) if gone != set(source) else (source, leaves)


def renamed(draw, path, separator):
    """Call the module of a path otherwise."""
    head, _, slot = path.rpartition(separator)
    above, dot, own = head.rpartition(separator)
    word = draw(st.sampled_from(WORDS))
    new = draw(st.sampled_from((word, f"{own}_{word}", f"{word}_{own}")))
    return f"{above}{dot}{new}{separator}{slot}"


def decoy_leaves(draw, source, leaves):
    """Put leaves beside others that nothing belongs to."""
    found = dict(leaves)
    for path in draw(st.lists(st.sampled_from(sorted(leaves)), min_size=1, max_size=3, unique=True)):
        found.setdefault(renamed(draw, path, "/"), getattr(leaves[path], "shape", leaves[path]))
    return source, found


def decoy_tensors(draw, source, leaves):
    """Put tensors beside others that belong to nothing."""
    found = dict(source)
    for name in draw(st.lists(st.sampled_from(sorted(source)), min_size=1, max_size=3, unique=True)):
        found.setdefault(renamed(draw, name, "."), -1.0 - source[name])
    return found, leaves


def shuffled(draw, source, leaves):
    """Turn the order of both sides round and round."""
    names, paths = draw(st.permutations(list(source))), draw(st.permutations(list(leaves)))
    return {name: source[name] for name in names}, {path: leaves[path] for path in paths}


def neutral(draw, source, leaves):
    """Replace one word of the port, wherever it stands, by one that nobody knows."""
    segments = sorted({part for path in leaves for part in path.split("/")[:-1] if not part.isdigit()})
    words = sorted({word for part in segments for word in part.split("_") if not word.isdigit()})
    word = draw(st.sampled_from(words))
    return source, {_spelled_otherwise(path, word): value for path, value in leaves.items()}


def _spelled_otherwise(path, word):
    *above, slot = path.split("/")
    parts = ["_".join("zorp" if one == word else one for one in part.split("_")) for part in above]
    return "/".join([*parts, slot])


def turned(draw, source, leaves):
    """Keep every kernel the other way round, where one that is not square and has a bias shows it."""
    kernels = {path for path in leaves if path.endswith("/kernel")}
    shapes = {path: getattr(leaves[path], "shape", leaves[path]) for path in kernels}
    plain = all(len(shape) == 2 for shape in shapes.values())
    shows = any(len(set(shape)) == 2 and path[:-6] + "bias" in leaves for path, shape in shapes.items())
    if not (plain and shows):
        return source, leaves
    return source, {path: _turned(value) if path in kernels else value for path, value in leaves.items()}


def _turned(value):
    return value[::-1] if isinstance(value, tuple) else value.T


ATTACKS = (dropped, dropped_block, decoy_leaves, decoy_tensors, shuffled, neutral, turned)


@st.composite
def attacked(draw, networks, attack):
    """Draw a network after an attack."""
    return attack(draw, *draw(networks))
