"""How PyTorch stores each kind of layer, and how it is made: one row a kind.

``slots`` gives each tensor of the module with its axes in PyTorch's order, in einops' words
(``*space`` stands for any number of spatial axes). ``arguments`` are those of the constructor, in
order. Sources: the "Variables" sections of https://docs.pytorch.org/docs/stable/nn.html, and the
signatures of the classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ml_switcheroo.layers.argument import Argument
from ml_switcheroo.layers.layer import Layer

__all__ = ["TABLE"]

_NORM = {"weight": "channel", "bias": "channel"}
_RUNNING = {"running_mean": "channel", "running_var": "channel", "num_batches_tracked": ""}


_PRODUCTS = ("linear", "right of @", "left of @")
_OF_MATRIX = ("joined", "einsum")
_OF_SCALE = ("scale", "joined")


def _bias(*slots: str) -> Argument:
    return Argument("bias", "whether there is a bias", True, switches=slots or ("bias",))


_BIAS_OF_NORM = replace(_bias(), keyword=True)

# Of a convolution, and of a transposed one.
_IN_CHANNELS = Argument("in_channels", "channels of the input", size="in groups")
_OUT_CHANNELS = Argument("out_channels", "channels of the output", size="out")
_KERNEL = Argument("kernel_size", "sizes of the kernel", size="*space")
_STRIDE = Argument("stride", "step of the window", 1, decides="window")
_PADDING = Argument("padding", "zeros added on each side", 0, decides="window")
_DILATION = Argument("dilation", "distance between taps", 1, decides="window")
_GROUPS = Argument(
    "groups", "blocks of channels that do not see each other", 1, size="groups", decides="output"
)
_PADDING_MODE = Argument("padding_mode", "what is padded with", "zeros", decides="window")

_EPS = Argument("eps", "added to the variance", 1e-5, decides="output")
_FEATURES = Argument("num_features", "channels", size="channel")
_MOMENTUM = Argument("momentum", "weight of the new batch in the running statistics", 0.1, decides="output")


def _affine(default: bool = True, *, decides: bool = False) -> Argument:
    about = "whether there are weight and bias"
    return Argument(
        "affine", about, default, switches=("weight", "bias"), decides="output" if decides else ""
    )


def _tracked(default: bool = True, *, decides: bool = False) -> Argument:
    about = "whether there are running statistics"
    return Argument(
        "track_running_stats", about, default, switches=tuple(_RUNNING), decides="output" if decides else ""
    )


_BATCH = (_FEATURES, _EPS, _MOMENTUM, _affine(), _tracked())
_INSTANCE = (_FEATURES, _EPS, _MOMENTUM, _affine(False, decides=True), _tracked(False, decides=True))
_SHAPE = Argument("normalized_shape", "sizes of the axes that are normalised over", size="*channel")

_VOCAB = Argument("num_embeddings", "rows", size="vocab")
_DIM = Argument("embedding_dim", "features of a row", size="dim")
_PADDING_IDX = Argument("padding_idx", "row that stays zero", None)
_LIMITS = (
    Argument("max_norm", "the longest that a row may be; longer ones are shortened", None),
    Argument("norm_type", "the norm that a row is measured by", 2.0),
    Argument("scale_grad_by_freq", "whether gradients are divided by how often a row is used", False),
)
_SPARSE = Argument("sparse", "whether gradients are sparse", False)
_GIVEN = Argument("_weight", "the weight itself, in place of a random one", None)

# Of recurrent layers: the first layer reads the input, each other one the layer below it.
_INPUT = Argument("input_size", "features of the input")
_HIDDEN = Argument("hidden_size", "features of the state", size="hidden")
_LAYERS = Argument("num_layers", "how many layers stand on each other", 1)
_TIMES = (
    Argument("batch_first", "whether the batch is the first axis of the input", False),
    Argument("dropout", "dropout between the layers", 0.0),
    Argument("bidirectional", "whether each layer also reads backwards", False),
)
_NONLINEARITY = Argument("nonlinearity", "tanh or relu", "tanh", decides="output")
_CELL = (_INPUT, _HIDDEN, _bias("bias_ih", "bias_hh"))


def _recurrent(suffix: str, **more: str) -> dict[str, str]:
    """Return the slots of one layer of a recurrent network; ``gate`` is 1 for a plain one."""
    slots = {"weight_ih": "(gate hidden) in", "weight_hh": "(gate hidden) state"}
    slots |= {"bias_ih": "(gate hidden)", "bias_hh": "(gate hidden)", **more}
    return {name + suffix: axes for name, axes in slots.items()}


_LAYERED = "_l{layer}{way}"
_BIASES = _bias(f"bias_ih{_LAYERED}", f"bias_hh{_LAYERED}")

_ROWS = (
    Layer(
        "linear",
        ("Linear", "LazyLinear", "NonDynamicallyQuantizableLinear"),
        {"weight": "out in", "bias": "out"},
        (
            Argument("in_features", "features of the input", size="in"),
            Argument("out_features", "features of the output", size="out"),
            _bias(),
        ),
        matched="linear",
        takes="in",
        channels="last",
        turned="linear_in_out",
        uses=_OF_MATRIX,
    ),
    # Hugging Face's, of GPT-2: https://github.com/huggingface/transformers, pytorch_utils.py.
    Layer(
        "linear_in_out",
        ("Conv1D",),
        {"weight": "in out", "bias": "out"},
        (
            Argument("nf", "features of the output", size="out"),
            Argument("nx", "features of the input", size="in"),
        ),
        package="transformers.pytorch_utils",
        matched="linear",
        takes="in",
        channels="last",
        turned="linear",
        uses=_OF_MATRIX,
    ),
    Layer(
        "bilinear",
        ("Bilinear",),
        {"weight": "out in1 in2", "bias": "out"},
        (
            Argument("in1_features", "features of the first input", size="in1"),
            Argument("in2_features", "features of the second input", size="in2"),
            Argument("out_features", "features of the output", size="out"),
            _bias(),
        ),
        channels="last",
        uses=("bilinear", "einsum"),
    ),
    Layer(
        "conv",
        ("Conv1d", "Conv2d", "Conv3d", "LazyConv1d", "LazyConv2d", "LazyConv3d"),
        {"weight": "out in *space", "bias": "out"},
        (
            *(_IN_CHANNELS, _OUT_CHANNELS, _KERNEL, _STRIDE, _PADDING, _DILATION),
            *(_GROUPS, _bias(), _PADDING_MODE),
        ),
        matched="conv",
        takes="in",
        channels="first",
        noun="a convolution",
        uses=("conv", *_PRODUCTS, "einsum"),
    ),
    Layer(
        "conv_transpose",
        (
            *("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
            *("LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d"),
        ),
        # Each group has its own "out"; the bias has the channels of all.
        {"weight": "in out *space", "bias": "channel"},
        (
            *(replace(_IN_CHANNELS, size="in"), replace(_OUT_CHANNELS, size="out groups"), _KERNEL, _STRIDE),
            replace(_PADDING, meaning="rows cut off on each side"),
            Argument("output_padding", "rows added on one side", 0, decides="window"),
            *(_GROUPS, _bias(), _DILATION, _PADDING_MODE),
        ),
        {"channel": "out_channels"},
        takes="in",
        channels="first",
        noun="a transposed convolution, whose kernel is square",
        uses=("conv_transpose", "einsum"),
    ),
    Layer(
        "batch_norm",
        (
            *("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"),
            *("LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d"),
        ),
        {**_NORM, **_RUNNING},
        (*_BATCH, _BIAS_OF_NORM),
        otherwise={
            "SyncBatchNorm": (
                *_BATCH,
                Argument("process_group", "the processes that share their statistics", None),
                _BIAS_OF_NORM,
            )
        },
        matched="norm",
        takes="channel",
        channels="first",
        uses=_OF_SCALE,
    ),
    Layer(
        "instance_norm",
        (
            *("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"),
            *("LazyInstanceNorm1d", "LazyInstanceNorm2d", "LazyInstanceNorm3d"),
        ),
        {**_NORM, **_RUNNING},
        (*_INSTANCE, _BIAS_OF_NORM),
        otherwise=dict.fromkeys(
            ("LazyInstanceNorm1d", "LazyInstanceNorm2d", "LazyInstanceNorm3d"), (*_BATCH[1:], _BIAS_OF_NORM)
        ),
        matched="norm",
        channels="first",
        uses=_OF_SCALE,
    ),
    Layer(
        "layer_norm",
        ("LayerNorm",),
        {"weight": "*channel", "bias": "*channel"},
        (_SHAPE, _EPS, replace(_affine(), name="elementwise_affine"), _bias()),
        matched="norm",
        takes="*channel",
        uses=_OF_SCALE,
    ),
    Layer(
        "group_norm",
        ("GroupNorm",),
        dict(_NORM),
        (
            Argument("num_groups", "groups that are normalised together"),
            replace(_FEATURES, name="num_channels"),
            *(_EPS, _affine(), _BIAS_OF_NORM),
        ),
        matched="norm",
        channels="first",
        uses=_OF_SCALE,
    ),
    Layer(
        "rms_norm",
        ("RMSNorm",),
        {"weight": "*channel"},
        (
            _SHAPE,
            Argument(
                "eps",
                "added to the mean square; None is the dtype's own epsilon",
                None,
                decides="output",
                counts_as=2.0**-23,
            ),
            Argument("elementwise_affine", "whether there is a weight", True, switches=("weight",)),
        ),
        matched="norm",
        takes="*channel",
        uses=_OF_SCALE,
    ),
    Layer(
        "embedding",
        ("Embedding", "EmbeddingBag"),
        {"weight": "vocab dim"},
        (
            *(_VOCAB, _DIM, _PADDING_IDX, *_LIMITS, _SPARSE, _GIVEN),
            Argument("_freeze", "whether the weight is not trained", False),
        ),
        otherwise={
            "EmbeddingBag": (
                *(_VOCAB, _DIM, *_LIMITS),
                Argument("mode", "what becomes of the rows of a bag: sum, mean or max", "mean"),
                *(_SPARSE, _GIVEN),
                Argument("include_last_offset", "whether the offsets end with the length", False),
                _PADDING_IDX,
            )
        },
        matched="embedding",
        channels="last",
        uses=("embedding", *_PRODUCTS, "bias", "returned", *_OF_MATRIX),
    ),
    # Gates: LSTM i f g o; GRU r z n. Direction and layer stand in the name.
    Layer(
        "rnn",
        ("RNN",),
        _recurrent(_LAYERED),
        (_INPUT, _HIDDEN, _LAYERS, _NONLINEARITY, _BIASES, *_TIMES),
        {"gate": 1},
    ),
    Layer(
        "lstm",
        ("LSTM",),
        _recurrent(_LAYERED, weight_hr="state hidden"),
        (
            *(_INPUT, _HIDDEN, _LAYERS, _BIASES, *_TIMES),
            Argument("proj_size", "features of a projected state", 0, switches=(f"weight_hr{_LAYERED}",)),
        ),
        {"gate": 4},
    ),
    Layer("gru", ("GRU",), _recurrent(_LAYERED), (_INPUT, _HIDDEN, _LAYERS, _BIASES, *_TIMES), {"gate": 3}),
    Layer("rnn_cell", ("RNNCell",), _recurrent(""), (*_CELL, _NONLINEARITY), {"gate": 1}),
    Layer("lstm_cell", ("LSTMCell",), _recurrent(""), _CELL, {"gate": 4}),
    Layer("gru_cell", ("GRUCell",), _recurrent(""), _CELL, {"gate": 3}),
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
        (
            Argument("embed_dim", "features of the queries, and of all heads together", size="heads dim"),
            Argument("num_heads", "heads", size="heads"),
            Argument("dropout", "dropout of the attention weights", 0.0),
            _bias("in_proj_bias", "out_proj.bias"),
            Argument(
                "add_bias_kv", "whether there are bias_k and bias_v", False, switches=("bias_k", "bias_v")
            ),
            Argument("add_zero_attn", "whether a row of zeros is attended to", False),
            Argument("kdim", "features of the keys; None as embed_dim", None),
            Argument("vdim", "features of the values; None as embed_dim", None),
            _TIMES[0],
        ),
        {"qkv": 3},
        frozenset({"in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"}),
        matched="linear",
        channels="last",
    ),
    Layer(
        "prelu",
        ("PReLU",),
        {"weight": "channel"},
        (
            Argument("num_parameters", "slopes: one, or one for each channel", 1, size="channel"),
            Argument("init", "the slope at first", 0.25),
        ),
        channels="first",
        uses=("prelu", "scale"),
    ),
    # What else these take decides the loss and no tensor; no target has a layer for them.
    Layer(
        "class_weights",
        (
            *("BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "LinearCrossEntropyLoss"),
            *("MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss", "NLLLoss2d"),
        ),
        {"weight": "*classes", "pos_weight": "*classes"},
        left_out=frozenset({"weight", "pos_weight"}),
    ),
    # What a class of the user's own keeps: moved as it lies, whatever its name.
    Layer("parameter", ("Parameter",), {"": "*shape"}, matched="parameter"),
    Layer("buffer", ("Buffer",), {"": "*shape"}, matched="parameter"),
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
        left_out=frozenset({"bias"}),
        refused="a quantised layer keeps packed integers that only torch reads; load the float model instead"
        " (before torch.ao.quantization.convert), or dequantise() its weights and save those",
    ),
)

TABLE: Mapping[str, Layer] = {layer.kind: layer for layer in _ROWS}
