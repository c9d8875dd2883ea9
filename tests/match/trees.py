"""Random networks: a state dict, the tree that a port of it would have, and the truth between them."""

from dataclasses import dataclass
from itertools import count

import numpy as np
from hypothesis import strategies as st

# Ways in which authors call the parts of a block; a port uses another one than the original.
STYLES = (
    {
        "block": "model.layers.{i}",
        "q": "self_attn.q_proj",
        "k": "self_attn.k_proj",
        "v": "self_attn.v_proj",
        "o": "self_attn.o_proj",
        "qkv": "self_attn.qkv_proj",
        "up": "mlp.up_proj",
        "gate": "mlp.gate_proj",
        "down": "mlp.down_proj",
        "norm1": "input_layernorm",
        "norm2": "post_attention_layernorm",
        "final": "model.norm",
        "tok": "model.embed_tokens",
        "pos": "model.embed_positions",
        "head": "lm_head",
    },
    {
        "block": "encoder.layer.{i}",
        "q": "attention.self.query",
        "k": "attention.self.key",
        "v": "attention.self.value",
        "o": "attention.output.dense",
        "qkv": "attention.self.qkv",
        "up": "intermediate.dense",
        "gate": "gate.dense",
        "down": "output.dense",
        "norm1": "attention.output.LayerNorm",
        "norm2": "output.LayerNorm",
        "final": "encoder.norm",
        "tok": "embeddings.word_embeddings",
        "pos": "embeddings.position_embeddings",
        "head": "classifier",
    },
    {
        "block": "h.{i}",
        "q": "attn.wq",
        "k": "attn.wk",
        "v": "attn.wv",
        "o": "attn.wo",
        "qkv": "attn.c_attn",
        "up": "mlp.fc1",
        "gate": "mlp.gate",
        "down": "mlp.fc2",
        "norm1": "ln_1",
        "norm2": "ln_2",
        "final": "ln_f",
        "tok": "wte",
        "pos": "wpe",
        "head": "head",
    },
    {
        "block": "transformer_layer_{i}",
        "q": "self_attention.query",
        "k": "self_attention.key",
        "v": "self_attention.value",
        "o": "self_attention.attention_output",
        "qkv": "self_attention.qkv",
        "up": "feedforward_intermediate_dense",
        "gate": "feedforward_gate_dense",
        "down": "feedforward_output_dense",
        "norm1": "self_attention_layer_norm",
        "norm2": "feedforward_layer_norm",
        "final": "layer_norm",
        "tok": "token_embedding",
        "pos": "position_embedding",
        "head": "logits",
    },
)
PARTS = ("q", "k", "v", "o", "up", "gate", "down", "norm1", "norm2")
HEADS = 2
NONSENSE = ("zorp", "blick", "quux", "frob", "wibble", "snarf", "plugh", "xyzzy", "grault", "thud")


@dataclass(frozen=True)
class Choices:
    """What is drawn for one network and its port."""

    width: int
    hidden: int
    vocab: int
    blocks: int
    mine: dict[str, str]
    other: dict[str, str]
    slots: tuple[str, ...]
    parts: tuple[str, ...]
    turned: bool
    split: bool
    stacked: int | None
    fused: tuple[bool, bool]
    renamed: dict[str, str]
    tables: tuple[str, ...]
    unsaved: bool
    extra: bool
    shuffled: bool
    lost: str
    twins: tuple[str, str] | None


@st.composite
def choices(draw):
    width = draw(st.sampled_from([4, 6, 8]))
    hidden = draw(st.sampled_from([width, 10]))
    blocks = draw(st.integers(1, 3))
    gated = draw(st.booleans())
    renamed = draw(_renamings)
    # A port that keeps its matrices against its framework's convention shows that on those of known parts
    # that are not square.
    turned = hidden == width or not renamed.keys().isdisjoint(("up", "gate", "down")) or draw(st.booleans())
    return Choices(
        width,
        hidden,
        vocab=draw(st.sampled_from([width, 11])),
        blocks=blocks,
        mine=draw(st.sampled_from(STYLES)),
        other=draw(st.sampled_from(STYLES)),
        slots=draw(st.sampled_from([("weight",), ("weight", "bias")])),
        parts=tuple(part for part in PARTS if gated or part != "gate"),
        turned=turned,
        split=draw(st.booleans()),
        stacked=draw(st.sampled_from([None, None, 0, -1])) if blocks > 1 else None,
        fused=(draw(st.booleans()), draw(st.booleans())),
        renamed=renamed,
        tables=tuple(draw(st.sets(st.sampled_from(["tok", "pos", "head", "final"])))),
        unsaved=draw(st.booleans()),
        extra=draw(st.booleans()),
        shuffled=draw(st.booleans()),
        lost=draw(st.sampled_from(["", "", *PARTS])),
        twins=draw(st.sampled_from([None, None, ("left", "right"), ("right", "left"), ("zig", "zag")])),
    )


