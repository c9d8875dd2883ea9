"""A U-Net that upsamples in two ways."""

import torch
import torch.nn.functional as F
from torch import nn


def double(i, o):
    return nn.Sequential(
        nn.Conv2d(i, o, 3, padding=1, bias=False),
        nn.BatchNorm2d(o),
        nn.ReLU(inplace=True),
        nn.Conv2d(o, o, 3, padding=1, bias=False),
        nn.GroupNorm(2, o),
        nn.SiLU(),
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
