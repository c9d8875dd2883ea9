import einops
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_switcheroo.axes import equation, parse
from ml_switcheroo.errors import AxesError


@st.composite
def equations(draw):
    """A random equation, a shape that fits it and the sizes of its axes."""
    names = draw(st.permutations(["a", "b", "c", "d"]))[: draw(st.integers(1, 4))]
    sizes = {name: draw(st.integers(1, 4)) for name in names}

    def side(order):
        groups, rest = [], list(order)
        while rest:
            take = draw(st.integers(1, len(rest)))
            groups.append(tuple(rest[:take]))
            rest = rest[take:]
            if draw(st.booleans()):
                groups.append(())
        return groups

    left, right = side(names), side(draw(st.permutations(names)))
    text = [
        " ".join("1" if not g else f"({' '.join(g)})" if len(g) > 1 else g[0] for g in s)
        for s in (left, right)
    ]
    shape = tuple(int(np.prod([sizes[axis] for axis in group], dtype=int)) for group in left)
    return text[0], text[1], shape, sizes


@given(equations())
def test_agrees_with_einops(case):
    source, target, shape, sizes = case
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    view = equation(source, target).bind(shape, sizes)
    expected = einops.rearrange(array, f"{source} -> {target}", **sizes)
    np.testing.assert_array_equal(view(array), expected)
    assert view.shape == expected.shape


@given(equations())
def test_the_inverse_brings_back_the_array(case):
    source, target, shape, sizes = case
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    there = equation(source, target)
    view = there.bind(shape, sizes)
    back = (~there).bind(view.shape, view.sizes)
    np.testing.assert_array_equal(back(view(array)), array)


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_a_starred_axis_stands_for_any_number(rank):
    array = np.arange(6 * 2**rank).reshape(3, 2, *[2] * rank)
    view = equation("out in *space", "*space in out").bind(array.shape)
    expected = einops.rearrange(array, "o i ... -> ... i o")
    np.testing.assert_array_equal(view(array), expected)


def test_a_starred_axis_in_a_group_is_the_flattened_axis():
    array = np.arange(5 * 4 * 2 * 3).reshape(5, 24)
    view = equation("out (c *space)", "(*space c) out").bind(array.shape, {"c": 4})
    expected = einops.rearrange(array, "out (c h w) -> (h w c) out", c=4, h=2)
    np.testing.assert_array_equal(view(array), expected)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_axes_of_size_one_are_counted_by_the_result_or_by_a_size(count):
    bias = equation("out", "out *1")
    result = (4, *[1] * count)
    assert bias.bind((4,), result=result).shape == result
    view = bias.bind((4,), {"*1": count})
    assert view.shape == result
    assert (~bias).bind(view.shape).shape == (4,)
    assert bias.bind((4,), (~bias).bind(result).sizes).shape == result


def test_axes_of_size_one_are_never_guessed():
    bias = equation("out", "out *1")
    with pytest.raises(AxesError, match="how many axes of size 1 there are is not known"):
        bias.bind((4,))
    with pytest.raises(AxesError, match="is 2, expected 1"):
        bias.bind((4,), result=(4, 2))
    with pytest.raises(AxesError, match="gives 1 dimensions, expected 0"):
        bias.bind((4,), result=())
    with pytest.raises(AxesError, match='axis "1" is 3, expected 1'):
        (~bias).bind((4, 3))


def test_the_result_shape_tells_a_size():
    view = equation("(heads dim) in", "in heads dim").bind((12, 5), result=(5, 3, 4))
    assert view.sizes == {"heads": 3, "dim": 4, "in": 5}


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("out in", "in", "axis out stands on one side only"),
        ("out out", "out", "stands twice"),
        ("out *1", "*1 out", "can stand on one side only"),
        ("out", "(out *1)", "not for a part of one"),
        ("(out in", "in out", "parentheses"),
        ("out) in", "in out", "parentheses"),
        ("((out)) in", "in out", "parentheses"),
        ("*a *b", "*b *a", "only one axis"),
        ("out -> in", "in", "cannot read"),
        ("out (c *space)", "*space c out", "flattened on the left"),
    ],
)
def test_a_wrong_equation_says_what_is_wrong(source, target, message):
    with pytest.raises(AxesError, match=message):
        equation(source, target)


@pytest.mark.parametrize(
    ("source", "target", "shape", "options", "message"),
    [
        ("out in", "in out", (2, 3, 4), {}, "has 2 dimensions, the tensor has 3"),
        ("out in *s", "*s in out", (2,), {}, "at least 2 dimensions, the tensor has 1"),
        ("(heads dim) in", "in heads dim", (12, 5), {}, "size of axis dim, heads is not known"),
        ("(heads dim) in", "in heads dim", (12, 5), {"sizes": {"heads": 5}}, "12 is not a multiple of 5"),
        ("out in", "in out", (2, 3), {"result": (3, 4)}, 'axis "out" is 2, expected 4'),
        ("out in", "in out", (2, 3), {"result": (3, 2, 1)}, "gives 2 dimensions, expected 3"),
        ("out 1", "out", (2, 3), {}, 'axis "1" is 3, expected 1'),
    ],
)
def test_a_shape_that_does_not_fit_says_which_axis(source, target, shape, options, message):
    with pytest.raises(AxesError, match=message):
        equation(source, target).bind(shape, **options)


def test_parsing_is_cached():
    assert parse("out in *space") is parse("out in *space")
