"""Models of denoising-diffusion-pytorch for ``benchmarks/static.py``: copy this file to its root."""

from denoising_diffusion_pytorch import classifier_free_guidance as c
from denoising_diffusion_pytorch import denoising_diffusion_pytorch as a
from denoising_diffusion_pytorch import denoising_diffusion_pytorch_1d as b
from denoising_diffusion_pytorch import karras_unet as d
from denoising_diffusion_pytorch import karras_unet_1d as e
from denoising_diffusion_pytorch import karras_unet_3d as f
from denoising_diffusion_pytorch import simple_diffusion as i


def unet():
    return a.Unet(dim=16, dim_mults=(1, 2, 4, 8))


def unet2():
    return a.Unet(
        dim=16, dim_mults=(1, 2), self_condition=True, learned_variance=True, learned_sinusoidal_cond=True
    )


def gaussian():
    return a.GaussianDiffusion(a.Unet(dim=16, dim_mults=(1, 2)), image_size=32)


def unet1d():
    return b.Unet1D(dim=16, dim_mults=(1, 2, 4), channels=4)


def guided():
    return c.Unet(dim=16, num_classes=10)


def karras():
    return d.KarrasUnet(image_size=64, dim=32, num_classes=10)


def karras1d():
    return e.KarrasUnet1D(seq_len=64, dim=32, num_classes=10)


def karras3d():
    return f.KarrasUnet3D(image_size=64, frames=8, dim=32, num_classes=10)


def uvit():
    return i.UViT(16)
