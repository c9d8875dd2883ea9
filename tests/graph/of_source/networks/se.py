"""Squeeze and excitation, in a Sequential that grows."""

import torch.nn.functional as F
from torch import nn


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
