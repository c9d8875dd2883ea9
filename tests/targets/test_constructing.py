"""The rows alone make each layer of each target from PyTorch's arguments; loaded, it gives the same."""

import importlib

import haiku as hk
import jax
import numpy as np
import pytest
import torch
from torch import nn

import ml_switcheroo as ms
from ml_switcheroo.layers import KIND_OF_CLASS
from ml_switcheroo.recipes import (
    Made,
    Name,
    Unsupported,
)
from ml_switcheroo.targets import TARGETS, construct
from parity import equinox, keras, linen, mlx, nnx
from parity import haiku as haikus

FRAMEWORKS = ("nnx", "linen", "equinox", "haiku", "keras", "mlx")
IMAGES = {"conv", "conv_transpose", "batch_norm", "instance_norm", "group_norm", "prelu"}
RECURRENT = {"rnn", "lstm", "gru"}

# Several settings a class: what is left out has PyTorch's defaults. Shapes are PyTorch's, the batch first.
IMAGE = {1: (2, 4, 9), 2: (2, 4, 9, 8), 3: (2, 4, 5, 6, 4)}
CASES = [
    ("Linear", {"in_features": 4, "out_features": 6}, (3, 4)),
    ("Linear", {"in_features": 4, "out_features": 4, "bias": False}, (3, 4)),
    ("Bilinear", {"in1_features": 3, "in2_features": 4, "out_features": 5}, (2, 3), (2, 4)),
    *(
        (f"Conv{rank}d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3, **more}, IMAGE[rank])
        for rank in (1, 2)
        for more in (
            {},
            {"stride": 2, "padding": 1},
            {"dilation": 2, "bias": False},
            {"groups": 2, "padding": 2},
            {"padding": "same"},
            {"padding": 1, "padding_mode": "circular"},
        )
    ),
    (
        "Conv2d",
        {"in_channels": 4, "out_channels": 4, "kernel_size": (3, 2), "stride": (2, 1), "padding": [1, 0]},
        IMAGE[2],
    ),
    ("Conv3d", {"in_channels": 4, "out_channels": 6, "kernel_size": 2, "padding": 1}, IMAGE[3]),
    *(
        (
            f"ConvTranspose{rank}d",
            {"in_channels": 4, "out_channels": 6, "kernel_size": 3, **more},
            IMAGE[rank],
        )
        for rank in (1, 2)
        for more in (
            {},
            {"stride": 2, "padding": 1, "output_padding": 1},
            {"stride": 2, "bias": False},
            {"dilation": 2},
            {"padding": 1},
            {"groups": 2},
        )
    ),
    *(
        (f"BatchNorm{rank}d", {"num_features": 4, **more}, IMAGE[rank])
        for rank in (1, 2)
        for more in (
            {},
            {"eps": 1e-2, "momentum": 0.3},
            {"affine": False},
            {"momentum": None},
            {"bias": False},
            {"track_running_stats": False},
        )
    ),
    *(
        ("InstanceNorm2d", {"num_features": 4, **more}, IMAGE[2])
        for more in ({}, {"affine": True, "eps": 1e-2}, {"affine": True, "track_running_stats": True})
    ),
    *(
        ("LayerNorm", {"normalized_shape": shape, **more}, (2, 5, 6))
        for shape in (6, (6,), (5, 6))
        for more in ({}, {"eps": 1e-2}, {"bias": False}, {"elementwise_affine": False})
    ),
    *(
        ("GroupNorm", {"num_groups": 2, "num_channels": 4, **more}, IMAGE[2])
        for more in ({}, {"eps": 1e-2}, {"affine": False})
    ),
    *(
        ("RMSNorm", {"normalized_shape": 6, **more}, (2, 5, 6))
        for more in ({}, {"eps": 1e-2}, {"elementwise_affine": False})
    ),
    ("Embedding", {"num_embeddings": 7, "embedding_dim": 4}, (2, 3)),
    ("Embedding", {"num_embeddings": 4, "embedding_dim": 4, "padding_idx": 1}, (2, 3)),
    ("Embedding", {"num_embeddings": 7, "embedding_dim": 4, "max_norm": 1.0}, (2, 3)),
    ("EmbeddingBag", {"num_embeddings": 7, "embedding_dim": 4}, (2, 3)),
    *(
        (name, {"input_size": 4, "hidden_size": 5, "batch_first": True, **more}, (2, 3, 4))
        for name in ("RNN", "LSTM", "GRU")
        for more in (
            {},
            {"bias": False},
            {"num_layers": 2},
            {"bidirectional": True},
            {"num_layers": 2, "bidirectional": True},
        )
    ),
    ("RNN", {"input_size": 4, "hidden_size": 5, "batch_first": True, "nonlinearity": "relu"}, (2, 3, 4)),
    ("LSTM", {"input_size": 4, "hidden_size": 5, "batch_first": True, "proj_size": 2}, (2, 3, 4)),
    *(
        (name, {"input_size": 4, "hidden_size": 5, **more}, (2, 4), *[(2, 5)] * (1 + (name == "LSTMCell")))
        for name in ("RNNCell", "LSTMCell", "GRUCell")
        for more in ({}, {"bias": False})
    ),
    ("RNNCell", {"input_size": 4, "hidden_size": 5, "nonlinearity": "relu"}, (2, 4), (2, 5)),
    *(
        (
            "MultiheadAttention",
            {"embed_dim": 6, "num_heads": 2, "batch_first": True, **more},
            (2, 3, 6),
            (2, 4, 6),
        )
        for more in ({}, {"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True})
    ),
    (
        "MultiheadAttention",
        {"embed_dim": 6, "num_heads": 2, "batch_first": True, "kdim": 4, "vdim": 5},
        *((2, 3, 6), (2, 4, 4), (2, 4, 5)),
    ),
    ("PReLU", {}, IMAGE[2]),
    ("PReLU", {"num_parameters": 4, "init": 0.1}, IMAGE[2]),
]


def name_of(case):
    name, args, *_ = case
    return f"{name} {' '.join(f'{key}={value}' for key, value in args.items())}"


def torch_layer(name, args):
    """Make PyTorch's layer with weights that no symmetry hides."""
    layer = getattr(nn, name)(**args).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for tensor in (*layer.parameters(), *layer.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
                if tensor.ndim > 1:
                    tensor.sub_(1)
    return layer


def resolved(value):
    module, _, name = value.rpartition(".")
    return getattr(importlib.import_module(module), name)


def built(made, **given):
    """Make a layer of the data alone, or a list of several."""
    if made.layers:
        return [built(one, **given) for one in made.layers]
    arguments = {
        key: built(value, **given)
        if isinstance(value, Made)
        else resolved(value)
        if isinstance(value, Name)
        else value
        for key, value in made.arguments.items()
    }
    layer = resolved(made.cls)(**arguments, **{name: given[name] for name in made.given})
    for place, other in made.also.items():
        if place not in ("before", "behind"):
            setattr(layer, place, built(other, **given))
    return layer


def around(made, layer, **given):
    """Return a call of a layer with those before and behind it."""
    before, behind = (
        built(made.also[place], **given) if place in made.also else None for place in ("before", "behind")
    )

    def run(x):
        x = layer(before(x) if before else x)
        return behind(x) if behind else x

    return run


def applied(name, module, inputs, made):
    """Call a layer as the frameworks do: a cell with its state, an attention with keys and values."""
    if name == "RNNCell" or name == "GRUCell":
        return module(inputs[1], inputs[0])[1]
    if name == "LSTMCell":
        return module((inputs[2], inputs[1]), inputs[0])[1]
    if name == "MultiheadAttention":
        return module(inputs[0], inputs[1], inputs[-1])
    return around(made, module)(*inputs) if len(inputs) == 1 else module(*inputs)


def in_turn(module, x, one=lambda layer, x: layer(x)):
    """Call layers one after the other; a single one by itself."""
    for layer in module if isinstance(module, list | tuple) else [module]:
        x = one(layer, x)
    return x


def in_nnx(name, args, made, shapes):
    from flax import nnx as flax_nnx

    def run(module, *inputs):
        if made.layers:
            return in_turn(list(module), *inputs)
        if name == "LayerNorm" and made.notes:
            x = inputs[0]
            return module(x.reshape(len(x), -1)).reshape(x.shape)
        return applied(name, module, inputs, made)

    def make():
        layer = built(made, rngs=flax_nnx.Rngs(0))
        return flax_nnx.List(layer) if made.layers else layer

    port = nnx.port(make, run)
    port.model.eval()
    return port


def in_linen(name, args, made, shapes):
    more = {"use_running_average": True} if name.startswith("BatchNorm") else {}
    if made.layers:
        return linen.port(built(made), *shapes, call=in_turn)
    module = built(Made(made.cls, {**made.arguments, **more}))
    return linen.port(module, *shapes, call=lambda module, *inputs: applied(name, module, inputs, made))


def in_equinox(name, args, made, shapes):
    layer = built(made, key=equinox.KEY)
    if name.startswith("BatchNorm"):
        import equinox as eqx

        model = eqx.nn.make_with_state(lambda: equinox.Holder(layer))()

        def run(pair, x):
            module, state = eqx.nn.inference_mode(pair[0].m), pair[1]
            return jax.vmap(module, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, state)[0]

        return equinox.Port(model, run)

    def one(module, *inputs):
        if name in ("LayerNorm", "RMSNorm"):
            shape = args["normalized_shape"]
            return equinox.over_rest(module, inputs[0], 1 if isinstance(shape, int) else len(shape))
        if name == "Embedding":
            return equinox.over_rest(module, inputs[0], 0)
        if name == "Linear":
            return module(inputs[0])
        if name in ("LSTM", "GRU"):
            zero = jax.numpy.zeros(args["hidden_size"])
            start = (zero, zero) if name == "LSTM" else zero
            return in_turn(module, inputs[0], lambda cell, x: equinox.scanned(cell, x, start))
        if name == "GRUCell":
            return module(*inputs)
        if name == "LSTMCell":
            return module(inputs[0], (inputs[1], inputs[2]))[0]
        return applied(name, module, inputs, made)

    return equinox.port(layer, one)


def in_haikus_turn(made, x):
    for number, one in enumerate(made.layers or (made,)):
        named = {**one.arguments, "name": f"m_{number}" if made.layers else "m"}
        module = built(Made(one.cls, named))
        start = module.initial_state(len(x))
        x = hk.dynamic_unroll(module, x.swapaxes(0, 1), start)[0].swapaxes(0, 1)
    return x


def in_haiku(name, args, made, shapes):
    norm = name.startswith("BatchNorm")

    def function(*inputs, training=False):
        if name in ("RNN", "LSTM"):
            return in_haikus_turn(made, *inputs)
        module = built(Made(made.cls, {**made.arguments, "name": "m"}))
        if norm:
            return module(inputs[0], training)
        if name == "RNNCell":
            return module(inputs[0], inputs[1])[0]
        if name == "LSTMCell":
            return module(inputs[0], hk.LSTMState(inputs[1], inputs[2]))[0]
        if name == "MultiheadAttention":
            return module(inputs[0], inputs[1], inputs[-1])
        return module(*inputs)

    dtype = "i4" if name == "Embedding" else "f4"
    inputs = [np.zeros(shape, dtype) for shape in shapes]
    if not norm:
        return haikus.port(function, *inputs)
    transformed = hk.without_apply_rng(hk.transform_with_state(function))
    start = hk.transform_with_state(lambda x: function(x, training=True))
    return haikus.Port(haikus.started(start, *inputs), lambda model, x: transformed.apply(*model, x)[0])


def in_keras(name, args, made, shapes):
    layer, given = built(made), {}
    beside = (lambda x: in_turn(layer, x)) if made.layers else around(made, layer)

    def run(module, *inputs):
        if name.endswith("Cell"):
            return module(inputs[0], list(inputs[1:]))[0]
        if name == "MultiheadAttention":
            return module(inputs[0], inputs[-1], inputs[1])
        return beside(inputs[0])

    return keras.port(layer, *shapes, run=run, **given)


def in_mlx(name, args, made, shapes):
    def run(module, *inputs):
        if name.endswith("Cell"):
            out = module(inputs[0][:, None], *inputs[1:])
            return (out[0] if name == "LSTMCell" else out)[:, 0]
        if name == "LSTM":
            return in_turn(module, inputs[0], lambda layer, x: layer(x)[0])
        if made.layers:
            return in_turn(module, inputs[0])
        if name == "MultiheadAttention":
            return module(inputs[0], inputs[1], inputs[-1])
        return module(*inputs)

    return mlx.port(built(made), run)


def inputs_of(name, shapes):
    rng = np.random.default_rng(0)
    if name.startswith("Embedding"):
        return [rng.integers(0, 4, shape) for shape in shapes]
    return [rng.normal(size=shape).astype("f4") for shape in shapes]


def expected_of(name, layer, inputs):
    arrays = [torch.from_numpy(one) for one in inputs]
    if name == "LSTMCell":
        arrays = [arrays[0], tuple(arrays[1:])]
    if name == "MultiheadAttention":
        arrays = [arrays[0], arrays[1], arrays[-1]]
    with torch.no_grad():
        out = layer(*arrays)
    return (out[0] if isinstance(out, tuple) else out).numpy()


# Which settings a target's layer has no switch for.
EVERYWHERE = FRAMEWORKS
TURNED = ("nnx", "linen", "haiku", "keras", "mlx")
REFUSED = {
    name_of(case): targets
    for case in CASES
    for part, targets in (
        ("kernel_size=3 padding=same", ("mlx",)),
        ("padding_mode=circular", TURNED),
        ("output_padding=1", ("keras",)),
        ("momentum=None", EVERYWHERE),
        ("track_running_stats=False", EVERYWHERE),
        ("track_running_stats=True", EVERYWHERE),
        ("max_norm", EVERYWHERE),
        ("EmbeddingBag", EVERYWHERE),
        ("bidirectional=True", ("equinox", "haiku", "mlx")),
        ("proj_size=2", EVERYWHERE),
        ("add_bias_kv", EVERYWHERE),
        ("add_zero_attn", EVERYWHERE),
    )
    if part in name_of(case)
}
REFUSED |= {
    name_of(case): targets
    for case in CASES
    for start, part, targets in (
        ("ConvTranspose", "dilation=2", ("haiku",)),
        ("ConvTranspose", "groups=2", TURNED),
        ("BatchNorm", "bias=False", ("equinox", "mlx")),
        ("LayerNorm", "(5, 6)", ("mlx",)),
        ("RMSNorm", "elementwise_affine=False", ("keras", "mlx")),
        ("RNN", "bias=False", ("haiku",)),
        ("RNN input_size=4 hidden_size=5 batch_first=True", "", ("haiku",)),
        ("RNNCell", "hidden_size=5", ("haiku",)),
        ("LSTM", "bias=False", ("haiku",)),
        ("PReLU ", "", ("keras",)),
        ("PReLU num_parameters=4", "", ("nnx", "linen", "equinox", "keras")),
    )
    if name_of(case).startswith(start) and part in name_of(case) and name_of(case) not in REFUSED
}
REFUSED = {name: () if "relu" in name else targets for name, targets in REFUSED.items()}


@pytest.mark.parametrize("to", FRAMEWORKS)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_layer_made_by_the_rows_gives_what_pytorchs_gives(case, to):
    name, args, *shapes = case
    target, kind = TARGETS[to], KIND_OF_CLASS[name]
    made = construct(target, name, args)
    if isinstance(made, Unsupported):
        assert made.why
        assert to in REFUSED.get(name_of(case), ()) or isinstance(target.kinds[kind], Unsupported), made.why
        return
    assert to not in REFUSED.get(name_of(case), ())
    layer = torch_layer(name, args)
    moved = kind in IMAGES and target.channels == "last"
    inputs = inputs_of(name, shapes)
    here = [np.moveaxis(one, 1, -1) if moved else one for one in inputs]
    port = globals()[f"in_{to}"](name, args, made, [one.shape for one in here])
    state = {f"m.{key}": value for key, value in layer.state_dict().items()}
    model = port.model
    if state:
        over_several = args.get("normalized_shape") == (5, 6)
        rules = [ms.Kind("m", "layer_norm", flatten=1, args={"eps": layer.eps})] if over_several else []
        known = {"layers": nn.ModuleDict({"m": layer}), "rules": rules, "to": to}
        model, report = ms.load_into(port.model, state, **known), ((), ())
        if not target.immutable:
            model, report = port.model, model
        assert not any(report)
    found = np.asarray(port.run(model, *here))
    found = np.moveaxis(found, -1, 1) if moved else found
    np.testing.assert_allclose(found, expected_of(name, layer, inputs), rtol=2e-4, atol=2e-5)