_renamings = st.lists(st.sampled_from(PARTS), unique=True, max_size=3).flatmap(
    lambda parts: st.permutations(NONSENSE).map(lambda words: dict(zip(parts, words, strict=False)))
)


def shapes_of(c):
    """Return the shape of each part's weight."""
    wide = dict.fromkeys("qkvo", (c.width, c.width))
    norms = dict.fromkeys(("norm1", "norm2", "final"), (c.width,))
    mlp = {"up": (c.hidden, c.width), "gate": (c.hidden, c.width), "down": (c.width, c.hidden)}
    return {
        **wide,
        **norms,
        **mlp,
        "tok": (c.vocab, c.width),
        "head": (c.vocab, c.width),
        "pos": (7, c.width),
    }


@st.composite
def networks(draw):
    """Return the source arrays, and the leaves of the port: true arrays, or shapes of what nobody saved."""
    c = draw(choices())
    numbers = count()

    def array(shape):
        return np.array([next(numbers) for _ in range(int(np.prod(shape)))], "f4").reshape(shape)

    shapes = shapes_of(c)
    blocks = [
        {
            (part, slot): array(shapes[part][:1] if slot == "bias" else shapes[part])
            for part in c.parts
            for slot in c.slots
        }
        for _ in range(c.blocks)
    ]
    source, leaves = {}, {}
    for i, block in enumerate(blocks):
        for (part, slot), value in joined(block, fused=c.fused[0]).items():
            source[f"{c.mine['block'].format(i=i)}.{c.mine[part]}.{slot}"] = value
    leaves |= ported(
        c, [dict(leaf(c, *key, value) for key, value in joined(b, fused=c.fused[1]).items()) for b in blocks]
    )
    if c.lost and c.stacked is None and not any(c.fused):
        lose(c, source, leaves)
    twin(c, source, leaves, array)
    for part in c.tables:
        value = array(shapes[part])
        source[f"{c.mine[part]}.weight"] = value
        leaves |= [leaf(c, part, "weight", value)]
    if c.unsaved:
        leaves["rotary/inv_freq"] = (c.width,)
    if c.extra:
        source["extra.steps"] = array((c.width,))
    if c.shuffled:
        source, leaves = dict(sorted(source.items(), reverse=True)), dict(sorted(leaves.items()))
    return source, leaves


def lose(c, source, leaves):
    """Take a part out of the checkpoint: the port still has its leaves, which nothing may fill."""
    for i in range(c.blocks):
        prefix = f"{c.mine['block'].format(i=i)}.{c.mine[c.lost]}."
        gone = {name: source.pop(name) for name in list(source) if name.startswith(prefix)}
        for path, value in leaves.items():
            if any(value is array or np.shares_memory(value, array) for array in gone.values()):
                leaves[path] = value.shape


def twin(c, source, leaves, array):
    """Add two of one shape under names that say nothing, or that can be taken for either."""
    for mine, other in zip(("one", "two"), c.twins or (), strict=bool(c.twins)):
        value = array((3, 5))
        source[f"pair.{mine}.weight"] = value
        leaves[f"pair/{other}/kernel"] = value.T


def joined(block, *, fused):
    """Put queries, keys and values together, where they are fused."""
    if not fused:
        return block
    found = {}
    for (part, slot), value in block.items():
        if part == "q":
            found["qkv", slot] = np.concatenate([block[p, slot] for p in "qkv"])
        elif part not in ("k", "v"):
            found[part, slot] = value
    return found


def leaf(c, part, slot, value):
    """Return the path of a leaf in the port, below its block, and its value."""
    name = c.renamed.get(part) or c.other[part].replace(".", "/")
    if part in ("tok", "pos"):
        return f"{name}/embedding", value
    if part.startswith(("norm", "final")):
        return f"{name}/{'scale' if slot == 'weight' else 'bias'}", value
    split = c.split and c.turned and part in ("q", "k", "v")
    if slot == "bias":
        return f"{name}/bias", value.reshape(HEADS, -1) if split else value
    value = value.T if c.turned else value
    if split:
        value = value.reshape(c.width, HEADS, -1)
    elif c.split and c.turned and part == "o":
        value = value.reshape(HEADS, -1, c.width)
    return f"{name}/kernel", value


def ported(c, blocks):
    """Return the leaves of all blocks, one by one or stacked."""
    home = c.other["block"].replace(".", "/")
    if c.stacked is None:
        return {
            f"{home.format(i=i)}/{path}": value
            for i, made in enumerate(blocks)
            for path, value in made.items()
        }
    top = home.replace("/{i}", "").replace("_{i}", "")
    return {f"{top}/{path}": np.stack([made[path] for made in blocks], axis=c.stacked) for path in blocks[0]}
