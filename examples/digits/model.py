"""A small convolutional network for 8 x 8 images of handwritten digits."""

import torch
from torch import nn


def block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Convolve, normalise, and halve the image."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


class Net(nn.Module):
    """Images (n, 1, 8, 8) to logits (n, 10)."""

    def __init__(self, width: int = 16, hidden: int = 48, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(block(1, width), block(width, 2 * width))
        self.fc1 = nn.Linear(2 * width * 2 * 2, hidden)
        self.dropout = nn.Dropout(0.2)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features(x)
        x = torch.flatten(x, 1)  # (n, c, h, w) -> (n, c h w): a port that is channels-last has (n, h w c)
        x = torch.relu(self.fc1(x))
        return self.fc2(self.dropout(x))
