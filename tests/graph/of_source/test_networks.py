"""Whole networks, as people write them: what is drawn computes what torch does, without a gap."""

import textwrap

import pytest
import torch
from drawing import HEAD, agrees, made, shown, specs_of, tensor

from ml_switcheroo.graph.of_source.entry import draw_live, draw_source

NETWORKS = {
    "resnet": (
        "f2,3,16,16",
        """
        class Bottleneck(nn.Module):
            expansion = 2

            def __init__(self, inplanes, planes, stride=1, downsample=None):
                super().__init__()
                self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
                self.bn1 = nn.BatchNorm2d(planes)
                self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
                self.bn2 = nn.BatchNorm2d(planes)
                self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
                self.bn3 = nn.BatchNorm2d(planes * self.expansion)
                self.relu = nn.ReLU(inplace=True)
                self.downsample = downsample

            def forward(self, x):
                identity = x
                out = self.relu(self.bn1(self.conv1(x)))
                out = self.relu(self.bn2(self.conv2(out)))
                out = self.bn3(self.conv3(out))
                if self.downsample is not None:
                    identity = self.downsample(x)
                out += identity
                return self.relu(out)


        class Net(nn.Module):
            def __init__(self, layers=(2, 1)):
                super().__init__()
                self.inplanes = 4
                self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
                self.layer1 = self._make(4, layers[0])
                self.layer2 = self._make(8, layers[1], stride=2)
                self.fc = nn.Linear(16, 5)

            def _make(self, planes, blocks, stride=1):
                down = None
                if stride != 1 or self.inplanes != planes * Bottleneck.expansion:
                    down = nn.Sequential(
                        nn.Conv2d(self.inplanes, planes * 2, 1, stride, bias=False), nn.BatchNorm2d(planes * 2)
                    )
                layers = [Bottleneck(self.inplanes, planes, stride, down)]
                self.inplanes = planes * 2
                layers.extend(Bottleneck(self.inplanes, planes) for _ in range(1, blocks))
                return nn.Sequential(*layers)

            def forward(self, x):
                x = self.layer2(self.layer1(self.stem(x)))
                return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
        """,
    ),
    "gpt": (
        "i11:2,6",
        """
        class Attention(nn.Module):
            def __init__(self, width, heads, context):
                super().__init__()
                self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
                self.heads = heads
                self.register_buffer("bias", torch.tril(torch.ones(context, context)).view(1, 1, context, context), persistent=False)

            def forward(self, x):
                B, T, C = x.size()
                q, k, v = self.c_attn(x).chunk(3, dim=-1)
                k = k.view(B, T, self.heads, C // self.heads).transpose(1, 2)
                q = q.view(B, T, self.heads, C // self.heads).transpose(1, 2)
                v = v.view(B, T, self.heads, C // self.heads).transpose(1, 2)
                att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
                att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
                y = F.softmax(att, dim=-1) @ v
                return self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))


        class Block(nn.Module):
            def __init__(self, width, heads, context):
                super().__init__()
                self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
                self.attn = Attention(width, heads, context)
                self.mlp = nn.ModuleDict(dict(fc=nn.Linear(width, 4 * width), proj=nn.Linear(4 * width, width), act=nn.GELU()))

            def forward(self, x):
                m = self.mlp
                x = x + self.attn(self.ln_1(x))
                return x + m.proj(m.act(m.fc(self.ln_2(x))))


        class Net(nn.Module):
            def __init__(self, width=8, context=9):
                super().__init__()
                self.transformer = nn.ModuleDict(dict(
                    wte=nn.Embedding(11, width), wpe=nn.Embedding(context, width), drop=nn.Dropout(0.1),
                    h=nn.ModuleList([Block(width, 2, context) for _ in range(2)]), ln_f=nn.LayerNorm(width),
                ))
                self.lm_head = nn.Linear(width, 11, bias=False)
                self.transformer.wte.weight = self.lm_head.weight

            def forward(self, idx, targets=None):
                device = idx.device
                b, t = idx.size()
                pos = torch.arange(0, t, dtype=torch.long, device=device).unsqueeze(0)
                x = self.transformer.drop(self.transformer.wte(idx) + self.transformer.wpe(pos))
                for block in self.transformer.h:
                    x = block(x)
                logits = self.lm_head(self.transformer.ln_f(x))
                loss = None
                if targets is not None:
                    loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))
                return logits, loss
        """,
    ),
    "llama": (
        "i11:2,6",
        """
        class RMSNorm(nn.Module):
            def __init__(self, dim, eps=1e-6):
                super().__init__()
                self.eps = eps
                self.weight = nn.Parameter(torch.zeros(dim))

            def forward(self, x):
                dtype = x.dtype
                x = x.float()
                x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
                return (x * (1 + self.weight.float())).to(dtype)


        def freqs_cis(dim, end, theta=10000.0):
            freqs = 1.0 / (theta ** (torch.arange(0, dim, 2)[: dim // 2].float() / dim))
            return torch.polar(torch.ones(end, dim // 2), torch.outer(torch.arange(end).float(), freqs))


        def rotated(x, freqs):
            x_ = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
            return torch.view_as_real(x_ * freqs.view(1, x_.shape[1], 1, x_.shape[3])).flatten(3).type_as(x)


        def repeat_kv(x, n_rep):
            bs, slen, heads, dim = x.shape
            if n_rep == 1:
                return x
            return x[:, :, :, None, :].expand(bs, slen, heads, n_rep, dim).reshape(bs, slen, heads * n_rep, dim)


        class Attention(nn.Module):
            def __init__(self, dim, heads, kv_heads):
                super().__init__()
                self.heads, self.kv, self.hd = heads, kv_heads, dim // heads
                self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
                self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

            def forward(self, x, freqs, mask):
                b, t, _ = x.shape
                q, k, v = self.wq(x).view(b, t, -1, self.hd), self.wk(x).view(b, t, -1, self.hd), self.wv(x).view(b, t, -1, self.hd)
                q, k = rotated(q, freqs), rotated(k, freqs)
                k, v = repeat_kv(k, self.heads // self.kv), repeat_kv(v, self.heads // self.kv)
                scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(self.hd)
                if mask is not None:
                    scores = scores + mask
                out = torch.einsum("bhqk,bkhd->bqhd", F.softmax(scores.float(), dim=-1).type_as(q), v)
                return self.wo(out.reshape(b, t, -1))


        class Block(nn.Module):
            def __init__(self, dim, heads, kv):
                super().__init__()
                self.attention, self.n1, self.n2 = Attention(dim, heads, kv), RMSNorm(dim), RMSNorm(dim)
                self.w1, self.w2, self.w3 = nn.Linear(dim, 12, bias=False), nn.Linear(12, dim, bias=False), nn.Linear(dim, 12, bias=False)

            def forward(self, x, freqs, mask):
                h = x + self.attention(self.n1(x), freqs, mask)
                y = self.n2(h)
                return h + self.w2(F.silu(self.w1(y)) * self.w3(y))


        class Net(nn.Module):
            def __init__(self, dim=8, heads=4, kv=2, depth=2):
                super().__init__()
                self.tok = nn.Embedding(11, dim)
                self.layers = nn.ModuleList(Block(dim, heads, kv) for _ in range(depth))
                self.norm = RMSNorm(dim)
                self.freqs = freqs_cis(dim // heads, 32)

            def forward(self, tokens, start=0):
                _, t = tokens.shape
                h, freqs, mask = self.tok(tokens), self.freqs[start : start + t], None
                if t > 1:
                    mask = torch.full((t, t), float("-inf"), device=tokens.device)
                    mask = torch.triu(mask, diagonal=1)
                for layer in self.layers:
                    h = layer(h, freqs, mask)
                return F.linear(self.norm(h), self.tok.weight).float()
        """,
    ),
    "vit": (
        "f2,3,8,8",
        """
        class Attention(nn.Module):
            def __init__(self, dim, heads):
                super().__init__()
                self.heads, self.scale = heads, (dim // heads) ** -0.5
                self.to_qkv, self.to_out = nn.Linear(dim, dim * 3, bias=False), nn.Linear(dim, dim)

            def forward(self, x):
                q, k, v = map(lambda t: einops.rearrange(t, "b n (h d) -> b h n d", h=self.heads), self.to_qkv(x).chunk(3, dim=-1))
                attn = (torch.matmul(q, k.transpose(-1, -2)) * self.scale).softmax(dim=-1)
                return self.to_out(einops.rearrange(torch.matmul(attn, v), "b h n d -> b n (h d)"))


        class Net(nn.Module):
            def __init__(self, dim=8, patch=4, depth=2):
                super().__init__()
                self.patch = patch
                self.embed = nn.Linear(3 * patch * patch, dim)
                self.cls = nn.Parameter(torch.randn(1, 1, dim))
                self.pos = nn.Parameter(torch.randn(1, 5, dim) * 0.02)
                self.layers = nn.ModuleList([])
                for _ in range(depth):
                    self.layers.append(nn.ModuleList([
                        nn.LayerNorm(dim), Attention(dim, 2), nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 16), nn.GELU(), nn.Linear(16, dim)),
                    ]))
                self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, 3)

            def forward(self, img):
                x = einops.rearrange(img, "b c (h p1) (w p2) -> b (h w) (p1 p2 c)", p1=self.patch, p2=self.patch)
                x = self.embed(x)
                b, n, _ = x.shape
                x = torch.cat((einops.repeat(self.cls, "1 1 d -> b 1 d", b=b), x), dim=1)
                x += self.pos[:, : (n + 1)]
                for norm, attn, ff in self.layers:
                    x = attn(norm(x)) + x
                    x = ff(x) + x
                return self.head(self.norm(x)[:, 0])
        """,
    ),
    "unet": (
        "f1,2,8,8",
        """
        def double(i, o):
            return nn.Sequential(
                nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True),
                nn.Conv2d(o, o, 3, padding=1, bias=False), nn.GroupNorm(2, o), nn.SiLU(),
            )


        class Up(nn.Module):
            def __init__(self, i, o, bilinear):
                super().__init__()
                if bilinear:
                    self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
                else:
                    self.up = nn.ConvTranspose2d(i, i // 2, 2, stride=2)
                self.conv = double(i + i // 2 if bilinear else i, o)

            def forward(self, x1, x2):
                x1 = self.up(x1)
                dy, dx = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
                x1 = F.pad(x1, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
                return self.conv(torch.cat([x2, x1], dim=1))


        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.inc, self.d1, self.d2 = double(2, 4), double(4, 8), double(8, 16)
                self.u1, self.u2, self.out = Up(16, 8, False), Up(8, 4, True), nn.Conv2d(4, 3, 1)

            def forward(self, x):
                a = self.inc(x)
                b = self.d1(F.max_pool2d(a, 2))
                c = self.d2(F.max_pool2d(b, 2))
                return torch.sigmoid(self.out(self.u2(self.u1(c, b), a)))
        """,
    ),
    "vae": (
        "f3,1,8,8",
        """
        class Net(nn.Module):
            def __init__(self, latent=3):
                super().__init__()
                self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 8, 3, 2, 1), nn.Tanh(), nn.Flatten())
                self.mu, self.logvar = nn.Linear(32, latent), nn.Linear(32, latent)
                self.up = nn.Linear(latent, 32)
                self.decoder = nn.Sequential(
                    nn.Unflatten(1, (8, 2, 2)), nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.ELU(),
                    nn.ConvTranspose2d(4, 1, 3, stride=2, padding=1, output_padding=1), nn.Sigmoid(),
                )

            def reparameterize(self, mu, logvar):
                if self.training:
                    return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
                return mu

            def forward(self, x):
                h = self.encoder(x)
                mu, logvar = self.mu(h), self.logvar(h)
                return {"out": self.decoder(self.up(self.reparameterize(mu, logvar))), "mu": mu, "logvar": logvar}
        """,
    ),
    "lstm": (
        "i9:3,5",
        """
        class Net(nn.Module):
            def __init__(self, hidden=4, layers=2):
                super().__init__()
                self.hidden, self.layers = hidden, layers
                self.embed = nn.Embedding(9, 6, padding_idx=0)
                self.rnn = nn.LSTM(6, hidden, layers, batch_first=True, bidirectional=True, dropout=0.2)
                self.attn, self.fc = nn.Linear(2 * hidden, 1), nn.Linear(4 * hidden, 3)

            def forward(self, x):
                h0 = torch.zeros(self.layers * 2, x.size(0), self.hidden).to(x.device)
                out, (h, c) = self.rnn(self.embed(x), (h0, torch.zeros_like(h0)))
                w = torch.softmax(self.attn(out).squeeze(-1), dim=1)
                pooled = torch.bmm(w.unsqueeze(1), out).squeeze(1)
                return self.fc(torch.cat([pooled, h[-2], h[-1]], dim=1))
        """,
    ),
    "se": (
        "f2,3,8,8",
        """
        class SE(nn.Module):
            def __init__(self, channels, r=2):
                super().__init__()
                self.fc1, self.fc2 = nn.Conv2d(channels, channels // r, 1), nn.Conv2d(channels // r, channels, 1)

            def forward(self, x):
                s = x.mean((2, 3), keepdim=True)
                return x * self.fc2(F.relu(self.fc1(s))).sigmoid()


        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential()
                for i, (c, s) in enumerate([(4, 1), (6, 2)]):
                    self.layers.add_module(f"conv{i}", nn.Conv2d(3 if i == 0 else 4, c, 3, s, 1))
                    self.layers.add_module(f"norm{i}", nn.InstanceNorm2d(c, affine=True))
                    self.layers.add_module(f"act{i}", nn.Hardswish())
                    self.layers.add_module(f"se{i}", SE(c))
                self.classifier = nn.Linear(6, 4)

            def forward(self, x):
                x = self.layers(x)
                x = F.avg_pool2d(x, x.shape[-1]).view(x.shape[0], -1)
                return F.log_softmax(self.classifier(x), dim=1)
        """,
    ),
    "convnext": (
        "f1,3,16,16",
        """
        class LayerNorm(nn.Module):
            def __init__(self, dim, eps=1e-6, data_format="channels_last"):
                super().__init__()
                self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
                self.eps, self.data_format, self.normalized_shape = eps, data_format, (dim,)
                if self.data_format not in ["channels_last", "channels_first"]:
                    raise NotImplementedError

            def forward(self, x):
                if self.data_format == "channels_last":
                    return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
                elif self.data_format == "channels_first":
                    u = x.mean(1, keepdim=True)
                    s = (x - u).pow(2).mean(1, keepdim=True)
                    x = (x - u) / torch.sqrt(s + self.eps)
                    return self.weight[:, None, None] * x + self.bias[:, None, None]


        class DropPath(nn.Module):
            def __init__(self, p):
                super().__init__()
                self.p = p

            def forward(self, x):
                if self.p == 0.0 or not self.training:
                    return x
                keep = torch.rand((x.shape[0],) + (1,) * (x.ndim - 1)) < 1 - self.p
                return x * keep


        class Block(nn.Module):
            def __init__(self, dim, scale=1e-6):
                super().__init__()
                self.dwconv, self.norm = nn.Conv2d(dim, dim, 7, padding=3, groups=dim), LayerNorm(dim)
                self.pwconv1, self.act, self.pwconv2 = nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
                self.gamma = nn.Parameter(scale * torch.ones((dim)), requires_grad=True) if scale > 0 else None
                self.drop_path = DropPath(0.1)

            def forward(self, x):
                input = x
                x = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
                x = self.pwconv2(self.act(self.pwconv1(x)))
                if self.gamma is not None:
                    x = self.gamma * x
                return input + self.drop_path(x.permute(0, 3, 1, 2))


        class Net(nn.Module):
            def __init__(self, dims=(4, 6)):
                super().__init__()
                self.down = nn.ModuleList([nn.Sequential(nn.Conv2d(3, dims[0], 4, 4), LayerNorm(dims[0], data_format="channels_first"))])
                self.down.append(nn.Sequential(LayerNorm(dims[0], data_format="channels_first"), nn.Conv2d(dims[0], dims[1], 2, 2)))
                self.stages = nn.ModuleList([nn.Sequential(*[Block(d) for _ in range(2)]) for d in dims])
                self.norm, self.head = nn.LayerNorm(dims[-1], eps=1e-6), nn.Linear(dims[-1], 3)

            def forward_features(self, x):
                for i in range(2):
                    x = self.down[i](x)
                    x = self.stages[i](x)
                return self.norm(x.mean([-2, -1]))

            def forward(self, x):
                return self.head(self.forward_features(x))
        """,
    ),
    "translator": (
        "i9:2,6 i9:2,4",
        """
        class Positions(nn.Module):
            def __init__(self, d, longest=20):
                super().__init__()
                pe = torch.zeros(longest, d)
                position = torch.arange(0, longest, dtype=torch.float).unsqueeze(1)
                div = torch.exp(torch.arange(0, d, 2).float() * (-math.log(10000.0) / d))
                pe[:, 0::2] = torch.sin(position * div)
                pe[:, 1::2] = torch.cos(position * div)
                self.register_buffer("pe", pe.unsqueeze(0), persistent=False)

            def forward(self, x):
                return x + self.pe[:, : x.size(1)]


        class Attention(nn.Module):
            def __init__(self, d, h):
                super().__init__()
                assert d % h == 0
                self.h, self.dk = h, d // h
                self.linears = nn.ModuleList([nn.Linear(d, d) for _ in range(4)])

            def forward(self, query, key, value, mask=None):
                if mask is not None:
                    mask = mask.unsqueeze(1)
                n = query.size(0)
                query, key, value = [
                    lin(x).view(n, -1, self.h, self.dk).transpose(1, 2) for lin, x in zip(self.linears, (query, key, value))
                ]
                scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(self.dk)
                if mask is not None:
                    scores = scores.masked_fill(mask == 0, -1e9)
                x = torch.matmul(scores.softmax(dim=-1), value)
                return self.linears[-1](x.transpose(1, 2).contiguous().view(n, -1, self.h * self.dk))


        class Layer(nn.Module):
            def __init__(self, d, h, cross):
                super().__init__()
                self.attn = Attention(d, h)
                self.cross = Attention(d, h) if cross else None
                self.ff = nn.Sequential(nn.Linear(d, 2 * d), nn.ReLU(), nn.Dropout(0.1), nn.Linear(2 * d, d))
                self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(3 if cross else 2))

            def forward(self, x, mask, memory=None, memory_mask=None):
                x = self.norms[0](x + self.attn(x, x, x, mask))
                if self.cross is not None:
                    x = self.norms[1](x + self.cross(x, memory, memory, memory_mask))
                return self.norms[-1](x + self.ff(x))


        class Net(nn.Module):
            def __init__(self, d=8, vocabulary=9):
                super().__init__()
                self.src, self.tgt, self.pos = nn.Embedding(vocabulary, d), nn.Embedding(vocabulary, d), Positions(d)
                self.encoder = nn.ModuleList(Layer(d, 2, False) for _ in range(2))
                self.decoder = nn.ModuleList(Layer(d, 2, True) for _ in range(2))
                self.out, self.d = nn.Linear(d, vocabulary), d

            def forward(self, src, tgt):
                src_mask = (src != 0).unsqueeze(-2)
                tgt_mask = (tgt != 0).unsqueeze(-2)
                tgt_mask = tgt_mask & (torch.triu(torch.ones(1, tgt.size(-1), tgt.size(-1)), diagonal=1).type(torch.uint8) == 0)
                memory = self.pos(self.src(src) * math.sqrt(self.d))
                for layer in self.encoder:
                    memory = layer(memory, src_mask)
                x = self.pos(self.tgt(tgt) * math.sqrt(self.d))
                for layer in self.decoder:
                    x = layer(x, tgt_mask, memory, src_mask)
                return F.log_softmax(self.out(x), dim=-1)
        """,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_drawn_of_a_network_computes_what_torch_does(tmp_path, name):
    net, args = written(tmp_path, name)
    specs = specs_of(net.state_dict())
    given = [shown(one) for one in args]
    graph = draw_source("model.py:Net", specs, given, root=tmp_path)
    agrees(graph, net, args)
    used = {*graph.leaves}
    assert {key for key in specs if key not in used and not key.endswith("num_batches_tracked")} <= {"lm_head.weight"}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_live_module_is_drawn_in_the_same_way(tmp_path, name):
    net, args = written(tmp_path, name)
    specs = specs_of(net.state_dict())
    given = [shown(one) for one in args]
    live = draw_live(net, specs, given)
    agrees(live, net, args)
    read = draw_source("model.py:Net", specs, given, root=tmp_path)
    assert kinds(live) == kinds(read)


def kinds(graph):
    """Return what a graph does, whatever the order; constants may be worked out or given."""
    return sorted((node.op, node.shape, node.word) for node in graph.nodes if node.op != "constant")


def written(folder, name):
    inputs, text = NETWORKS[name]
    path = folder / "model.py"
    path.write_text(HEAD + textwrap.dedent(text), encoding="utf-8")
    generator = torch.Generator().manual_seed(1)
    return made(path), [tensor(one, generator) for one in inputs.split()]
