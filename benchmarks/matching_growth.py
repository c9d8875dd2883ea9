"""Measure how long `make_plan` takes on large trees: `python benchmarks/matching_growth.py`."""

from __future__ import annotations

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


class Header:
    """A tensor of which only the header is there: nothing else is read to make a plan."""

    def __init__(self, shape):
        self.shape = shape
        self.dtype = type("dtype", (), {"name": "float32"})


def tree(leaves):
    """Return a state dict and a template with so many leaves, eight in a block."""
    state, like = {}, {}
    for block in range(leaves // len(NAMES)):
        for name, (path, shape) in NAMES.items():
            state[f"model.layers.{block}.{name}"] = Header(shape)
            like[f"transformer_layer_{block}/{path}"] = TensorSpec(shape[::-1], "float32")
    return state, like


def main():
    """Print a row for each size."""
    ms.make_plan(*tree(8)[:1], to="keras", like=tree(8)[1])
    print("| leaves | seconds | microseconds a leaf |")
    print("|---:|---:|---:|")
    for leaves in (1_000, 10_000, 100_000):
        state, like = tree(leaves)
        start = time.perf_counter()
        plan = ms.make_plan(state, to="keras", like=like)
        seconds = time.perf_counter() - start
        plan.check()
        print(f"| {len(plan.outputs):,} | {seconds:.1f} | {1e6 * seconds / leaves:.0f} |", flush=True)


if __name__ == "__main__":
    main()
