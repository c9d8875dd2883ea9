"""Models of vit-pytorch for ``benchmarks/static.py``: copy this file to its root."""

from vit_pytorch import (
    ats_vit,
    cait,
    cct,
    cross_vit,
    crossformer,
    cvt,
    deepvit,
    jumbo_vit,
    learnable_memory_vit,
    levit,
    local_vit,
    look_vit,
    mae,
    max_vit,
    mobile_vit,
    na_vit,
    nest,
    normalized_vit,
    parallel_vit,
    pit,
    regionvit,
    rvt,
    scalable_vit,
    sep_vit,
    simple_vit,
    simple_vit_with_register_tokens,
    t2t,
    twins_svt,
    vit,
    vit_1d,
    vit_3d,
    vit_for_small_dataset,
    vit_with_patch_merger,
    vivit,
    xcit,
)

K = dict(image_size=64, patch_size=16, num_classes=10, dim=32, depth=2, heads=4, mlp_dim=64)


def make_vit():
    return vit.ViT(**K)


def make_simple():
    return simple_vit.SimpleViT(**K)


def make_cait():
    return cait.CaiT(
        image_size=64, patch_size=16, num_classes=10, dim=32, depth=2, cls_depth=2, heads=4, mlp_dim=64
    )


def make_cct():
    return cct.cct_2(img_size=64, num_classes=10)


def make_cct14():
    return cct.cct_14(img_size=64, num_classes=10, positional_embedding="sine")


def make_cross():
    return cross_vit.CrossViT(image_size=240, num_classes=10, sm_dim=32, lg_dim=64)


def make_crossformer():
    return crossformer.CrossFormer(num_classes=10, dim=(16, 32, 64, 128), depth=(1, 1, 2, 1))


def make_cvt():
    return cvt.CvT(num_classes=10)


def make_deepvit():
    return deepvit.DeepViT(**K)


def make_levit():
    return levit.LeViT(
        image_size=224, num_classes=10, dim=(64, 96, 128), depth=2, heads=(2, 3, 4), mlp_mult=2
    )


def make_local():
    return local_vit.LocalViT(**K)


def make_look():
    return look_vit.LookViT(
        dim=32, image_size=256, num_classes=10, depth=2, patch_size=32, highres_patch_size=16
    )


def make_maxvit():
    return max_vit.MaxViT(num_classes=10, dim=32, depth=(1, 1, 2, 1), window_size=7)


def make_mobile():
    return mobile_vit.MobileViT(
        image_size=(256, 256),
        dims=[96, 120, 144],
        channels=[16, 32, 48, 48, 64, 64, 80, 80, 96, 96, 384],
        num_classes=10,
    )


def make_nest():
    return nest.NesT(
        image_size=224,
        patch_size=4,
        dim=96,
        heads=3,
        num_hierarchies=3,
        block_repeats=(2, 2, 3),
        num_classes=10,
    )


def make_parallel():
    return parallel_vit.ViT(**K, num_parallel_branches=2)


def make_pit():
    return pit.PiT(
        image_size=224, patch_size=14, dim=32, num_classes=10, depth=(1, 2, 1), heads=4, mlp_dim=64
    )


def make_region():
    return regionvit.RegionViT(dim=(16, 32, 64, 128), depth=(1, 1, 2, 1), window_size=7, num_classes=10)


def make_rvt():
    return rvt.RvT(**K)


def make_scalable():
    return scalable_vit.ScalableViT(
        num_classes=10,
        dim=16,
        heads=(2, 4, 8, 16),
        depth=(1, 1, 2, 1),
        ssa_dim_key=(8, 8, 8, 8),
        reduction_factor=(8, 4, 2, 1),
        window_size=(16, 8, None, None),
    )


def make_sep():
    return sep_vit.SepViT(
        num_classes=10, dim=32, dim_head=32, heads=(1, 2, 4, 8), depth=(1, 2, 2, 1), window_size=7
    )


def make_twins():
    return twins_svt.TwinsSVT(num_classes=10)


def make_t2t():
    return t2t.T2TViT(
        dim=32,
        image_size=224,
        depth=2,
        heads=4,
        mlp_dim=64,
        num_classes=10,
        t2t_layers=((7, 4), (3, 2), (3, 2)),
    )


def make_vivit():
    return vivit.ViViT(
        image_size=64,
        image_patch_size=16,
        frames=8,
        frame_patch_size=2,
        num_classes=10,
        dim=32,
        spatial_depth=2,
        temporal_depth=2,
        heads=4,
        mlp_dim=64,
    )


def make_xcit():
    return xcit.XCiT(
        image_size=64, patch_size=16, num_classes=10, dim=32, depth=2, cls_depth=2, heads=4, mlp_dim=64
    )


def make_3d():
    return vit_3d.ViT(
        image_size=64,
        image_patch_size=16,
        frames=8,
        frame_patch_size=2,
        num_classes=10,
        dim=32,
        depth=2,
        heads=4,
        mlp_dim=64,
    )


def make_ats():
    return ats_vit.ViT(
        image_size=64,
        patch_size=16,
        num_classes=10,
        dim=32,
        depth=2,
        max_tokens_per_depth=(16, 8),
        heads=4,
        mlp_dim=64,
    )


def make_mem():
    return learnable_memory_vit.ViT(**K)


def make_adapter():
    return learnable_memory_vit.Adapter(
        vit=learnable_memory_vit.ViT(**K), num_classes=2, num_memories_per_layer=5
    )


def make_mae():
    return mae.MAE(encoder=vit.ViT(**K), masking_ratio=0.75, decoder_dim=32, decoder_depth=2)


def make_na():
    return na_vit.NaViT(**K)


def make_jumbo():
    return jumbo_vit.JumboViT(**K, num_jumbo_cls=1, jumbo_cls_k=3, jumbo_ff_mult=2)


def make_merger():
    return vit_with_patch_merger.ViT(
        image_size=64,
        patch_size=16,
        num_classes=10,
        dim=32,
        depth=4,
        heads=4,
        mlp_dim=64,
        patch_merge_layer=2,
        patch_merge_num_tokens=4,
    )


def make_small():
    return vit_for_small_dataset.ViT(**K)


def make_reg():
    return simple_vit_with_register_tokens.SimpleViT(**K)


def make_norm():
    return normalized_vit.nViT(
        image_size=64, patch_size=16, num_classes=10, dim=32, depth=2, heads=4, mlp_dim=64
    )


def make_1d():
    return vit_1d.ViT(seq_len=64, patch_size=16, num_classes=10, dim=32, depth=2, heads=4, mlp_dim=64)
