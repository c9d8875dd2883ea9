"""Models of x-transformers for ``benchmarks/static.py``: copy this file to its root."""

from x_transformers import (
    ContinuousTransformerWrapper,
    Decoder,
    Encoder,
    TransformerWrapper,
    ViTransformerWrapper,
    XTransformer,
)


def gpt():
    return TransformerWrapper(num_tokens=50, max_seq_len=32, attn_layers=Decoder(dim=32, depth=2, heads=4))


def bert():
    return TransformerWrapper(num_tokens=50, max_seq_len=32, attn_layers=Encoder(dim=32, depth=2, heads=4))


def llama():
    return TransformerWrapper(
        num_tokens=50,
        max_seq_len=32,
        attn_layers=Decoder(
            dim=32,
            depth=2,
            heads=4,
            ff_glu=True,
            use_rmsnorm=True,
            rotary_pos_emb=True,
            attn_kv_heads=2,
            ff_swish=True,
            ff_no_bias=True,
        ),
    )


def vit():
    return ViTransformerWrapper(
        image_size=64, patch_size=16, num_classes=10, attn_layers=Encoder(dim=32, depth=2, heads=4)
    )


def t5():
    return XTransformer(
        dim=32,
        enc_num_tokens=50,
        enc_depth=2,
        enc_heads=4,
        enc_max_seq_len=32,
        dec_num_tokens=50,
        dec_depth=2,
        dec_heads=4,
        dec_max_seq_len=32,
        tie_token_emb=True,
    )


def rel():
    return TransformerWrapper(
        num_tokens=50,
        max_seq_len=32,
        attn_layers=Decoder(
            dim=32,
            depth=2,
            heads=4,
            rel_pos_bias=True,
            sandwich_norm=True,
            attn_qk_norm=True,
            use_scalenorm=True,
        ),
    )


def macaron():
    return TransformerWrapper(
        num_tokens=50,
        max_seq_len=32,
        attn_layers=Encoder(
            dim=32,
            depth=2,
            heads=4,
            macaron=True,
            attn_gate_values=True,
            alibi_pos_bias=True,
            alibi_num_heads=2,
        ),
        num_memory_tokens=4,
    )


def cont():
    return ContinuousTransformerWrapper(
        dim_in=32, dim_out=10, max_seq_len=64, attn_layers=Encoder(dim=32, depth=2, heads=4)
    )
