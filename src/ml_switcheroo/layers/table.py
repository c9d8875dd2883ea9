"""How PyTorch stores each kind of layer: one row a kind.

``slots`` gives each tensor of the module with its axes in PyTorch's order, in einops' words
(``*space`` stands for any number of spatial axes). ``args`` gives the constructor arguments, in
order. Sources: the "Variables" sections of https://docs.pytorch.org/docs/stable/nn.html.
"""

from __future__ import annotations

from collections.abc import Mapping

from ml_switcheroo.layers.layer import Layer

__all__ = ["LAYERS"]

_NORM = {"weight": "channel", "bias": "channel"}
_RUNNING = {"running_mean": "channel", "running_var": "channel", "num_batches_tracked": ""}
_CONV_ARGS = {
    "in_channels": "size of axis in, times groups",
    "out_channels": "size of axis out",
    "kernel_size": "sizes of *space",
    "stride": "step of the window",
    "padding": "zeros added on each side",
    "dilation": "distance between taps",
    "groups": "blocks of channels that do not see each other",
    "bias": "whether there is a bias",
    "padding_mode": "what is padded with",
}
_WINDOW = {"stride": 1, "padding": 0, "dilation": 1, "padding_mode": "zeros"}
_BATCH_ARGS = {
    "num_features": "size of axis channel",
    "eps": "added to the variance",
    "momentum": "weight of the new batch in the running statistics",
    "affine": "whether there are weight and bias",
    "track_running_stats": "whether there are running statistics",
}
_NORM_DEFAULTS = {"eps": 1e-5}
_RNN_ARGS = {
    "input_size": "size of axis in of the first layer",
    "hidden_size": "size of axis hidden",
    "num_layers": "how many layers stand on each other",
    "bias": "whether there are biases",
    "batch_first": "whether the batch is the first axis of the input",
    "dropout": "dropout between the layers",
    "bidirectional": "whether each layer also reads backwards",
}
_CELL_ARGS = {name: _RNN_ARGS[name] for name in ("input_size", "hidden_size", "bias")}
_BIASES = frozenset({"bias_ih", "bias_hh"})


def _recurrent(suffix: str, **more: str) -> dict[str, str]:
    """Return the slots of one layer of a recurrent network; ``gate`` is 1 for a plain one."""
    slots = {"weight_ih": "(gate hidden) in", "weight_hh": "(gate hidden) state"}
    slots |= {"bias_ih": "(gate hidden)", "bias_hh": "(gate hidden)", **more}
    return {name + suffix: axes for name, axes in slots.items()}


_LAYERED = "_l{layer}{way}"
_LAYERED_BIASES = frozenset(name + _LAYERED for name in _BIASES)

