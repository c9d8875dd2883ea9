"""What the rows of constructors say: of every kind that a target holds, and of every argument."""

import pytest

from ml_switcheroo.errors import UsageError
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.recipes import Also, Aside, Constructor, Difference, Lack, Name, Unsupported
from ml_switcheroo.targets import TARGETS, construct
from ml_switcheroo.targets.constructors.spelled import compared

FRAMEWORKS = ("nnx", "linen", "equinox", "haiku", "keras", "mlx")
HELD = [
    (to, kind)
    for to in FRAMEWORKS
    for kind, recipe in TARGETS[to].kinds.items()
    if not isinstance(recipe, Unsupported)
]


@pytest.mark.parametrize(("to", "kind"), HELD)
def test_a_target_says_how_it_makes_every_kind_that_it_holds(to, kind):
    assert kind in TARGETS[to].constructors, f"targets.constructors.{to} has no row for {kind}"


def told(constructor):
    """Return the arguments of PyTorch's that a row says something of."""
    found = set()
    for one in constructor.spelled:
        found |= {one.arg} if isinstance(one, Difference | Lack) else set(one.args)
        if isinstance(one, Also):
            found |= told(one.constructor)
    return found.union(*map(told, constructor.inner.values())) - {"", "rank"}


@pytest.mark.parametrize(("to", "kind"), HELD)
def test_no_argument_is_forgotten_and_none_is_made_up(to, kind):
    constructor = TARGETS[to].constructors[kind]
    if isinstance(constructor, Constructor):
        layer = LAYERS[kind]
        known = set(layer.args).union(*(layer.of_class(name) for name in layer.classes))
        # Rows of one target say some together, and that of a cell is the one within a layer.
        shared = {"in_channels", "num_features", "num_channels", "proj_size"}
        assert known - told(constructor) == set(), (
            f"targets.constructors.{to}, {kind}: nothing is said of these"
        )
        assert told(constructor) - known <= shared, (
            f"targets.constructors.{to}, {kind}: PyTorch has none of these"
        )


# What a live layer keeps otherwise than it is given is compared by a row of its own. NNX and MLX are given a
# function, which is compared by its name; the attribute of Keras is called otherwise than the argument.
KEPT_OTHERWISE = {("nnx", "nonlinearity"), ("mlx", "nonlinearity"), ("keras", "num_heads")}


@pytest.mark.parametrize(("to", "kind"), HELD)
def test_a_live_layer_is_compared_by_the_row_that_it_is_made_with(to, kind):
    said = getattr(TARGETS[to].constructors[kind], "spelled", ())
    spelled = {one.arg: one for one in said if isinstance(one, Difference) and one.arg}
    for one in TARGETS[to].differences.get(kind, ()):
        if isinstance(one, Difference) and one.arg in spelled:
            assert (one is spelled[one.arg]) is ((to, one.arg) not in KEPT_OTHERWISE)


def test_what_no_constructor_says_cannot_be_compared():
    with pytest.raises(KeyError):
        compared(TARGETS["mlx"].constructors["conv"], "groups")  # several arguments make it up
    with pytest.raises(KeyError):
        compared(Unsupported("no such layer"), "eps")


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_what_cannot_be_made_has_its_reason(target):
    for kind, constructor in target.constructors.items():
        if isinstance(constructor, Unsupported):
            assert constructor.why, kind
        else:
            assert all(one.why for one in constructor.spelled if hasattr(one, "why"))
            assert not any(isinstance(one, Aside) and not one.args for one in constructor.spelled)


def test_a_layer_is_data():
    made = construct(TARGETS["nnx"], "GRU", {"input_size": 3, "hidden_size": 4, "batch_first": True})
    assert (made.cls, made.given) == ("flax.nnx.RNN", ("rngs",))
    cell = made.arguments["cell"]
    assert (cell.cls, dict(cell.arguments)) == (
        "flax.nnx.GRUCell",
        {"in_features": 3, "hidden_features": 4},
    )
    assert dict(cell.also["dense_h"].arguments) == {"in_features": 4, "out_features": 12}
    plain = construct(TARGETS["nnx"], "GRU", {"input_size": 3, "hidden_size": 4, "bias": False})
    assert not plain.arguments["cell"].also
    assert "swap the first two axes" in plain.notes[0]
    name = construct(TARGETS["mlx"], "RNNCell", {"input_size": 3, "hidden_size": 4}).arguments["nonlinearity"]
    assert isinstance(name, Name)
    assert name == "mlx.core.tanh"


def test_padding_that_keras_has_no_numbers_for_is_a_layer_before():
    args = {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": (1, 2)}
    made = construct(TARGETS["keras"], "Conv2d", args)
    assert made.arguments["padding"] == "valid"
    assert (made.also["before"].cls, made.also["before"].arguments["padding"]) == (
        "keras.layers.ZeroPadding2D",
        ((1, 1), (2, 2)),
    )
    assert not construct(TARGETS["keras"], "Conv2d", {**args, "padding": 0}).also


def test_what_a_target_has_not_is_said():
    args = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "groups": 2}
    refused = construct(TARGETS["keras"], "ConvTranspose2d", args)
    assert refused == Unsupported("groups is 2, and keras.layers.Conv2DTranspose has 1 alone")
    assert construct(TARGETS["keras"], "Bilinear", dict.fromkeys(LAYERS["bilinear"].args, 2)).why.startswith(
        "Keras has no"
    )
    assert "function" in construct(TARGETS["mlx"], "CrossEntropyLoss", {}).why


def test_a_recurrent_layer_of_several_layers_is_a_list_of_them():
    args = {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True, "dropout": 0.5}
    made = construct(TARGETS["nnx"], "LSTM", args)
    assert not made.cls
    assert "dropout 0.5 between them" in made.notes[0]
    assert {one.cls for one in made.layers} == {"flax.nnx.Bidirectional"}
    ways = [one.arguments["backward_rnn"].arguments["cell"].arguments["in_features"] for one in made.layers]
    assert ways == [3, 8]
    projected = construct(TARGETS["keras"], "LSTM", {**args, "bidirectional": False, "proj_size": 2})
    assert projected.why.startswith("proj_size is 2")
    assert construct(TARGETS["mlx"], "GRU", args).why.startswith("the framework has no layer that reads both")


def test_slopes_that_a_framework_has_no_place_for_are_written_by_hand():
    refused = construct(TARGETS["nnx"], "PReLU", {"num_parameters": 4})
    assert refused.why.endswith("write jnp.where(x < 0, slopes * x, x)")
    assert (
        "jnp.full((channels, 1, 1), 0.25)"
        in construct(TARGETS["equinox"], "PReLU", {"num_parameters": 4}).why
    )


def test_wrong_arguments_are_named_all_at_once():
    with pytest.raises(UsageError, match=r"^Conv2d needs kernel_size, out_channels and has no strides$"):
        construct(TARGETS["nnx"], "Conv2d", {"in_channels": 3, "strides": 2})
    with pytest.raises(UsageError, match="DyT is no class of a kind"):
        construct(TARGETS["nnx"], "DyT", {})
    with pytest.raises(
        UsageError, match=r"target jax: no Linear is made there: .* no constructors\['linear'\]"
    ):
        construct(TARGETS["jax"], "Linear", {"in_features": 2, "out_features": 3})
