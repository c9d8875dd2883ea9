"""The operations of torch on tensors: one row each."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from ml_switcheroo.operations.operation import Axes, Elements, Operation, Storage, parameters

__all__ = ["OPERATIONS", "operation"]

A, E, S = Axes, Elements, Storage
_HOMES = {"t": "torch", "f": "torch.nn.functional", "e": "einops"}


def _rows(
    words: str,
    where: str,
    signature: str,
    axes: Axes,
    elements: Elements,
    storage: Storage = Storage.NEW,
    operator: str = "",
) -> Iterator[Operation]:
    """Yield one operation for each word.

    Args:
        words: Names with spaces between; ``|`` before another name of the same.
        where: ``t`` for a function of torch, ``f`` of its functional, ``e`` of einops, ``m`` for a method.
        signature: The parameters; see :func:`~ml_switcheroo.operations.operation.parameters`.
        axes: What becomes of the axes.
        elements: What becomes of the elements.
        storage: Whose storage the result has.
        operator: The operator that does the same.
    """
    for names in words.split():
        name, *also = names.split("|")
        homes = tuple(_HOMES[one] for one in where if one != "m")
        yield Operation(
            name, tuple(also), homes, "m" in where, parameters(signature), axes, elements, storage, operator
        )


_KEEP = "keepdim|keepdims=False"
_DIM = f"dim|axis=None, {_KEEP}"
_CONV = "stride=1, padding=0, dilation=1, groups=1"
_TURNED = "stride=1, padding=0, output_padding=0, groups=1, dilation=1"
_SLEEPS = "p=0.5, training=False"
_BETWEEN = "lower=0.125, upper=0.3333333333333333, training=False"
_QKV = "query, key, value"
_AFFINE = "weight:scale=None, bias:bias=None"
_RUNNING = f"running_mean:mean=None, running_var:var=None, {_AFFINE}"
_MEANS = "running_mean:mean, running_var:var"
_POOL = "input, kernel_size, stride=None, padding=0"
_PLACES = "dim0|axis0, dim1|axis1"
_PARTS = "split_size_or_sections|split_size|split_sizes, dim=0"
_CUTS = "indices_or_sections|indices|sections, dim=0"

_ALL: tuple[Operation, ...] = (
    # What is one number from one number, where it was.
    *_rows("clone", "tm", "input", A.SAME, E.KEPT),
    *_rows("detach", "tm", "input", A.SAME, E.KEPT, S.VIEW),
    *_rows("contiguous pin_memory coalesce to_dense", "m", "input", A.SAME, E.KEPT, S.MAYBE),
    *_rows("float half double bfloat16 cuda cpu", "m", "input", A.SAME, E.KEPT, S.MAYBE),
    *_rows("to", "m", "input, *target", A.SAME, E.KEPT, S.MAYBE),
    *_rows("type", "m", "input, dtype=None", A.SAME, E.KEPT, S.MAYBE),
    *_rows("type_as", "m", "input, other", A.SAME, E.KEPT, S.MAYBE),
    *_rows("as_subclass", "m", "input, cls", A.SAME, E.KEPT, S.VIEW),
    *_rows("requires_grad_ share_memory_", "m", "input", A.SAME, E.KEPT, S.IN_PLACE),
    *_rows("conj resolve_conj positive", "tm", "input", A.SAME, E.KEPT, S.MAYBE),
    *_rows("real", "t", "input", A.SAME, E.KEPT, S.MAYBE),
    *_rows("as_tensor asarray from_numpy", "t", "input|data", A.SAME, E.KEPT, S.MAYBE),
    *_rows("tensor", "t", "input|data", A.SAME, E.KEPT),
    *_rows("cast to_local full_tensor", "", "input", A.SAME, E.KEPT, S.MAYBE),
    *_rows("atleast_1d atleast_2d", "t", "input", A.OTHER, E.KEPT, S.MAYBE),
    *_rows("int long short bool", "m", "input", A.SAME, E.EACH, S.MAYBE),
    *_rows("abs|absolute neg|negative sign ceil floor trunc|fix frac", "tm", "input", A.SAME, E.EACH),
    *_rows("reciprocal sqrt rsqrt log log2 log10 log1p expm1", "tm", "input", A.SAME, E.EACH),
    *_rows("sin cos tan atan|arctan sinh cosh erf deg2rad rad2deg", "tm", "input", A.SAME, E.EACH),
    *_rows("isnan isinf isfinite bitwise_not logical_not angle", "tm", "input", A.SAME, E.EACH),
    *_rows("imag", "tm", "input", A.SAME, E.EACH, S.MAYBE),
    *_rows("round", "tm", "input, decimals=0", A.SAME, E.EACH),
    *_rows("logit", "tm", "input, eps=None", A.SAME, E.EACH),
    *_rows("pow", "tm", "input, exponent", A.SAME, E.EACH, S.NEW, "**"),
    *_rows("clamp|clip", "tm", "input, min=None, max=None", A.SAME, E.EACH),
    *_rows("clamp_min", "tm", "input, min", A.SAME, E.EACH),
    *_rows("clamp_max", "tm", "input, max", A.SAME, E.EACH),
    *_rows("nan_to_num", "tm", "input, nan=None, posinf=None, neginf=None", A.SAME, E.EACH),
    *_rows("masked_fill", "tm", "input, mask, value", A.SAME, E.EACH),
    *_rows("tril triu", "tm", "input, diagonal=0", A.SAME, E.EACH),
    *_rows("softcap", "", "input, cap", A.SAME, E.EACH),
    *_rows("bernoulli", "tm", "input, p=None", A.SAME, E.SET),
    *_rows("fill_", "tm", "input, value", A.SAME, E.SET, S.IN_PLACE),
    *_rows("normal_ uniform_", "m", "input", A.SAME, E.SET, S.IN_PLACE),
    *_rows("zero_", "tm", "input", A.SAME, E.SET, S.IN_PLACE),
    # Activations.
    *_rows("exp square", "tm", "input", A.SAME, E.ACTIVATED),
    *_rows("sigmoid tanh", "tmf", "input", A.SAME, E.ACTIVATED),
    *_rows("relu", "tmf", "input, inplace=False", A.SAME, E.ACTIVATED),
    *_rows("relu6 silu|swish mish hardswish hardsigmoid", "f", "input, inplace=False", A.SAME, E.ACTIVATED),
    *_rows("selu", "tf", "input, inplace=False", A.SAME, E.ACTIVATED),
    *_rows("softsign logsigmoid tanhshrink", "f", "input", A.SAME, E.ACTIVATED),
    *_rows("quick_gelu", "", "input", A.SAME, E.ACTIVATED),
    *_rows("gelu", "f", "input, approximate='none'", A.SAME, E.ACTIVATED),
    *_rows("leaky_relu", "f", "input, negative_slope=0.01, inplace=False", A.SAME, E.ACTIVATED),
    *_rows("elu", "f", "input, alpha=1.0, inplace=False", A.SAME, E.ACTIVATED),
    *_rows("celu", "tf", "input, alpha=1.0, inplace=False", A.SAME, E.ACTIVATED),
    *_rows("hardtanh", "f", "input, min_val=-1.0, max_val=1.0, inplace=False", A.SAME, E.ACTIVATED),
    *_rows("softplus", "f", "input, beta=1, threshold=20", A.SAME, E.ACTIVATED),
    *_rows("prelu", "tfm", "input, weight:prelu", A.SAME, E.ACTIVATED),
    *_rows("threshold", "tf", "input, threshold, value, inplace=False", A.SAME, E.ACTIVATED),
    *_rows("hardshrink", "tfm", "input, lambd=0.5", A.SAME, E.ACTIVATED),
    *_rows("softshrink", "f", "input, lambd=0.5", A.SAME, E.ACTIVATED),
    *_rows("rrelu", "tf", f"input, {_BETWEEN}, inplace=False", A.SAME, E.ACTIVATED),
    # Each depends on others, and stays where it was.
    *_rows("softmax log_softmax", "tfm", "input, dim=None", A.SAME, E.ALONG),
    *_rows("softmin", "f", "input, dim=None", A.SAME, E.ALONG),
    *_rows("gumbel_softmax", "f", "input|logits, tau=1, hard=False, eps=1e-10, dim=-1", A.SAME, E.ALONG),
    *_rows("cumsum cumprod logcumsumexp", "tm", "input, dim", A.SAME, E.ALONG),
    *_rows("dropout", "tf", "input, p=0.5, training=True, inplace=False", A.SAME, E.DROPPED, S.MAYBE),
    *_rows("dropout1d dropout2d dropout3d", "f", "input, p=0.5, training=True", A.SAME, E.DROPPED, S.MAYBE),
    *_rows(
        "alpha_dropout feature_alpha_dropout",
        "tf",
        "input, p=0.5, training=False",
        A.SAME,
        E.DROPPED,
        S.MAYBE,
    ),
    *_rows("feature_dropout", "t", "input, p, training|train", A.SAME, E.DROPPED, S.MAYBE),
    *_rows(
        "layer_norm",
        "tf",
        f"input, normalized_shape, {_AFFINE}, eps=1e-5",
        A.SAME,
        E.NORMED,
    ),
    *_rows("group_norm", "tf", f"input, num_groups, {_AFFINE}, eps=1e-5", A.SAME, E.NORMED),
    *_rows("rms_norm", "tf", "input, normalized_shape, weight:scale=None, eps=None", A.SAME, E.NORMED),
    *_rows(
        "batch_norm",
        "f",
        f"input, {_MEANS}, {_AFFINE}, training=False",
        A.SAME,
        E.NORMED,
    ),
    *_rows(
        "instance_norm",
        "f",
        f"input, {_RUNNING}",
        A.SAME,
        E.NORMED,
    ),
    *_rows("normalize", "f", "input, p=2.0, dim=1, eps=1e-12", A.SAME, E.NORMED),
    *_rows("local_response_norm", "f", "input, size, alpha=1e-4, beta=0.75, k=1.0", A.SAME, E.NORMED),
    # Of two tensors, element by element.
    *_rows("add", "tm", "input, other", A.BROADCAST, E.MIXED, S.NEW, "+"),
    *_rows("sub|subtract", "tm", "input, other", A.BROADCAST, E.MIXED, S.NEW, "-"),
    *_rows("mul|multiply", "tm", "input, other", A.BROADCAST, E.MIXED, S.NEW, "*"),
    *_rows("div|divide|true_divide", "tm", "input, other", A.BROADCAST, E.MIXED, S.NEW, "/"),
    *_rows("fmod remainder", "tm", "input, other", A.BROADCAST, E.MIXED, S.NEW, "%"),
    *_rows("maximum minimum", "tm", "input, other", A.BROADCAST, E.MIXED),
    *_rows("where", "t", "condition, input|self, other", A.CHOSEN, E.MIXED),
    *_rows("addcmul", "tm", "input:bias, tensor1:scale, tensor2:scale", A.OTHER, E.MIXED),
    # What has fewer axes.
    *_rows("sum mean nansum nanmean", "tm", f"input, {_DIM}", A.REDUCED, E.MIXED),
    *_rows("amax amin argmax argmin all any", "tm", f"input, {_DIM}", A.REDUCED, E.MIXED),
    *_rows("logsumexp", "tm", f"input, dim|axis, {_KEEP}", A.REDUCED, E.MIXED),
    *_rows("prod", "tm", f"input, {_DIM}", A.REDUCED, E.MIXED),
    *_rows("std var", "tm", f"input, dim|axis=None, unbiased=True, {_KEEP}", A.REDUCED, E.MIXED),
    *_rows("norm", "tm", f"input, p='fro', {_DIM}", A.REDUCED, E.MIXED),
    *_rows("max min", "tm", f"input, dim|axis|other=None, {_KEEP}", A.EXTREME, E.MIXED),
    *_rows("median nanmedian", "tm", f"input, {_DIM}", A.EXTREME, E.MIXED),
    # The same elements on other axes.
    *_rows("view", "m", "input, *size|shape", A.RESHAPED, E.ARRANGED, S.VIEW),
    *_rows("reshape", "tm", "input, *shape", A.RESHAPED, E.ARRANGED, S.MAYBE),
    *_rows("view_as", "m", "input, other", A.AS_OTHER, E.ARRANGED, S.VIEW),
    *_rows("reshape_as", "m", "input, other", A.AS_OTHER, E.ARRANGED, S.MAYBE),
    *_rows("expand_as", "m", "input, other", A.AS_OTHER, E.KEPT, S.VIEW),
    *_rows("flatten", "tm", "input, start_dim=0, end_dim=-1", A.FLATTENED, E.ARRANGED, S.MAYBE),
    *_rows("ravel", "tm", "input", A.FLATTENED, E.ARRANGED, S.MAYBE),
    *_rows("unflatten", "tm", "input, dim, sizes", A.UNFLATTENED, E.ARRANGED, S.VIEW),
    *_rows("squeeze", "tm", "input, dim|axis=None", A.SQUEEZED, E.ARRANGED, S.VIEW),
    *_rows("unsqueeze", "tm", "input, dim|axis", A.UNSQUEEZED, E.ARRANGED, S.VIEW),
    *_rows("expand", "m", "input, *size", A.EXPANDED, E.KEPT, S.VIEW),
    *_rows("broadcast_to", "tm", "input, *size", A.EXPANDED, E.KEPT, S.VIEW),
    *_rows("repeat", "m", "input, *repeats", A.REPEATED, E.ARRANGED),
    *_rows("tile", "tm", "input, *dims", A.REPEATED, E.ARRANGED),
    *_rows("repeat_interleave", "tm", "input, repeats, dim=None", A.INTERLEAVED, E.ARRANGED),
    *_rows("permute", "tm", "input, *dims", A.PERMUTED, E.ARRANGED, S.VIEW),
    *_rows("transpose|swapaxes|swapdims", "tm", f"input, {_PLACES}", A.TRANSPOSED, E.ARRANGED, S.VIEW),
    *_rows("movedim|moveaxis", "tm", "input, source, destination", A.MOVED, E.ARRANGED, S.VIEW),
    *_rows("t", "tm", "input", A.TURNED, E.ARRANGED, S.VIEW),
    *_rows("adjoint", "tm", "input", A.TURNED, E.ARRANGED, S.VIEW),
    *_rows("roll", "tm", "input, shifts, dims=None", A.ROLLED, E.ARRANGED),
    *_rows("flip", "tm", "input, *dims", A.ROLLED, E.ARRANGED),
    *_rows("view_as_complex view_as_real", "t", "input", A.OTHER, E.MIXED, S.VIEW),
    # Parts of a tensor.
    *_rows("chunk", "tm", "input, chunks, dim=0", A.CHUNKED, E.ARRANGED, S.VIEW),
    *_rows("split", "tm", f"input, {_PARTS}", A.SPLIT, E.ARRANGED, S.VIEW),
    *_rows(
        "split_with_sizes",
        "tm",
        f"input, {_PARTS}",
        A.SPLIT,
        E.ARRANGED,
        S.VIEW,
    ),
    *_rows(
        "tensor_split",
        "tm",
        f"input, {_CUTS}",
        A.SPLIT,
        E.ARRANGED,
        S.VIEW,
    ),
    *_rows("unbind", "tm", "input, dim=0", A.UNBOUND, E.ARRANGED, S.VIEW),
    *_rows("narrow", "tm", "input, dim, start, length", A.NARROWED, E.ARRANGED, S.VIEW),
    *_rows("select", "tm", "input, dim, index", A.SELECTED, E.ARRANGED, S.VIEW),
    *_rows("index_select", "tm", "input, dim, index", A.PICKED, E.ARRANGED),
    # Tensors put together.
    *_rows("cat|concat|concatenate", "t", "tensors, dim|axis=0", A.JOINED, E.ARRANGED),
    *_rows("hstack column_stack", "t", "tensors", A.JOINED, E.ARRANGED),
    *_rows("stack", "t", "tensors, dim=0", A.STACKED, E.ARRANGED),
    *_rows("vstack dstack", "t", "tensors", A.STACKED, E.ARRANGED),
    *_rows("block_diag", "t", "*tensors", A.STACKED, E.ARRANGED),
    # Sums of products.
    *_rows("matmul", "tm", "input, other", A.MULTIPLIED, E.MIXED, S.NEW, "@"),
    *_rows("mm bmm", "tm", "input, other|mat2", A.MULTIPLIED, E.MIXED, S.NEW, "@"),
    *_rows("mv", "tm", "input, other|vec", A.MULTIPLIED, E.MIXED, S.NEW, "@"),
    *_rows("dot", "tm", "input, other|tensor", A.MULTIPLIED, E.MIXED, S.NEW, "@"),
    *_rows("inner", "tm", "input, other", A.OTHER, E.MIXED, S.NEW, "@"),
    *_rows("addmm", "tm", "input:bias, mat1, mat2:right of @", A.ADDED_PRODUCT, E.MIXED),
    *_rows("baddbmm", "tm", "input, mat1|batch1, mat2|batch2", A.ADDED_PRODUCT, E.MIXED),
    *_rows("einsum", "t", "equation, *operands", A.SUMMED, E.MIXED),
    *_rows("linear", "f", "input, weight:linear, bias:bias=None", A.LINEAR, E.MIXED),
    *_rows("bilinear", "tf", "input1, input2, weight:bilinear, bias:bias=None", A.OTHER, E.MIXED),
    *_rows("embedding", "f", "input, weight:embedding, padding_idx=None", A.LOOKED_UP, E.MIXED),
    *_rows("embedding_bag", "f", "input, weight:embedding, offsets=None", A.OTHER, E.MIXED),
    *_rows(
        "scaled_dot_product_attention",
        "f",
        f"{_QKV}, attn_mask=None, dropout_p=0.0, is_causal=False",
        A.ATTENDED,
        E.MIXED,
    ),
    *_rows(
        "memory_efficient_attention flash_attn_func flash_attn_varlen_func flex_attention",
        "",
        _QKV,
        A.ATTENDED,
        E.MIXED,
    ),
    # Feature maps.
    *_rows(
        "conv1d conv2d conv3d", "tf", f"input, weight:conv, bias:bias=None, {_CONV}", A.CONVOLVED, E.MIXED
    ),
    *_rows(
        "conv_transpose1d conv_transpose2d conv_transpose3d",
        "tf",
        f"input, weight:conv_transpose, bias:bias=None, {_TURNED}",
        A.CONVOLVED,
        E.MIXED,
    ),
    *_rows(
        "max_pool1d max_pool2d max_pool3d",
        "tf",
        f"{_POOL}, dilation=1, ceil_mode=False",
        A.POOLED,
        E.MIXED,
    ),
    *_rows("avg_pool1d", "tf", f"{_POOL}, ceil_mode=False", A.POOLED, E.MIXED),
    *_rows(
        "avg_pool2d avg_pool3d",
        "f",
        f"{_POOL}, ceil_mode=False",
        A.POOLED,
        E.MIXED,
    ),
    *_rows(
        "lp_pool1d lp_pool2d lp_pool3d",
        "f",
        "input, norm_type, kernel_size, stride=None, ceil_mode=False",
        A.POOLED,
        E.MIXED,
    ),
    *_rows("adaptive_avg_pool1d", "tf", "input, output_size", A.ADAPTED, E.MIXED),
    *_rows(
        "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d",
        "f",
        "input, output_size",
        A.ADAPTED,
        E.MIXED,
    ),
    *_rows(
        "interpolate|upsample",
        "f",
        "input, size=None, scale_factor=None, mode='nearest', align_corners=None",
        A.RESIZED,
        E.MIXED,
    ),
    *_rows("pad", "f", "input, pad, mode='constant', value=None", A.PADDED, E.MIXED),
    *_rows("pixel_shuffle", "tf", "input, upscale_factor", A.SHUFFLED, E.ARRANGED),
    *_rows("pixel_unshuffle", "tf", "input, downscale_factor", A.UNSHUFFLED, E.ARRANGED),
    *_rows("fold", "f", "input, output_size, kernel_size", A.FOLDED, E.MIXED),
    *_rows("glu", "f", "input, dim=-1", A.HALVED, E.MIXED),
    # Of other packages.
    *_rows("rearrange|Rearrange", "e", "input|tensor, pattern", A.PATTERN, E.ARRANGED, S.MAYBE),
    *_rows("reduce", "e", "input|tensor, pattern, reduction", A.PATTERN, E.MIXED),
    *_rows("pack_padded_sequence", "", "input, lengths", A.SAME, E.KEPT),
    *_rows("pad_packed_sequence", "", "input|sequence", A.PACKED, E.KEPT),
    # What takes no tensor, or looks at its shape alone.
    *_rows("zeros ones empty randn rand", "t", "*size", A.MADE, E.SET),
    *_rows("full", "t", "size, fill_value", A.MADE, E.SET),
    *_rows("linspace logspace", "t", "start, end, steps", A.MADE, E.SET),
    *_rows("arange eye randint", "t", "*size", A.MADE, E.SET),
    *_rows("new_zeros new_ones new_empty new_full new_tensor", "m", "input, *size", A.MADE, E.SET),
    *_rows("zeros_like ones_like empty_like rand_like randn_like", "t", "input", A.LIKE, E.SET),
    *_rows("full_like", "t", "input, fill_value", A.LIKE, E.SET),
    # What gives no tensor.
    *_rows("size stride", "m", "input, dim=None", A.NONE, E.ASIDE),
    *_rows("dim|ndimension nelement element_size data_ptr is_contiguous", "m", "input", A.NONE, E.ASIDE),
    *_rows("get_device retain_grad storage", "m", "input", A.NONE, E.ASIDE),
    *_rows("numel is_floating_point is_complex", "tm", "input", A.NONE, E.ASIDE),
    *_rows("register_hook", "m", "input, hook", A.NONE, E.ASIDE),
    *_rows("is_sparse has_names storage_offset", "", "input", A.NONE, E.ASIDE),
    *_rows("item", "m", "input", A.NONE, E.ASIDE),
    *_rows("tolist numpy backward __len__", "m", "input", A.NONE, E.MIXED),
    *_rows("is_same_size", "tm", "input, other", A.NONE, E.MIXED),
    *_rows("is_tensor", "t", "obj", A.NONE, E.MIXED),
    *_rows(
        """is_grad_enabled manual_seed no_grad set_grad_enabled inference_mode autocast finfo iinfo
        device dtype Size Generator is_autocast_enabled get_autocast_gpu_dtype _assert""",
        "t",
        "",
        A.NONE,
        E.MIXED,
    ),
    *_rows("is_available", "", "", A.NONE, E.MIXED),
)

_UNFOLDS = (
    *_rows("unfold", "f", "input, kernel_size, dilation=1, padding=0, stride=1", A.UNFOLDED, E.ARRANGED),
    *_rows("unfold", "m", "input, dimension, size, step", A.SLID, E.ARRANGED, S.VIEW),
)
"""A function and a method of one name that are not the same."""

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {name: row for row in (*_ALL, _UNFOLDS[0]) for name in (row.name, *row.also)}
)
"""By name, without its module."""

_METHODS: Mapping[str, Operation] = {**OPERATIONS, "unfold": _UNFOLDS[1]}


@functools.cache
def operation(name: str, *, method: bool = False) -> Operation | None:
    """Return the operation that goes by a name, dotted or not; None where there is no row.

    The one that changes its tensor is the same with an underscore: ``relu_``.

    >>> operation("torch.concat").name
    'cat'
    >>> operation("unfold").axes is operation("unfold", method=True).axes
    False
    """
    word = name.rpartition(".")[2]
    rows = _METHODS if method else OPERATIONS
    if word in rows or not word.endswith("_"):
        return rows.get(word)
    found = rows.get(word.removesuffix("_"))
    return replace(found, storage=Storage.IN_PLACE) if found is not None else None
