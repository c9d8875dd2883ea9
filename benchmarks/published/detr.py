"""Models of detr for ``benchmarks/static.py``: copy this file to its root."""

from argparse import Namespace

from models import backbone, detr, transformer

backbone.is_main_process = lambda: False  # downloads no weights


def _args(**more):
    return Namespace(
        **{
            **dict(
                position_embedding="sine",
                hidden_dim=256,
                lr_backbone=1,
                masks=False,
                backbone="resnet50",
                dilation=False,
                dropout=0.0,
                nheads=8,
                dim_feedforward=2048,
                enc_layers=6,
                dec_layers=6,
                pre_norm=False,
            ),
            **more,
        }
    )


def plain():
    a = _args()
    return detr.DETR(
        backbone.build_backbone(a), transformer.build_transformer(a), num_classes=91, num_queries=100
    )


def learned():
    a = _args(position_embedding="learned", pre_norm=True, backbone="resnet18")
    return detr.DETR(
        backbone.build_backbone(a), transformer.build_transformer(a), num_classes=91, num_queries=100
    )
