import pytest

from ml_switcheroo.computed import Computed, named


@pytest.mark.parametrize(
    ("name", "args", "word"),
    [
        ("torch.nn.functional.gelu", {}, "gelu by erf"),
        ("torch.nn.modules.activation.GELU", {"approximate": "tanh"}, "gelu by tanh"),
        ("jax._src.nn.functions.gelu", {}, "gelu by tanh"),
        ("keras.src.activations.activations.gelu", {}, "gelu by erf"),
        ("keras.src.ops.nn.gelu", {}, "gelu by tanh"),
        ("mlx.nn.layers.activations.gelu_fast_approx", {}, "gelu by sigmoid"),
        ("torch.nn.LeakyReLU", {}, "leaky_relu 0.01"),
        ("keras.src.layers.activations.leaky_relu.LeakyReLU", {}, "leaky_relu 0.3"),
        ("keras.src.layers.activations.relu.ReLU", {"max_value": None, "threshold": 0.0}, "relu"),
        ("torch.nn.AvgPool1d", {"padding": (1,)}, "avg_pool with the padding counted"),
        (
            "torch.nn.functional.avg_pool3d",
            {"padding": 1, "count_include_pad": False},
            "avg_pool with the padding left out",
        ),
        ("flax.linen.pooling.avg_pool", {"padding": ((1, 1), (1, 1))}, "avg_pool with the padding counted"),
        ("haiku._src.pool.avg_pool", {"padding": "SAME"}, "avg_pool with the padding left out"),
    ],
)
def test_what_a_function_computes_by_default_and_when_told(name, args, word):
    assert str(named(name, args)) == word


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("jax.nn.gelu", {"approximate": object()}),  # an argument that nobody can read
        ("keras.src.layers.activations.relu.ReLU", {"max_value": 6.0}),
        ("torch.nn.AvgPool2d", {"padding": 0}),
        ("torch.nn.AvgPool2d", {"padding": 1, "count_include_pad": object()}),
        ("flax.linen.pooling.avg_pool", {"padding": "VALID"}),
        ("torch.nn.AdaptiveAvgPool2d", {}),
        ("mypackage.gelu", {}),
        ("torch.nn.functional.linear", {}),
    ],
)
def test_what_is_not_known_is_nothing(name, args):
    assert named(name, args) is None


def test_words_can_be_sorted():
    assert (
        sorted([Computed("relu"), Computed("gelu", "by tanh"), Computed("gelu", "by erf")])[0].how == "by erf"
    )
