"""Where in its block a norm stands, and that it is not taken for one of another place."""

import pytest

from match.built import named, units_of
from ml_switcheroo.match.units.norms import agree, elsewhere

BLOCK = ("attn.q_proj", "attn.k_proj", "attn.out_proj", "mlp.fc1", "mlp.fc2")


def block(*norms, sep="."):
    """Return units of two blocks, written down with norms and matrices in the given order."""
    shapes = {}
    for i in range(2):
        for name in norms:
            width = (4, 4) if name in BLOCK else (4,)
            shapes[f"h.{i}.{name}.weight"] = width
    return units_of(shapes)


@pytest.mark.parametrize(
    ("name", "standings"),
    [
        ("attn.norm", {"attn.pre", "attn.post"}),
        ("input_layernorm", {"attn.pre"}),
        ("pre_mlp_norm", {"mlp.pre"}),
        ("post_mlp_norm", {"mlp.post"}),
        ("cross_attn_norm", {"cross"}),
        ("q_norm", set()),
        ("norm", set()),
    ],
)
def test_words_say_where_a_norm_stands(name, standings):
    found = next(unit for unit in block(name, *BLOCK) if "norm" in unit.said)
    assert found.standings == standings


def test_behind_the_attention_is_before_the_mlp_unless_that_has_norms_of_its_own():
    alone = next(unit for unit in block("post_attention_layernorm", *BLOCK) if "after" in unit.said)
    assert alone.standings == {"mlp.pre"}
    both = block("post_attention_layernorm", "pre_mlp_layernorm", *BLOCK)
    assert next(unit for unit in both if {"after", "attn"} <= unit.said).standings == {"attn.post"}


def test_numbers_say_it_where_the_block_is_written_in_that_order():
    attention, mlp = BLOCK[:3], BLOCK[3:]
    written = block("norm1", *attention, "norm2", *mlp)
    assert [named(written, f"h.#.norm{n}").turns for n in (1, 2)] == [
        {"attn.pre", "attn.post"},
        {"mlp.pre", "mlp.post"},
    ]
    against = block("norm2", *attention, "norm1", *mlp)
    assert not named(against, "h.#.norm1").turns


def test_norms_of_two_places_do_not_agree_and_of_an_open_one_nobody_knows():
    found = block("input_layernorm", "post_attention_layernorm", *BLOCK)
    first, second = [unit for unit in found if "norm" in unit.said]
    assert agree(first, first) is True
    assert agree(first, second) is False
    (plain,) = [unit for unit in block("ln_zorp", *BLOCK) if "norm" in unit.said]
    assert agree(first, plain) is None


def test_a_norm_outside_of_blocks_is_the_last_one_unless_it_says_otherwise():
    last, stem, own = units_of({"norm.weight": (4,), "embed_norm.weight": (4,), "zorp_norm.weight": (4,)})
    final = units_of({"final_norm/scale": (4,)})[0]
    assert not elsewhere(last, final)
    assert elsewhere(stem, final)
    assert elsewhere(own, final)
