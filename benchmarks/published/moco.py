"""Models of moco for ``benchmarks/static.py``: copy this file to its root."""

import moco.builder
import torchvision.models as models


def r18():
    return moco.builder.MoCo(models.__dict__["resnet18"], 128, 65536, 0.999, 0.07, False)


def r50():
    return moco.builder.MoCo(models.resnet50, mlp=True)
