"""Models of segmentation_models.pytorch for ``benchmarks/static.py``: copy this file to its root."""

import segmentation_models_pytorch as smp


def unet_r18():
    return smp.Unet("resnet18", encoder_weights=None, classes=3)


def unetpp():
    return smp.UnetPlusPlus("resnet34", encoder_weights=None, decoder_attention_type="scse")


def fpn():
    return smp.FPN("efficientnet-b0", encoder_weights=None)


def pspnet():
    return smp.PSPNet("vgg11_bn", encoder_weights=None)


def deeplab():
    return smp.DeepLabV3Plus("mobilenet_v2", encoder_weights=None)


def manet():
    return smp.MAnet("se_resnet50", encoder_weights=None)


def linknet():
    return smp.Linknet("densenet121", encoder_weights=None)


def pan():
    return smp.PAN("dpn68", encoder_weights=None)


def segformer():
    return smp.Segformer("mit_b0", encoder_weights=None)


def upernet():
    return smp.UPerNet("xception", encoder_weights=None)


def timm_uni():
    return smp.Unet("tu-convnext_atto", encoder_weights=None)


def mobileone():
    return smp.FPN("mobileone_s0", encoder_weights=None, aux_params=dict(classes=4, dropout=0.2))


def incep():
    return smp.Unet("inceptionv4", encoder_weights=None)


def direct():
    return smp.create_model("unet", "resnet18", encoder_weights=None)