_ROWS = (
    Layer(
        "linear",
        ("Linear", "LazyLinear", "NonDynamicallyQuantizableLinear"),
        {"weight": "out in", "bias": "out"},
        {"in_features": "size of axis in", "out_features": "size of axis out", "bias": ""},
        sizes={"in": "in_features", "out": "out_features"},
    ),
    # Hugging Face's, of GPT-2: https://github.com/huggingface/transformers, pytorch_utils.py.
    Layer(
        "linear_in_out",
        ("Conv1D",),
        {"weight": "in out", "bias": "out"},
        {"nf": "size of axis out", "nx": "size of axis in"},
        frozenset(),
        sizes={"in": "nx", "out": "nf"},
    ),
    Layer(
        "bilinear",
        ("Bilinear",),
        {"weight": "out in1 in2", "bias": "out"},
        {
            "in1_features": "size of axis in1",
            "in2_features": "size of axis in2",
            "out_features": "size of axis out",
            "bias": "whether there is a bias",
        },
        sizes={"in1": "in1_features", "in2": "in2_features", "out": "out_features"},
    ),
    Layer(
        "conv",
        ("Conv1d", "Conv2d", "Conv3d", "LazyConv1d", "LazyConv2d", "LazyConv3d"),
        {"weight": "out in *space", "bias": "out"},
        _CONV_ARGS,
        sizes={"in": "in_channels / groups", "out": "out_channels", "groups": "groups"},
        defaults={"groups": 1},
        window=_WINDOW,
    ),
    Layer(
        "conv_transpose",
        (
            *("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
            *("LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d"),
        ),
        {"weight": "in out *space", "bias": "out"},
        {
            **{name: _CONV_ARGS[name] for name in ("in_channels", "out_channels", "kernel_size", "stride")},
            "padding": "rows cut off on each side",
            "output_padding": "rows added on one side",
            **{name: _CONV_ARGS[name] for name in ("groups", "bias", "dilation", "padding_mode")},
        },
        sizes={"in": "in_channels", "out": "out_channels / groups", "groups": "groups"},
        defaults={"groups": 1},
        window={**_WINDOW, "output_padding": 0},
    ),
    Layer(
        "batch_norm",
        (
            *("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"),
            *("LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d"),
        ),
        {**_NORM, **_RUNNING},
        _BATCH_ARGS,
        frozenset({*_NORM, *_RUNNING}),
        sizes={"channel": "num_features"},
        defaults={"eps": 1e-5, "momentum": 0.1},
    ),
    Layer(
        "instance_norm",
        (
            *("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"),
            *("LazyInstanceNorm1d", "LazyInstanceNorm2d", "LazyInstanceNorm3d"),
        ),
        {**_NORM, **_RUNNING},
        _BATCH_ARGS,
        frozenset({*_NORM, *_RUNNING}),
        sizes={"channel": "num_features"},
        defaults={"eps": 1e-5, "momentum": 0.1, "affine": False, "track_running_stats": False},
    ),
    Layer(
        "layer_norm",
        ("LayerNorm",),
        {"weight": "*channel", "bias": "*channel"},
        {
            "normalized_shape": "sizes of *channel",
            "eps": "added to the variance",
            "elementwise_affine": "whether there are weight and bias",
            "bias": "whether there is a bias",
        },
        frozenset(_NORM),
        defaults=_NORM_DEFAULTS,
    ),
    Layer(
        "group_norm",
        ("GroupNorm",),
        dict(_NORM),
        {
            "num_groups": "groups that are normalised together",
            "num_channels": "size of axis channel",
            "eps": "added to the variance",
            "affine": "whether there are weight and bias",
        },
        frozenset(_NORM),
        sizes={"channel": "num_channels"},
        defaults=_NORM_DEFAULTS,
    ),
    Layer(
        "rms_norm",
        ("RMSNorm",),
        {"weight": "*channel"},
        {
            "normalized_shape": "sizes of *channel",
            "eps": "added to the mean square; None is the dtype's own epsilon",
            "elementwise_affine": "whether there is a weight",
        },
        frozenset({"weight"}),
        defaults={"eps": 2.0**-23},
    ),
    Layer(
        "embedding",
        ("Embedding", "EmbeddingBag"),
        {"weight": "vocab dim"},
        {
            "num_embeddings": "size of axis vocab",
            "embedding_dim": "size of axis dim",
            "padding_idx": "row that stays zero",
        },
        sizes={"vocab": "num_embeddings", "dim": "embedding_dim"},
    ),
    # Gates: LSTM i f g o; GRU r z n. Direction and layer stand in the name.
    Layer(
        "rnn",
        ("RNN",),
        _recurrent(_LAYERED),
        {
            **{name: _RNN_ARGS[name] for name in ("input_size", "hidden_size", "num_layers")},
            "nonlinearity": "tanh or relu",
            **{name: _RNN_ARGS[name] for name in ("bias", "batch_first", "dropout", "bidirectional")},
        },
        _LAYERED_BIASES,
        sizes={"gate": 1, "hidden": "hidden_size"},
        defaults={"nonlinearity": "tanh"},
    ),
    Layer(
        "lstm",
        ("LSTM",),
        _recurrent(_LAYERED, weight_hr="state hidden"),
        {**_RNN_ARGS, "proj_size": "size of axis state where the state is projected"},
        _LAYERED_BIASES | {"weight_hr" + _LAYERED},
        sizes={"gate": 4, "hidden": "hidden_size"},
    ),
    Layer(
        "gru",
        ("GRU",),
        _recurrent(_LAYERED),
        _RNN_ARGS,
        _LAYERED_BIASES,
        sizes={"gate": 3, "hidden": "hidden_size"},
    ),
    Layer(
        "rnn_cell",
        ("RNNCell",),
        _recurrent(""),
        {**_CELL_ARGS, "nonlinearity": "tanh or relu"},
        _BIASES,
        sizes={"gate": 1, "hidden": "hidden_size"},
        defaults={"nonlinearity": "tanh"},
    ),
    Layer(
        "lstm_cell",
        ("LSTMCell",),
        _recurrent(""),
        _CELL_ARGS,
        _BIASES,
        sizes={"gate": 4, "hidden": "hidden_size"},
    ),
    Layer(
        "gru_cell",
        ("GRUCell",),
        _recurrent(""),
        _CELL_ARGS,
        _BIASES,
        sizes={"gate": 3, "hidden": "hidden_size"},
    ),
    # Query, key and value in one tensor, or in three where kdim or vdim differ from embed_dim.
    Layer(
        "mha",
        ("MultiheadAttention",),
        {
            "in_proj_weight": "(qkv heads dim) in",
            **{f"{name}_proj_weight": "(heads dim) in" for name in "qkv"},
            "in_proj_bias": "(qkv heads dim)",
            **{f"bias_{name}": "1 1 (heads dim)" for name in "kv"},
            "out_proj.weight": "out (heads dim)",
            "out_proj.bias": "out",
        },
        {
            "embed_dim": "size of axis in, and of heads times dim",
            "num_heads": "size of axis heads",
            "dropout": "dropout of the attention weights",
            "bias": "whether there are biases",
            "add_bias_kv": "whether there are bias_k and bias_v",
            "add_zero_attn": "whether a row of zeros is attended to",
            "kdim": "size of the keys' axis in",
            "vdim": "size of the values' axis in",
            "batch_first": "whether the batch is the first axis of the input",
        },
        frozenset(
            {
                *("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"),
                *("in_proj_bias", "bias_k", "bias_v", "out_proj.bias"),
            }
        ),
        sizes={"qkv": 3, "heads": "num_heads"},
    ),
    Layer(
        "prelu",
        ("PReLU",),
        {"weight": "channel"},
        {"num_parameters": "size of axis channel", "init": ""},
        frozenset(),
        sizes={"channel": "num_parameters"},
    ),
    Layer(
        "class_weights",
        (
            *("BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "LinearCrossEntropyLoss"),
            *("MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss", "NLLLoss2d"),
        ),
        {"weight": "*classes", "pos_weight": "*classes"},
        optional=frozenset({"weight", "pos_weight"}),
    ),
    # What a class of the user's own keeps: moved as it lies, whatever its name.
    Layer("parameter", ("Parameter",), {"": "*shape"}),
    Layer("buffer", ("Buffer",), {"": "*shape"}),
    Layer(
        "quantised",
        (),
        {
            "scale": "",
            "zero_point": "",
            "weight": "*shape",
            "bias": "*shape",
            **{f"_packed_params.{name}": "*shape" for name in ("_packed_params", "dtype")},
        },
        refused="a quantised layer keeps packed integers that only torch reads; load the float model instead"
        " (before torch.ao.quantization.convert), or dequantise() its weights and save those",
    ),
)

LAYERS: Mapping[str, Layer] = {layer.kind: layer for layer in _ROWS}
