"""What speaks for a site, besides that nothing else fits."""

import pytest

from ml_switcheroo.moves import Move
from ml_switcheroo.planning.stages.vouching import Vouching, nameless, words_of
from ml_switcheroo.tensors import TensorSpec


def move(name, *leaves, shape=(4, 6)):
    return Move((name,), leaves).bind({name: TensorSpec(shape, "float32")}) if len(leaves) == 1 else None


def vouching(sources, leaves, filled=()):
    return Vouching.of(sources, leaves, filled, [name.rpartition(".")[0] for name in sources])


def speaks(name, leaf, shape=(4, 6), filled=(), sources=(), leaves=()):
    names = [name, *sources, *(one.sources[0] for one in filled)]
    paths = [leaf, *leaves, *(one.leaves[0] for one in filled)]
    module, site = name.rpartition(".")[0], leaf.rpartition("/")[0]
    return vouching(names, paths, filled).speaks_for(module, site, [move(name, leaf, shape=shape)])


@pytest.mark.parametrize(
    ("name", "leaf", "said"),
    [
        ("enc.fc_mean.weight", "enc/mean/kernel", True),
        ("fc_dec.weight", "dec/fc/kernel", True),
        ("zorp.weight", "gnarl/kernel", False),
        ("enc.zorp.weight", "enc/gnarl/kernel", False),
        ("enc.0.weight", "enc/dense/kernel", True),
    ],
)
def test_names_must_say_the_same_or_one_of_them_nothing(name, leaf, said):
    assert speaks(name, leaf) == said


def test_a_square_matrix_beside_a_name_of_its_own_needs_more_than_a_word_above():
    assert speaks("enc.0.weight", "enc/gnarl/kernel", (4, 6))
    assert not speaks("enc.0.weight", "enc/gnarl/kernel", (4, 4))


def test_numbers_of_two_series_that_line_up_speak():
    others = {"sources": ["fc.1.weight"], "leaves": ["Dense_1/kernel"]}
    assert speaks("fc.0.weight", "Dense_0/kernel", **others) == speaks("fc.0.weight", "Dense_0/kernel")
    assert not vouching(["fc1.weight"], ["fc_0/kernel"]).same_name("fc1", "fc_0")
    assert vouching(["layer1.0.bn1.weight"], ["layer1_0_bn1/scale"]).same_name("layer1.0.bn1", "layer1_0_bn1")


def test_a_block_that_is_placed_speaks_for_what_stands_in_it():
    filled = [move("h.0.fc.weight", "blocks/0/zorp/kernel")]
    inside = speaks("h.0.0.weight", "blocks/0/gnarl/kernel", (4, 4), filled)
    elsewhere = speaks("h.0.0.weight", "blocks/1/gnarl/kernel", (4, 4), filled)
    assert (inside, elsewhere) == (True, False)


def test_what_is_called_by_its_kind_has_no_name_but_a_norm_says_too_little():
    assert nameless("anything", [move("a.weight", "Conv_1/kernel")])
    assert not nameless("anything", [move("a.weight", "zorp/kernel")])
    assert not nameless("anything", [move("a.weight", "Conv_1/kernel", shape=(4,))])


def test_fillers_are_no_words():
    assert words_of("model.layers.0.fc1") == {"up"}
