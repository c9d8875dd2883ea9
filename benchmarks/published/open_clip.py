"""Models of open_clip for ``benchmarks/static.py``: copy this file to its root."""

from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

T = dict(context_length=77, vocab_size=100, width=64, heads=4, layers=2)


def vit():
    return CLIP(32, dict(image_size=64, layers=2, width=64, patch_size=16, head_width=16), dict(T))


def rn50():
    return CLIP(32, dict(image_size=64, layers=[1, 1, 1, 1], width=16, patch_size=None), dict(T))


def custom():
    return CustomTextCLIP(
        32, CLIPVisionCfg(layers=2, width=64, head_width=16, image_size=64), CLIPTextCfg(**T)
    )


def timm_tower():
    return CustomTextCLIP(
        32,
        dict(
            timm_model_name="vit_tiny_patch16_224",
            timm_model_pretrained=False,
            timm_pool="",
            timm_proj="linear",
            image_size=224,
        ),
        dict(T),
    )


def coca():
    return CoCa(
        32,
        dict(T),
        dict(T, embed_cls=True, pad_id=0),
        dict(
            image_size=64,
            layers=2,
            width=64,
            patch_size=16,
            head_width=16,
            attentional_pool=True,
            attn_pooler_heads=4,
        ),
    )


def siglip():
    return CustomTextCLIP(
        32,
        dict(
            image_size=64,
            layers=2,
            width=64,
            patch_size=16,
            head_width=16,
            no_ln_pre=True,
            pool_type="avg",
            final_ln_after_pool=True,
        ),
        dict(T, no_causal_mask=True, proj_bias=True, pool_type="last", norm_kwargs={"eps": 1e-6}),
        init_logit_bias=-10.0,
    )
