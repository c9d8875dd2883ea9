"""Measure how long `make_plan` takes on large trees: `python benchmarks/matching_growth.py [--trees T]`."""

from __future__ import annotations

import argparse
import time

import ml_switcheroo as ms
from ml_switcheroo.tensors import TensorSpec

NAMES = {
    "self_attn.q_proj.weight": ("attention/query/kernel", (8, 8)),
    "self_attn.k_proj.weight": ("attention/key/kernel", (8, 8)),
    "self_attn.v_proj.weight": ("attention/value/kernel", (8, 8)),
    "self_attn.o_proj.weight": ("attention/attention_output/kernel", (8, 8)),
    "mlp.up_proj.weight": ("feedforward_intermediate_dense/kernel", (12, 8)),
    "mlp.down_proj.weight": ("feedforward_output_dense/kernel", (8, 12)),
    "input_layernorm.weight": ("self_attention_layer_norm/gamma", (8,)),
    "post_attention_layernorm.weight": ("feedforward_layer_norm/gamma", (8,)),
}
KINDS = {name: "layer_norm" if "norm" in name else "linear" for name in NAMES}


class Header:
    """A tensor of which only the header is there: nothing else is read to make a plan."""

    def __init__(self, shape):
        self.shape = shape
        self.dtype = type("dtype", (), {"name": "float32"})


def blocks(leaves, top=""):
    """Return a state dict, a template with so many leaves, eight in a block, and the kinds of the modules."""
    state, like, layers = {}, {}, {}
    for block in range(leaves // len(NAMES)):
        for name, (path, shape) in NAMES.items():
            state[f"model.layers.{block}.{name}"] = Header(shape)
            like[f"{top}transformer_layer_{block}/{path}"] = TensorSpec(shape[::-1], "float32")
            layers[f"model.layers.{block}.{name}".removesuffix(".weight")] = KINDS[name]
    return state, like, layers


def below_one_root(leaves):
    """Return the same, with the target's tree below one module."""
    return blocks(leaves, "backbone/")


def stacked(leaves):
    """Return the same, with all blocks of the target stacked into eight leaves."""
    state, _, layers = blocks(leaves)
    count = leaves // len(NAMES)
    like = {f"blocks/{path}": TensorSpec((count, *shape[::-1]), "float32") for path, shape in NAMES.values()}
    return state, like, layers


def unrepeated(leaves):
    """Return a tree of modules that all have names of their own."""
    state, like, layers = {}, {}, {}
    for number in range(leaves // 2):
        word = "".join("abcdefghij"[int(digit)] for digit in f"{number:06}")
        state[f"net.{word}.weight"], state[f"net.{word}.bias"] = Header((12, 8)), Header((12,))
        like[f"{word}_layer/kernel"], like[f"{word}_layer/bias"] = (8, 12), (12,)
        layers[f"net.{word}"] = "linear"
    return state, like, layers


TREES = {make.__name__: make for make in (blocks, below_one_root, stacked, unrepeated)}


def main():
    """Print a row for each size and kind of tree."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--leaves", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--trees", nargs="+", choices=TREES, default=["blocks", "below_one_root", "stacked"])
    chosen = parser.parse_args()
    state, like, _ = blocks(8)
    ms.make_plan(state, to="keras", like=like)
    print("| tensors | tree | kinds given | seconds | microseconds a tensor | moved |")
    print("|---:|---|---|---:|---:|---:|")
    for name in chosen.trees:
        for known in (False, True):
            for leaves in chosen.leaves:
                state, like, layers = TREES[name](leaves)
                start = time.perf_counter()
                plan = ms.make_plan(state, to="keras", like=like, layers=layers if known else None)
                seconds = time.perf_counter() - start
                tree, told = name.replace("_", " "), "yes" if known else "no"
                print(
                    f"| {len(state):,} | {tree} | {told} | {seconds:.1f} | {1e6 * seconds / leaves:.0f}"
                    f" | {len(plan.inputs):,} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
