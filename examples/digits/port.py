"""The network of model.py, written by hand in Flax NNX; channels last, as Flax has them."""

import jax
from flax import nnx


def block(channels_in: int, channels_out: int, rngs: nnx.Rngs) -> nnx.Sequential:
    """Convolve, normalise, and halve the image."""
    return nnx.Sequential(
        nnx.Conv(channels_in, channels_out, kernel_size=(3, 3), padding=1, rngs=rngs),
        nnx.BatchNorm(channels_out, epsilon=1e-5, momentum=0.9, rngs=rngs),
        nnx.relu,
        lambda x: nnx.max_pool(x, (2, 2), strides=(2, 2)),
    )


class Net(nnx.Module):
    """Images (n, 8, 8, 1) to logits (n, 10)."""

    def __init__(self, width: int = 16, hidden: int = 48, classes: int = 10, *, rngs: nnx.Rngs) -> None:
        self.features = nnx.Sequential(block(1, width, rngs), block(width, 2 * width, rngs))
        self.fc1 = nnx.Linear(2 * width * 2 * 2, hidden, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.fc2 = nnx.Linear(hidden, classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.features(x)
        x = x.reshape(len(x), -1)  # (n, h, w, c) -> (n, h w c)
        x = nnx.relu(self.fc1(x))
        return self.fc2(self.dropout(x))
