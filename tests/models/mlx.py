"""The models in MLX."""

import mlx.core as mx
from mlx import nn

from parity import Port


class BasicBlock(nn.Module):
    def __init__(self, channels_in, channels_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm(channels_out)
        if stride != 1 or channels_in != channels_out:
            self.downsample = [
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm(channels_out),
            ]

    def __call__(self, x):
        out = nn.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        for layer in self.get("downsample", ()):
            x = layer(x)
        return nn.relu(out + x)


class ResNet(nn.Module):
    def __init__(self, width=6, classes=5):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(width, width), BasicBlock(width, width))
        self.layer2 = nn.Sequential(BasicBlock(width, 2 * width, 2))
        self.fc = nn.Linear(2 * width, classes)

    def __call__(self, x):
        x = self.maxpool(nn.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(x.mean((1, 2)))


class DoubleConv(nn.Module):
    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.bn1 = nn.BatchNorm(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.bn2 = nn.BatchNorm(channels_out)

    def __call__(self, x):
        x = nn.relu(self.bn1(self.conv1(x)))
        return nn.relu(self.bn2(self.conv2(x)))


class UNet(nn.Module):
    def __init__(self, width=4, classes=2):
        super().__init__()
        self.inc = DoubleConv(3, width)
        self.down1 = DoubleConv(width, 2 * width)
        self.down2 = DoubleConv(2 * width, 4 * width)
        self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.conv1 = DoubleConv(4 * width, 2 * width)
        self.up2 = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.conv2 = DoubleConv(2 * width, width)
        self.outc = nn.Conv2d(width, classes, 1)
        self.pool = nn.MaxPool2d(2, 2)

    def __call__(self, x):
        x1 = self.inc(x)
        x2 = self.down1(self.pool(x1))
        x3 = self.down2(self.pool(x2))
        x = self.conv1(mx.concatenate([x2, self.up1(x3)], axis=-1))
        x = self.conv2(mx.concatenate([x1, self.up2(x)], axis=-1))
        return self.outc(x)


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def __call__(self, x):
        return self.fc2(nn.gelu(self.fc1(x)))


class EncoderBlock(nn.Module):
    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = nn.MultiHeadAttention(dim, heads, bias=True)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, hidden)

    def __call__(self, x):
        y = self.norm1(x)
        x = x + self.attn(y, y, y)
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, size=8, patch=4, dim=12, depth=2, heads=3, hidden=20, classes=5):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, dim, patch, patch)
        self.cls_token = mx.zeros((1, 1, dim))
        self.pos_embed = mx.zeros((1, (size // patch) ** 2 + 1, dim))
        self.blocks = [EncoderBlock(dim, heads, hidden) for _ in range(depth)]
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, classes)

    def __call__(self, x):
        x = mx.flatten(self.patch_embed(x), 1, 2)
        token = mx.broadcast_to(self.cls_token, (len(x), 1, x.shape[-1]))
        x = mx.concatenate([token, x], axis=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class CausalSelfAttention(nn.Module):
    """Queries, keys and values by one Linear, as in mlx-lm's GPT-2."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(dim, 3 * dim)
        self.c_proj = nn.Linear(dim, dim)

    def __call__(self, x):
        b, t, c = x.shape
        parts = mx.split(self.c_attn(x), 3, axis=-1)
        q, k, v = (part.reshape(b, t, self.heads, -1).transpose(0, 2, 1, 3) for part in parts)
        scale = (c // self.heads) ** -0.5
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask="causal")
        return self.c_proj(y.transpose(0, 2, 1, 3).reshape(b, t, c))


class DecoderMLP(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.c_fc = nn.Linear(dim, 4 * dim)
        self.c_proj = nn.Linear(4 * dim, dim)

    def __call__(self, x):
        return self.c_proj(nn.gelu_approx(self.c_fc(x)))


class DecoderBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim)
        self.attn = CausalSelfAttention(dim, heads)
        self.ln_2 = nn.LayerNorm(dim)
        self.mlp = DecoderMLP(dim)

    def __call__(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, vocab=11, length=7, dim=8, depth=2, heads=2):
        super().__init__()
        self.wte = nn.Embedding(vocab, dim)
        self.wpe = nn.Embedding(length, dim)
        self.h = [DecoderBlock(dim, heads) for _ in range(depth)]
        self.ln_f = nn.LayerNorm(dim)

    def __call__(self, tokens):
        x = self.wte(tokens) + self.wpe(mx.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return self.wte.as_linear(self.ln_f(x))


class BiLSTM(nn.Module):
    def __init__(self, size, hidden):
        super().__init__()
        self.forward = nn.LSTM(size, hidden)
        self.backward = nn.LSTM(size, hidden)

    def __call__(self, x):
        back = self.backward(x[:, ::-1])[0][:, ::-1]
        return mx.concatenate([self.forward(x)[0], back], axis=-1)


class LSTMClassifier(nn.Module):
    def __init__(self, vocab=9, dim=6, hidden=6, classes=3):
        super().__init__()
        self.embedding = nn.Embedding(vocab, dim)
        self.lstm = [BiLSTM(dim, hidden), BiLSTM(2 * hidden, hidden)]
        self.fc = nn.Linear(2 * hidden, classes)

    def __call__(self, tokens):
        x = self.embedding(tokens)
        for layer in self.lstm:
            x = layer(x)
        return self.fc(x.mean(axis=1))


class Encoder(nn.Module):
    def __init__(self, width, latent):
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, 2, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, 2, padding=1)
        self.proj_mu = nn.Linear(2 * width * 2 * 2, latent)
        self.proj_logvar = nn.Linear(2 * width * 2 * 2, latent)

    def __call__(self, x):
        x = nn.relu(self.conv2(nn.relu(self.conv1(x)))).flatten(1)
        return self.proj_mu(x), self.proj_logvar(x)


class Decoder(nn.Module):
    def __init__(self, width, latent):
        super().__init__()
        self.lin1 = nn.Linear(latent, 2 * width * 2 * 2)
        self.deconv1 = nn.ConvTranspose2d(2 * width, width, 3, 2, padding=1, output_padding=1)
        self.deconv2 = nn.ConvTranspose2d(width, 1, 3, 2, padding=1, output_padding=1)

    def __call__(self, z):
        x = nn.relu(self.lin1(z)).reshape(len(z), 2, 2, -1)
        return mx.sigmoid(self.deconv2(nn.relu(self.deconv1(x))))


class VAE(nn.Module):
    """With the names of the VAE in mlx-examples."""

    def __init__(self, width=4, latent=3):
        super().__init__()
        self.encoder = Encoder(width, latent)
        self.decoder = Decoder(width, latent)

    def __call__(self, x):
        mean, spread = self.encoder(x)
        return self.decoder(mean + mx.exp(0.5 * spread))


class SeparableBlock(nn.Module):
    def __init__(self, channels_in, channels_out, stride=1):
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels_in, channels_in, 3, stride, padding=1, groups=channels_in, bias=False
        )
        self.bn1 = nn.BatchNorm(channels_in)
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.bn2 = nn.BatchNorm(channels_out)

    def __call__(self, x):
        x = nn.relu6(self.bn1(self.depthwise(x)))
        return nn.relu6(self.bn2(self.pointwise(x)))


class SeparableNet(nn.Module):
    def __init__(self, width=8, classes=5):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 2, padding=1, bias=False)
        self.bn = nn.BatchNorm(width)
        self.blocks = nn.Sequential(SeparableBlock(width, width), SeparableBlock(width, 2 * width, 2))
        self.classifier = nn.Linear(2 * width, classes)

    def __call__(self, x):
        x = self.blocks(nn.relu6(self.bn(self.stem(x))))
        return self.classifier(x.mean((1, 2)))


def port(name, x):
    """Return the model, and how it is run."""
    model = globals()[name]()
    model.eval()
    return Port(model, lambda model, x: model(mx.array(x)))
