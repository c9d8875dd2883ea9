"""Each operation computes what torch does: one line a call."""

import pytest
from drawing import check

from ml_switcheroo.graph.of_source.operations.table import FUNCTIONS, METHODS
from ml_switcheroo.operations import OPERATIONS, Axes, Elements

ELEMENTWISE = [
    *((f"torch.{name}(x)", "f2,3") for name in """abs neg negative sign ceil floor trunc frac sin cos atan sinh cosh
    erf exp expm1 square sigmoid tanh isnan isinf isfinite angle asinh erfc exp2 rad2deg deg2rad positive sgn fix
    absolute arctan selu relu""".split()),
    *((f"torch.{name}(x)", "p2,3") for name in """reciprocal sqrt rsqrt log log2 log10 log1p asin acos atanh tan
    arcsin lgamma digamma erfinv logit""".split()),
    *((f"x.{name}()", "p4") for name in "sqrt rsqrt sigmoid tanh relu exp log neg abs square reciprocal erf".split()),
    *((f"torch.{name}(x, y)", "f2,3 f3") for name in """add sub mul div maximum minimum atan2 eq ne lt le gt ge
    true_divide subtract multiply divide fmax fmin greater less logaddexp isclose""".split()),
    *((f"x {op} y", "f2,3 f2,1") for op in "+ - * / < <= > >= == !=".split()),
    *((f"x {op} 2", "i9:4") for op in "+ - * / // % ** <".split()),
    *((f"3 {op} x", "p4") for op in "+ - * / **".split()),
    ("x / y", "i5:4 p4"), ("x // 2.0", "f5"), ("x % 0.7", "f5"), ("torch.fmod(x, 0.7)", "f5"),
    ("torch.remainder(x, y)", "f5 p5"), ("torch.div(x, y, rounding_mode='floor')", "f5 p5"),
    ("torch.div(x, y, rounding_mode='trunc')", "f5 p5"), ("x ** 3", "f4"), ("x ** 0.5", "p4"), ("x ** -0.5", "p4"),
    ("x ** -1", "p4"), ("x.pow(y)", "p4 f4"), ("x ** 2.5", "p4"), ("torch.pow(2.0, x)", "f4"), ("x.pow(4)", "f4"),
    ("torch.add(x, y, alpha=2)", "f3 f3"), ("x.sub(y, alpha=0.5)", "f3 f3"), ("torch.rsub(x, y)", "f3 f3"),
    ("-x", "f3"), ("~x", "b3"), ("x & y", "b4 b4"), ("x | y", "b4 b4"), ("x ^ y", "b4 b4"), ("~(x > 0)", "f4"),
    ("torch.logical_and(x, y)", "b4 b4"), ("torch.logical_not(x)", "b4"), ("torch.logical_or(x, y)", "b4 b4"),
    ("torch.logical_xor(x, y)", "b4 b4"), ("torch.bitwise_not(x)", "b4"), ("torch.bitwise_not(x)", "i9:4"),
    ("torch.where(x > 0, x, y)", "f2,3 f3"), ("torch.where(x > 0, x, 0.0)", "f4"), ("x.where(x > 0, y)", "f4 f4"),
    ("x.masked_fill(x > 0, float('-inf'))", "f4"), ("x.masked_fill(y, -1e9)", "f2,3 b3"),
    ("torch.clamp(x, -0.5, 0.5)", "f6"), ("x.clamp(min=0)", "f6"), ("x.clip(max=0.3)", "f6"),
    ("x.clamp_min(0.1)", "f6"), ("torch.clamp_max(x, 0.1)", "f6"), ("torch.clamp(x, max=y)", "f6 f6"),
    ("torch.nan_to_num(x / y)", "f4 b4"), ("x.round()", "f4"), ("torch.round(x, decimals=2)", "f4"),
    ("torch.addcmul(x, y, z, value=0.5)", "f3 f3 f3"), ("torch.addcdiv(x, y, z)", "f3 f3 p3"),
    ("torch.lerp(x, y, 0.3)", "f3 f3"), ("x.lerp(y, z)", "f3 f3 f3"), ("x.tril()", "f2,4,4"), ("x.triu(1)", "f3,4"),
    ("torch.tril(x, -1)", "f4,3"), ("torch.triu(x)", "i7:3,3"), ("torch.logit(x, 0.2)", "p5"),
    ("x.float()", "i5:3"), ("x.long()", "f3"), ("x.bool()", "i2:5"), ("x.to(torch.float64)", "f3"), ("x.int()", "f3"),
    ("x.to(y.dtype)", "i5:3 f3"), ("x.to(y)", "i5:3 f3"), ("x.type_as(y)", "i5:3 f3"), ("x.double()", "f3"),
    ("x.to(device=y.device, dtype=torch.float32)", "i5:3 f3"), ("x.type(torch.float32)", "i3:3"), ("x + 1", "b3"),
    ("x.short()", "f3"), ("torch.real(x)", "f3"), ("torch.conj(x)", "f3"), ("x.clone().detach()", "f3"),
    ("x.conj().resolve_conj()", "f3"), ("x.contiguous()", "f3"), ("x.requires_grad_(False)", "f3"), ("x.half().float() * 0", "f3"),
    ("torch.asarray(x)", "f3"), ("torch.as_tensor(x)", "f3"), ("x.cpu()", "f3"), ("x.bfloat16().float() * 0", "f3"),
]  # fmt: skip
ACTIVATIONS = [
    *((f"F.{name}(x)", "f3,4") for name in """relu relu6 silu mish hardswish hardsigmoid selu softsign logsigmoid
    tanhshrink gelu leaky_relu elu celu hardtanh softplus hardshrink softshrink rrelu sigmoid tanh""".split()),
    ("F.gelu(x, approximate='tanh')", "f5"), ("F.leaky_relu(x, 0.2)", "f5"), ("F.elu(x, 0.5)", "f5"),
    ("F.celu(x, alpha=2.0)", "f5"), ("F.hardtanh(x, -0.5, 0.7)", "f5"), ("F.softplus(x, 3, 1)", "f9"),
    ("F.threshold(x, 0.1, 20)", "f5"), ("F.hardshrink(x, 0.2)", "f5"), ("F.softshrink(x, 0.3)", "f5"),
    ("F.prelu(x, y)", "f2,3,4 f3"), ("F.prelu(x, y)", "f2,3 f1"), ("F.relu(x, inplace=True)", "f5"),
    ("F.softmax(x, dim=-1)", "f3,4"), ("x.softmax(1)", "f3,4"), ("torch.softmax(x, 0, dtype=torch.float32)", "f3,4"),
    ("F.log_softmax(x, -1)", "f3,4"), ("F.softmin(x, 1)", "f3,4"), ("F.glu(x)", "f3,4"), ("F.glu(x, 0)", "f4,3"),
    ("F.dropout(x, 0.5, self.training)", "f5"), ("F.dropout(x, training=False)", "f5"), ("torch.relu_(x)", "f5"),
    ("F.dropout2d(x, 0.1, False)", "f2,3,4,4"), ("F.alpha_dropout(x)", "f4"), ("torch.special.expit(x)", "f4"),
    ("torch.celu(x)", "f4"), ("torch.rrelu(x)", "f4"), ("torch.threshold(x, 0.1, 2)", "f4"), ("torch.hardshrink(x)", "f4"),
    ("torch.dropout(x, 0.5, False)", "f4"), ("torch.feature_dropout(x, 0.5, False)", "f2,4,4"), ("torch.prelu(x, y)", "f2,3 f3"),
    ("F.feature_alpha_dropout(x)", "f2,4,4"),
]  # fmt: skip
SHAPES = [
    ("x.view(2, 6)", "f2,3,2"), ("x.view(-1, 2)", "f2,3,2"), ("x.view((4, 3))", "f2,3,2"), ("x.reshape(x.shape[0], -1)", "f2,3,2"),
    ("torch.reshape(x, (6, 2))", "f2,3,2"), ("x.view_as(y)", "f2,3 f6"), ("x.reshape_as(y)", "f2,3 f6"), ("x.expand_as(y)", "f1,3 f2,3"),
    ("x.flatten(1)", "f2,3,2"), ("torch.flatten(x, 1, 2)", "f2,3,2,2"), ("x.ravel()", "f2,3"), ("x.unflatten(1, (2, -1))", "f2,6"),
    ("torch.unflatten(x, -1, (2, 3))", "f2,6"), ("x.squeeze()", "f1,3,1"), ("x.squeeze(-1)", "f1,3,1"), ("x.squeeze(1)", "f2,3"),
    ("x.squeeze((0, 2))", "f1,3,1"), ("x.unsqueeze(1)", "f2,3"), ("torch.unsqueeze(x, -1)", "f2,3"), ("x.expand(4, -1, 3)", "f2,1"),
    ("torch.broadcast_to(x, (4, 2, 3))", "f2,1"), ("x.repeat(2, 3)", "f2,3"), ("x.repeat(2, 1, 3)", "f2,3"), ("x.repeat(3, 1)", "f1,3"),
    ("x.tile(2)", "f2,3"), ("torch.tile(x, (2, 2))", "f3"), ("x.repeat_interleave(3, dim=1)", "f2,3"), ("x.repeat_interleave(2)", "f2,2"),
    ("torch.repeat_interleave(x, torch.tensor([1, 2, 0]), dim=0)", "f3,2"), ("x.permute(2, 0, 1)", "f2,3,4"), ("x.permute((0, -1, 1))", "f2,3,4"),
    ("torch.permute(x, (1, 0))", "f2,3"), ("x.transpose(-2, -1)", "f2,3,4"), ("x.swapaxes(0, 1)", "f2,3"), ("torch.swapdims(x, 0, 1)", "f2,3"),
    ("x.movedim(0, -1)", "f2,3,4"), ("torch.moveaxis(x, (0, 1), (1, 2))", "f2,3,4"), ("x.t()", "f2,3"), ("x.T", "f2,3"), ("x.mT", "f4,2,3"),
    ("x.adjoint()", "f4,2,3"), ("x.roll(1, 0)", "f4,3"), ("torch.roll(x, (1, -2), dims=(0, 1))", "f4,5"), ("x.roll(2)", "f2,3"),
    ("x.flip(0)", "f4,3"), ("torch.flip(x, [0, -1])", "f4,3"), ("x.rot90(1, (0, 1))", "f2,3"), ("torch.rot90(x, 3)", "f2,3"), ("x.rot90(2)", "f2,3"),
    ("torch.view_as_real(torch.view_as_complex(x) * torch.view_as_complex(y))", "f3,4,2 f4,2"),
    ("torch.view_as_real(torch.polar(x, y))", "p4 f4"), ("torch.complex(x, y).abs()", "f3 f3"), ("torch.view_as_complex(x).imag", "f3,2"),
    ("torch.angle(torch.complex(x, y))", "f3 f3"), ("torch.imag(torch.conj(torch.complex(x, y)))", "f3 f3"),
    ("x.chunk(3, -1)", "f2,7"), ("torch.chunk(x, 2)", "f5,2"), ("x.split(2, dim=1)", "f2,5"), ("torch.split(x, [1, 2, 2], 1)", "f2,5"),
    ("x.split_with_sizes((2, 3), 1)", "f2,5"), ("torch.split_with_sizes(x, [2, 3], 1)", "f2,5"), ("x.tensor_split(3, 1)", "f2,7"), ("torch.tensor_split(x, (2, 5), dim=1)", "f2,7"),
    ("x.unbind(1)", "f2,3"), ("torch.unbind(x)", "f2,3"), ("x.narrow(1, 1, 2)", "f2,4"), ("torch.narrow(x, 0, 0, 1)", "f2,4"),
    ("x.select(1, 2)", "f2,4"), ("torch.select(x, 0, -1)", "f2,4"), ("torch.cat([x, y], dim=1)", "f2,3 f2,2"), ("torch.cat((x, y))", "f2,3 f1,3"),
    ("torch.concat([x, y], -1)", "f2,3 f2,2"), ("torch.concatenate([x, y], axis=-1)", "f2,3 f2,2"), ("torch.stack([x, y], dim=1)", "f2,3 f2,3"),
    ("torch.stack((x, y), -1)", "f2,3 f2,3"), ("torch.hstack([x, y])", "f2,3 f2,2"), ("torch.column_stack([x, y])", "f3 f3"), ("torch.vstack([x, y])", "f3 f3"),
    ("torch.dstack([x, y])", "f2,3 f2,3"), ("torch.block_diag(x, y)", "f2,3 f3,1"), ("torch.meshgrid(x, y, indexing='ij')", "f3 f2"),
    ("torch.meshgrid(x, y, indexing='xy')", "f3 f2"), ("torch.broadcast_tensors(x, y)", "f2,1 f3"), ("torch.atleast_2d(x)", "f3"), ("torch.atleast_1d(x.sum())", "f3"),
    ("F.pixel_shuffle(x, 2)", "f2,8,3,3"), ("torch.pixel_unshuffle(x, 2)", "f2,2,4,4"), ("torch.channel_shuffle(x, 2)", "f1,4,2,2"),
    ("a, b = x\nreturn a + b", "f2,3"), ("return sum(row * i for i, row in enumerate(x))", "f3,2"), ("x.data", "f3"), ("x.unfold(1, 3, 2)", "f2,7"),
    ("x.reshape(2, 3).unsqueeze(0).expand(2, -1, -1)", "f6"), ("[*x.unbind(0)]", "f2,3"), ("torch.detach(x)", "f2"),
]  # fmt: skip
REDUCED = [
    *((f"x.{name}()", "f2,3") for name in "sum mean prod std var max min amax amin argmax argmin norm any all median".split()),
    *((f"torch.{name}(x, 1)", "f2,5,3") for name in """sum mean prod std var amax amin argmax argmin logsumexp any all cumsum
    cumprod logcumsumexp nansum nanmean cummax cummin""".split()),
    *((f"x.{name}(dim=(0, 2), keepdim=True)", "f2,5,3") for name in "sum mean amax amin std var logsumexp".split()),
    *((f"x.{name}(dim=-1, keepdim=True)", "f2,5,3") for name in "max min argmax sort".split() if name != "sort"),
    ("x.sum([])", "f2,3"), ("x.sum()", "b6"), ("x.sum(0)", "i5:4,3"), ("x.mean(axis=1, keepdims=True)", "f2,3"), ("x.var(1, unbiased=False)", "f2,5"),
    ("torch.var(x, 1, correction=0, keepdim=True)", "f2,5"), ("x.std(-1, correction=0)", "f2,5"), ("torch.var_mean(x, dim=1)", "f2,5"), ("torch.std_mean(x, 1, keepdim=True)", "f2,5"),
    ("x.norm(dim=-1)", "f2,5"), ("torch.norm(x, p=1, dim=1)", "f2,5"), ("torch.linalg.norm(x, dim=-1, keepdim=True)", "f2,5"), ("x.norm(3, 1)", "f2,5"),
    ("torch.linalg.vector_norm(x, float('inf'), dim=1)", "f2,5"), ("F.normalize(x, dim=-1)", "f2,5"), ("F.normalize(x, p=1.0)", "f2,5"),
    ("torch.max(x, y)", "f3 f3"), ("torch.max(x, 1)[0]", "f2,3"), ("torch.max(x, dim=1).values" if False else "x.max(1)[1]", "f2,3"), ("x.sum(dtype=torch.float64)", "f3"),
    ("x.sort(1)", "f3,5"), ("torch.sort(x, dim=0, descending=True)", "f3,5"), ("x.argsort(-1)", "f3,5"), ("x.topk(2)", "f3,5"), ("torch.topk(x, 2, dim=0, largest=False)", "f3,5"),
    ("x.median(1)", "f3,5"), ("torch.nanmedian(x, 1, keepdim=True)", "f3,5"), ("torch.diff(x)", "f2,5"), ("x.diff(dim=0)", "f3,2"), ("F.cosine_similarity(x, y)", "f2,5 f2,5"), ("F.pairwise_distance(x, y)", "f2,5 f2,5"),
    ("torch.count_nonzero(x)", "i2:6"), ("x.cumsum(-1)", "b5"), ("x.cumsum(0, dtype=torch.float32)", "i4:5"), ("torch.argmin(x)", "f2,3"), ("x.any(1)", "b2,3"),
]  # fmt: skip
PRODUCTS = [
    ("x @ y", "f2,3 f3,4"), ("x @ y", "f5,2,3 f3,4"), ("x @ y", "f5,2,3 f5,3,4"), ("x @ y", "f2,1,2,3 f5,3,4"), ("x @ y", "f2,3 f5,3,4"), ("x @ y", "f3 f3"),
    ("x @ y", "f2,3 f3"), ("x @ y", "f3 f3,2"), ("x @ y", "f3 f4,3,2"), ("torch.matmul(x, y.transpose(-1, -2))", "f2,4,3 f2,5,3"), ("torch.bmm(x, y)", "f5,2,3 f5,3,4"), ("x.mm(y)", "f2,3 f3,4"),
    ("torch.mm(x, mat2=y)", "f2,3 f3,4"), ("torch.mv(x, y)", "f2,3 f3"), ("torch.dot(x, y)", "f3 f3"), ("torch.inner(x, y)", "f2,3 f4,3"), ("torch.outer(x, y)", "f2 f3"),
    ("torch.addmm(x, y, z, beta=0.5, alpha=2)", "f4 f2,3 f3,4"), ("torch.baddbmm(x, y, z, beta=0, alpha=0.1)", "f5,2,4 f5,2,3 f5,3,4"), ("F.linear(x, y)", "f2,3 f4,3"), ("F.linear(x, y, z)", "f5,2,3 f4,3 f4"),
    ("F.bilinear(x, y, z)", "f5,2 f5,3 f4,2,3"), ("torch.bilinear(x, y, z, None)" , "f5,2 f5,3 f4,2,3"), ("torch.tensordot(x, y, dims=2)", "f2,3,4 f3,4,5"), ("torch.tensordot(x, y, ([1], [0]))", "f2,3 f3,5"),
    ("torch.einsum('ij,jk->ik', x, y)", "f2,3 f3,4"), ("torch.einsum('bhqd,bhkd->bhqk', x, y)", "f2,3,4,5 f2,3,6,5"), ("torch.einsum('...ij,...jk->...ik', x, y)", "f2,5,2,3 f5,3,4"),
    ("torch.einsum('bij,bj->b', [x, y])", "f2,3,4 f2,4"), ("torch.einsum('ii->i', x)", "f3,3"), ("torch.einsum('ii', x)", "f3,3"), ("torch.einsum('ij->ji', x)", "f2,3"), ("torch.einsum('ij,kj', x, y)", "f2,3 f4,3"), ("torch.einsum('i,j->ij', x, y)", "f2 f3"),
    ("torch.einsum('nchw,kc->nkhw', x, y)", "f2,3,4,4 f5,3"), ("torch.einsum('a,ab,b->', x, y, z)", "f2 f2,3 f3"), ("torch.einsum('bi,bi->bi', x, y)", "f2,3 f2,3"), ("torch.einsum('b...d,de->b...e', x, y)", "f2,3,4 f4,5"),
    ("F.embedding(x, y)", "i5:2,3 f5,4"), ("F.embedding(x, weight=y, padding_idx=0)", "i5:2,3 f5,4"), ("F.embedding_bag(x, y)", "i5:2,3 f5,4"), ("F.embedding_bag(x, y, mode='sum')", "i5:2,3 f5,4"), ("F.embedding_bag(x, y, torch.tensor([0, 2]), mode='max')", "i5:6 f5,4"),
    ("F.scaled_dot_product_attention(x, y, z)", "f2,2,3,4 f2,2,5,4 f2,2,5,6"), ("F.scaled_dot_product_attention(x, y, z, is_causal=True)", "f2,2,5,4 f2,2,5,4 f2,2,5,6"), ("F.scaled_dot_product_attention(x, x, y, attn_mask=z)", "f2,2,3,4 f2,2,3,4 b3,3" if False else "f2,2,3,4 f2,2,3,4 f3,3"),
    ("F.scaled_dot_product_attention(x, y, y, scale=0.3, enable_gqa=True)", "f2,4,3,8 f2,2,3,8"), ("F.scaled_dot_product_attention(x, x, x, torch.ones(3, 3, dtype=torch.bool).tril())", "f2,2,3,4"),
    ("einops.rearrange(x, 'b (h d) n -> b h n d', h=2)", "f2,6,4"), ("einops.rearrange(x, 'b c h w -> b (h w) c')", "f2,3,2,2"), ("einops.rearrange(x, '... d -> d ...')", "f2,3,4"), ("einops.rearrange(x, 'b n (three h d) -> three b h n d', three=3, h=2)", "f2,3,12"),
    ("einops.rearrange(x, 'b c (h p) (w q) -> b (h w) (p q c)', p=2, q=2)", "f1,3,4,4"), ("einops.rearrange(x, 'b 1 n -> b n ()')", "f2,1,3"), ("einops.reduce(x, 'b c h w -> b c', 'mean')", "f2,3,4,4"), ("einops.reduce(x, 'b c (h p) w -> b c h w', reduction='max', p=2)", "f2,3,4,4"), ("einops.reduce(x, 'b c -> () c', 'sum')", "f2,3"),
    ("einops.repeat(x, '() n d -> b n d', b=3)", "f1,2,3"), ("einops.repeat(x, 'n d -> n (r d)', r=2)", "f2,3"), ("einops.rearrange([x, y], 'k b d -> b k d')", "f2,3 f2,3"), ("einops.einsum(x, y, 'b i, out i -> b out')", "f2,3 f4,3"),
]  # fmt: skip
WINDOWS = [
    ("F.conv1d(x, y)", "f2,3,8 f4,3,3"), ("F.conv2d(x, y, z, stride=2, padding=1)", "f2,3,8,7 f4,3,3,3 f4"), ("F.conv2d(x, y, padding='same', dilation=2)", "f2,3,8,7 f4,3,3,2"), ("F.conv2d(x, y, groups=3, padding=(1, 0))", "f2,3,6,6 f6,1,3,3"), ("torch.conv2d(x, y, padding='valid')", "f2,3,6,6 f4,3,3,3"), ("F.conv3d(x, y)", "f1,2,4,4,4 f3,2,2,2,2"), ("F.conv2d(x, y)", "f3,6,6 f4,3,3,3"),
    ("F.conv_transpose1d(x, y, stride=2)", "f2,3,5 f3,4,3"), ("F.conv_transpose2d(x, y, z, stride=2, padding=1, output_padding=1)", "f2,3,5,4 f3,4,3,3 f4"), ("F.conv_transpose2d(x, y, groups=2, dilation=2)", "f2,4,5,4 f4,3,3,3"), ("F.conv_transpose2d(x, y, padding=2)", "f2,3,5,5 f3,2,2,2"), ("F.conv_transpose3d(x, y, stride=2)", "f1,2,2,2,2 f2,3,2,2,2"),
    ("F.max_pool1d(x, 2)", "f2,3,7"), ("F.max_pool2d(x, 3, 2, 1)", "f2,3,7,8"), ("F.max_pool2d(x, 3, stride=2, ceil_mode=True)", "f2,3,8,8"), ("F.max_pool2d(x, 2, dilation=2, stride=1)", "f2,3,8,8"), ("F.max_pool3d(x, 2)", "f1,2,4,4,4"), ("torch.max_pool2d(x, (2, 3))", "f3,8,9"),
    ("F.avg_pool1d(x, 3, 1, 1)", "f2,3,7"), ("F.avg_pool2d(x, 2)", "f2,3,6,6"), ("F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)", "f2,3,7,7"), ("F.avg_pool2d(x, 3, 2, 1, ceil_mode=True)", "f2,3,8,8"), ("F.avg_pool2d(x, 3, 2, ceil_mode=True, count_include_pad=False, padding=1)", "f2,3,8,8"), ("F.avg_pool2d(x, 2, divisor_override=3)", "f2,3,6,6"), ("F.avg_pool3d(x, 2)", "f1,2,4,4,4"),
    ("F.lp_pool1d(x, 2, 3)", "p2,3,8"), ("F.lp_pool2d(x, 3, 2, stride=1)", "p2,3,6,6"), ("F.lp_pool3d(x, 2, 2)", "p1,2,4,4,4"),
    *((f"F.adaptive_{kind}_pool{n}d(x, {size})", shape) for kind in ("avg", "max") for n, size, shape in ((1, 1, "f2,3,6"), (1, 3, "f2,3,6"), (1, 4, "f2,3,7"), (2, "(2, 3)", "f2,3,4,6"), (2, "(None, 5)", "f2,3,4,7"), (2, 1, "f3,4,4"), (3, 2, "f1,2,4,4,5"))),
    ("F.interpolate(x, scale_factor=2)", "f2,3,4,5"), ("F.interpolate(x, size=(7, 3))", "f2,3,4,5"), ("F.interpolate(x, scale_factor=2, mode='bilinear')", "f2,3,4,5"), ("F.interpolate(x, size=(9, 7), mode='bilinear', align_corners=True)", "f2,3,4,5"), ("F.interpolate(x, size=y.shape[-2:], mode='bilinear', align_corners=False)", "f2,3,4,5 f1,1,3,9"), ("F.interpolate(x, 7, mode='linear')", "f2,3,4"), ("F.interpolate(x, scale_factor=1.5, mode='bicubic')", "f1,2,4,6"), ("F.interpolate(x, size=3, mode='area')", "f1,2,6,6"), ("F.interpolate(x, size=5, mode='nearest-exact')", "f1,2,3,3"), ("F.interpolate(x, size=(2, 3, 4), mode='trilinear')", "f1,2,3,3,3"), ("F.interpolate(x, scale_factor=0.5)", "f1,2,5,6"),
    ("F.pad(x, (1, 2))", "f2,3,4"), ("F.pad(x, (1, 2, 0, 1), value=3.0)", "f2,3,4"), ("F.pad(x, (-1, 1))", "f2,3,4"), ("F.pad(x, (1, 2, 2, 0), mode='reflect')", "f2,3,4,4"), ("F.pad(x, [2, 1], mode='replicate')", "f2,3,4"), ("F.pad(x, (1, 2, 3, 1), mode='circular')", "f2,3,4,4"), ("F.pad(x, (0, 0, 1, 0), 'constant', 0)", "f2,3,4"),
    ("F.unfold(x, 2, stride=2)", "f2,3,4,6"), ("F.unfold(x, (2, 3), dilation=2, padding=1)", "f2,3,6,6"), ("F.fold(x, (4, 6), 2, stride=2)", "f2,12,6"), ("F.fold(x, output_size=(4, 4), kernel_size=3, padding=1)", "f1,18,16"), ("F.local_response_norm(x, 3)", "f2,5,4,4"),
]  # fmt: skip
NORMS = [
    ("F.layer_norm(x, (4,))", "f2,3,4"), ("F.layer_norm(x, x.shape[1:], y, z, 1e-3)", "f2,3,4 f3,4 f3,4"), ("torch.layer_norm(x, [4], weight=y)", "f2,3,4 f4"), ("F.group_norm(x, 2)", "f2,4,3,3"), ("torch.group_norm(x, 2, y, z)", "f2,4,3 f4 f4"),
    ("F.rms_norm(x, (4,))", "f2,3,4"), ("torch.rms_norm(x, (4,), y, 1e-3)", "f2,3,4 f4"), ("F.batch_norm(x, y, z)", "f2,3,4,4 f3 p3"), ("F.batch_norm(x, None, None, y, z, training=True)", "f4,3,2 f3 f3"), ("F.instance_norm(x)", "f2,3,4,4"), ("F.instance_norm(x, weight=y, bias=z)", "f2,3,4 f3 f3"), ("F.instance_norm(x, y, z, use_input_stats=False)", "f2,3,4 f3 p3"),
]  # fmt: skip
CHOSEN = [
    ("x[0]", "f3,4"), ("x[:, 0]", "f3,4"), ("x[..., -1]", "f3,4"), ("x[:, None]", "f3,4"), ("x[:, 1:3]", "f3,4"), ("x[::2, ::3]", "f5,7"), ("x[-2:]", "f5,2"), ("x[:, :-1]", "f3,4"), ("x[None, ..., 0]", "f3,4"), ("x[1:, None, :2]", "f3,4"), ("x[torch.tensor([2, 0])]", "f3,4"),
    ("x[:, [0, 2, 1]]", "f3,4"), ("x[y]", "f5,4 i5:2,3"), ("x[:, y]", "f2,5,4 i5:3"), ("x[torch.arange(x.shape[0]), y]", "f3,5 i5:3"), ("x[torch.arange(3)[:, None], torch.arange(2)]", "f3,5"), ("x[:, y, z]", "f2,4,5,3 i4:6 i5:6"), ("x[y, :, z]", "f4,2,5 i4:6 i5:6"),
    ("x[torch.tensor([True, False, True])]", "f3,4"), ("x[torch.ones(3, 4, dtype=torch.bool).tril()]", "f3,4"), ("x[len(x) - 1]", "f3,4"), ("x[..., ::2]", "f3,4"), ("x[-1, -1]", "f3,4"), ("x[:, y.shape[0]:]", "f3,4 f2"), ("x[(0, slice(None))]", "f3,4"), ("x[0, ..., None]", "f3,4,2"), ("x[4:2]", "f5,2"), ("x[[-1, 0]]", "f3,2"), ("x[:, 5:]", "f2,3"),
    ("x.index_select(1, y)", "f3,5 i5:4"), ("torch.gather(x, 1, y)", "f3,5 i5:3,2"), ("x.gather(0, y)", "f3,5 i3:2,5"), ("torch.take_along_dim(x, y, dim=1)", "f3,5 i5:3,2"), ("torch.take(x, y)", "f3,5 i15:4"), ("x.scatter(1, y, 1.0)", "f3,5 i5:3,1"), ("x.scatter(1, y, z)", "f3,5 i5:3,1 f3,1"), ("torch.scatter_add(x, 1, y, z)", "f3,5 i5:3,4 f3,4"), ("x.index_add(0, y, z)", "f3,5 i3:4 f4,5"), ("torch.zeros(2, 5).scatter_(1, x, 1)", "i5:2,1"),
    ("F.one_hot(x, 5)", "i5:2,3"), ("F.one_hot(x, num_classes=5).float()", "i5:4"), ("x.diagonal()", "f3,4"), ("torch.diagonal(x, 1, -2, -1)", "f2,3,4"), ("torch.diag(x)", "f3"), ("torch.diag_embed(x)", "f2,3"), ("x.trace()", "f3,3"), ("x.masked_select(torch.tensor([True, False, True]))", "f3"), ("torch.bucketize(x, torch.tensor([0.0, 0.5, 1.0]))", "f6"), ("torch.searchsorted(torch.tensor([0.0, 0.5, 1.0]), x, right=True)", "f6"), ("torch.nonzero(torch.eye(3))[:, 0] + x", "i4:3"), ("x.index_fill(1, torch.tensor([0, 2]), 0.5)", "f2,4"), ("x.index_copy(0, torch.tensor([2, 0]), y)", "f3,2 f2,2"),
]  # fmt: skip
IN_PLACE = [
    ("x[:, 0] = 0\nreturn x", "f3,4"), ("x[1:, ::2] = y\nreturn x", "f3,4 f2,2"), ("x[x < 0] = 0.5\nreturn x", "f3,4"), ("x += y\nreturn x", "f3 f3"), ("x *= 2\nx -= 1\nx /= 3\nreturn x", "f3"), ("x.add_(y).mul_(2)\nreturn x", "f3 f3"), ("y = x\ny += 1\nreturn x", "f3"), ("x[:, 1] += y\nreturn x", "f3,4 f3"), ("x[..., :2] *= 3\nreturn x", "f3,4"),
    ("F.relu(x, inplace=True)\nreturn x", "f5"), ("a = x.view(-1)\na.mul_(2)\nreturn x", "f2,3"), ("x[0].fill_(1.5)\nreturn x", "f3,4"), ("x.masked_fill_(x > 0, 0.0)\nreturn x", "f4"), ("x.clamp_(0, 1)\nreturn x", "f4"), ("x.zero_()\nreturn x", "f4"), ("a = torch.zeros(2, 6)\na[:, :3] = x\na[:, 3:] = y\nreturn a", "f2,3 f2,3"), ("a = torch.zeros(3, 3)\na[torch.tensor([0, 2]), 1] = x\nreturn a", "f2"), ("x.copy_(y)\nreturn x", "f3 f3"), ("x[-1] = y\nreturn x", "f3,2 f2"),
    ("a = torch.empty_like(x)\na.copy_(x)\nreturn a", "f3"), ("for i in range(2):\n    x[i] = x[i] * i\nreturn x", "f3,2"), ("x.unsqueeze(0).add_(1)\nreturn x", "f3"), ("a = torch.empty(2, 3)\na[:] = x\nreturn a", "f2,3"), ("a = torch.full((2, 2), float('-inf'))\na[x] = 0.0\nreturn a", "b2,2"), ("torch.add(x, y, out=x)\nreturn x", "f3 f3"), ("x.T.add_(1)\nreturn x.T" if False else "x.t_()\nreturn x" if False else "x.sigmoid_()\nreturn x", "f3"),
]  # fmt: skip
MADE = [
    ("x + torch.zeros(3)", "f3"), ("x + torch.ones(2, 1)", "f3"), ("x + torch.full((3,), 0.5)", "f3"), ("x * torch.zeros_like(x)", "f3"), ("torch.ones_like(x, dtype=torch.int64)", "f3"), ("torch.full_like(x, 2)", "f3"), ("x + torch.arange(3)", "f3"), ("x + torch.arange(1, 4)", "i5:3"), ("torch.arange(0, 1, 0.25) + x", "f4"), ("torch.arange(0, 6, step=2, dtype=torch.float32, device=x.device) + x", "f3"), ("torch.arange(end=3) + x", "f3"), ("torch.linspace(0, 1, 5) * x", "f5"), ("torch.logspace(0, 1, 3) * x", "f3"), ("torch.eye(3) @ x", "f3,2"), ("torch.tensor([1.0, 2.0]) * x", "f2"), ("torch.tensor(3) * x", "i5:2"), ("x.new_zeros(2, 3) + x", "f3"), ("x.new_full((3,), 2.0) + x", "f3"), ("x.new_tensor([1, 2]) + x", "f2"), ("x.new_ones(3) + x", "f3"), ("torch.tensor([[1, 2], [3, 4]], dtype=torch.float32) @ x", "f2"), ("torch.tril_indices(3, 3).sum() + x", "i4:1"), ("x + torch.finfo(x.dtype).eps * torch.finfo(torch.float32).max * 0", "f3"), ("x.masked_fill(x > 0, torch.finfo(x.dtype).min)", "f3"), ("torch.scalar_tensor(2.0) * x", "f3"), ("torch.empty_like(x).fill_(3.0) + x", "f3"), ("torch.from_numpy(np.arange(3)) + x", "i4:3"), ("x * float(torch.tensor(2.0).sqrt())", "f3"), ("x * torch.tensor(2.0).item() * int(torch.arange(3).sum())", "f3"), ("torch.ones(3, dtype=x.dtype).cumsum(0) * x", "f3"), ("x.new_empty(3).fill_(1) + x", "f3"), ("torch.asarray([1.0, 2.0]) + x", "f2"), ("torch.zeros(x.shape[0], x.size(1)) + x", "f2,3"), ("torch.triu_indices(3, 3)[0] + x", "i4:6"),
]  # fmt: skip
CASES = [*ELEMENTWISE, *ACTIVATIONS, *SHAPES, *REDUCED, *PRODUCTS, *WINDOWS, *NORMS, *CHOSEN, *IN_PLACE, *MADE]


@pytest.mark.parametrize(("body", "inputs"), CASES, ids=lambda text: text.replace("\n", "; "))
def test_it_computes_what_torch_does(tmp_path, body, inputs):
    check(tmp_path, body, inputs)
