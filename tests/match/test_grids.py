"""An index stays with the word of what it counts."""

from match.built import named, units_of
from ml_switcheroo.match.candidates.grids import corresponding, crossed, kept_axes


def grid(pattern, inner=("a", "b")):
    return units_of({pattern.format(i=i, j=j, n=n): (4,) for i in range(2) for j in range(3) for n in inner})


def test_axes_correspond_by_their_words():
    mine = named(grid("layers.{i}.experts.{j}.{n}.weight"), "layers.#.experts.#.a")
    same = named(grid("layer_{i}/expert_{j}/{n}/scale"), "layer#.expert#.a")
    turned = units_of(
        {f"experts/{j}/layers/{i}/{n}/scale": (4,) for i in range(2) for j in range(3) for n in "ab"}
    )
    assert corresponding(mine, same) == ((0, 0), (1, 1))
    assert corresponding(mine, named(turned, "experts.#.layers.#.a")) == ((0, 1), (1, 0))
    other = named(grid("stage.{i}.block.{j}.{n}.weight"), "stage.#.block.#.a")
    assert corresponding(mine, other) == ()


def test_what_the_words_do_not_tell_keeps_its_order():
    assert list(kept_axes(2, 2, ())) == [(0, 1)]
    assert list(kept_axes(2, 2, ((0, 1), (1, 0)))) == [(1, 0)]
    assert list(kept_axes(3, 1, ())) == [(0,), (1,), (2,)]
    assert list(kept_axes(3, 2, ((2, 0),))) == [(2, 0), (2, 1)]


def test_a_word_that_counts_blocks_in_one_tree_and_is_a_name_in_the_other_keeps_apart():
    mine = named(
        units_of(
            {f"heads.{i}.convs.1.{n}.weight": (4,) for i in range(2) for n in "ab"}
            | {f"heads.{i}.convs.2.w.weight": (4,) for i in range(2)}
        ),
        "heads.#.convs.1.a",
    )
    other = named(
        units_of(
            {f"convs.{i}.heads.1.{n}.weight": (4,) for i in range(2) for n in "ab"}
            | {f"convs.{i}.heads.2.w.weight": (4,) for i in range(2)}
        ),
        "convs.#.heads.1.a",
    )
    assert crossed(mine, other)
    assert not crossed(mine, mine)


def test_what_is_counted_is_the_same_in_the_plural():
    mine = named(units_of({f"experts.{i}.{n}.weight": (4,) for i in range(2) for n in "ab"}), "experts.#.a")
    other = named(units_of({f"expert_{i}/{n}/scale": (4,) for i in range(2) for n in "ab"}), "expert#.a")
    unlike = named(units_of({f"heads_{i}/{n}/scale": (4,) for i in range(2) for n in "ab"}), "heads#.a")
    assert corresponding(mine, other) == ((0, 0),)
    assert corresponding(mine, unlike) == ()
