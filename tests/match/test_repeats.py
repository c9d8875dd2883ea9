"""Which numbers count blocks: the same place in every block has one pattern and an index."""

from ml_switcheroo.match.paths.repeats import Numeral, positions


def shown(position):
    return "".join(map(str, position.pattern)), position.index


def test_blocks_that_look_alike_share_a_pattern():
    paths = [f"h.{i}.{name}.w" for i in (0, 1, 2) for name in ("attn", "mlp")]
    found = positions(paths)
    assert {shown(found[f"h.{i}.mlp.w"]) for i in (0, 1, 2)} == {("h/#/mlp/w", (i,)) for i in (0, 1, 2)}


def test_the_index_is_a_rank_whatever_the_numbers_are():
    found = positions([f"h.{i}.{name}.w" for i in (3, 7) for name in ("attn", "mlp")])
    assert [found[f"h.{i}.attn.w"].index for i in (3, 7)] == [(0,), (1,)]


def test_two_modules_that_differ_are_names_and_no_blocks():
    found = positions(["net.0.w", "net.0.b", "net.2.w", "net.2.b"])
    assert found["net.0.w"].index == ()
    (number,) = [token for token in found["net.2.w"].pattern if isinstance(token, Numeral)]
    assert (number.value, number.rank, number.count, number.siblings) == (2, 1, 2, (0, 2))
    assert not number.in_order


def test_many_single_modules_in_a_row_are_a_list_and_few_are_not():
    few = positions([f"heads.{i}.w" for i in range(3)])
    many = positions([f"heads.{i}.w" for i in range(4)])
    assert few["heads.1.w"].index == ()
    assert many["heads.1.w"].index == (1,)
    gap = positions([f"heads.{i}.w" for i in (0, 1, 2, 4)])
    assert gap["heads.4.w"].index == ()


def test_half_of_a_block_must_be_the_same_in_two_of_them():
    alike = positions([f"s.{i}.{name}.w" for i, names in ((0, "ab"), (1, "abc")) for name in names])
    unlike = positions([f"s.{i}.{name}.w" for i, names in ((0, "ab"), (1, "xy")) for name in names])
    assert alike["s.1.c.w"].index == (1,)
    assert unlike["s.1.x.w"].index == ()


def test_blocks_inside_of_blocks_have_an_index_each():
    found = positions(
        [f"stage.{i}.block.{j}.{name}.w" for i in (0, 1) for j in (0, 1) for name in ("conv", "norm")]
    )
    assert shown(found["stage.1.block.0.norm.w"]) == ("stage/#/block/#/norm/w", (1, 0))
    assert len(found["stage.1.block.0.norm.w"].containers) == 2


def test_a_number_without_siblings_says_nothing():
    lone = positions(["model.blocks.0.attn.w", "model.blocks.0.mlp.w", "model.head.w"])
    assert shown(lone["model.blocks.0.mlp.w"]) == ("model/blocks//mlp/w", ())
    assert lone["model.blocks.0.mlp.w"].inside > 0
    assert lone["model.head.w"].inside == 0
