"""Lines are laid out for a width: no name is broken, and nothing is lost where there is room."""

import pytest

from ml_switcheroo.laid import Cell, Line, blocks_of, laid_out, plain

RULE = 'Rename("a.rather.long.module.name", "another.rather.long.path")'
MOVES = [
    Line((Cell("conv  source: nn.Conv2d(channels_in, channels_out, kernel_size=3)"),), 2),
    Line(
        tuple(map(Cell, ("features.0.weight", "float32[16,1,3,3]", "->", "features.0.kernel", "x y -> y x"))),
        4,
    ),
    Line(tuple(map(Cell, ("features.0.bias", "float32[16]", "->", "features.0.bias", "as it is"))), 4),
]
REASONS = [
    Line((Cell("dropped"), Cell("2"), Cell("Flax's BatchNorm has a fixed momentum and keeps no counter")), 2),
    Line((Cell("missing"), Cell("10"), Cell("nothing fills them")), 2),
]


def texts(block, width):
    return ["".join(cell.text for cell in line) for line in laid_out(block, width)]


@pytest.mark.parametrize("block", [MOVES, REASONS])
@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_line_fits_and_the_words_are_those_of_a_pipe(block, width):
    lines = texts(block, width)
    assert max(map(len, lines)) <= width
    assert " ".join(lines).split() == " ".join(plain([block])).split()


def test_columns_stand_below_each_other_where_there_is_room():
    assert (
        texts(MOVES, 200)
        == plain([MOVES])
        == [
            "  conv  source: nn.Conv2d(channels_in, channels_out, kernel_size=3)",
            "    features.0.weight  float32[16,1,3,3]  ->  features.0.kernel  x y -> y x",
            "    features.0.bias    float32[16]        ->  features.0.bias    as it is",
        ]
    )


def test_a_sentence_in_the_last_column_goes_on_below_itself():
    assert texts(REASONS, 50) == [
        "  dropped  2   Flax's BatchNorm has a fixed",
        "               momentum and keeps no counter",
        "  missing  10  nothing fills them",
    ]


def test_an_arrow_stays_with_what_it_points_to():
    assert texts(MOVES, 50)[2:4] == [
        "    features.0.weight  float32[16,1,3,3]",
        "        ->  features.0.kernel  x y -> y x",
    ]


def test_a_name_wider_than_everything_loses_its_middle_on_a_terminal_alone():
    line = Line((Cell("text_model.encoder.layers.{0..23}.self_attn.q_proj.weight"), Cell("float32[1]")), 2)
    name, spec = texts([line], 40)
    assert name == "  text_model...self_attn.q_proj.weight"
    assert spec == "      float32[1]"
    assert texts([line], None) == ["  text_model.encoder.layers.{0..23}.self_attn.q_proj.weight  float32[1]"]


def fitted(text, width):
    return [line for block in blocks_of(text, width) for line in texts(block, width)]


def test_a_rule_is_broken_between_its_arguments_and_never_shortened():
    lines = fitted(f"  the only one of its sizes  {RULE}", 40)
    assert " ".join(" ".join(lines).split()).endswith(RULE)


def test_text_that_fits_is_left_as_it_is():
    text = "PlanError: 2   leaves\n  a  b   c\n\n  d  e"
    assert "\n".join(fitted(text, 80)) == "\n".join(fitted(text, None)) == text
    assert fitted("a  b   c" * 100, None) == ["a  b   c" * 100]


def test_columns_of_a_text_are_broken_all_together():
    text = (
        "missing: nothing fills them (2)\n  a.name  float32[3]  short\n  another.name  float32[3]  not known"
    )
    assert fitted(text, 34) == [
        "missing: nothing fills them (2)",
        "  a.name        float32[3]",
        "      short",
        "  another.name  float32[3]",
        "      not known",
    ]


def test_the_heads_of_a_text_have_roles():
    text = "PlanError: no\nmissing: nothing fills them (2)\n  a  b\nnote: so it is\nmissing words"
    roles = [line.cells[0].role for block in blocks_of(text, None) for line in block]
    assert roles == ["", "missing", "", "note", ""]
