"""The models that the ports are of, as timm, torchvision and transformers have them, of small sizes."""

from typing import Any

import numpy as np
import torch
from torch import nn

from ported import bert, convnext, gpt2, llama, t5, vit, whisper
from ported.suites import timm, torchvision, transformers

from torchvision.models.resnet import Bottleneck, ResNet  # isort: skip - needs its operators to be there


class EvenBlock(Bottleneck):
    """A bottleneck that is none: all of its convolutions are as wide."""

    expansion = 1


class Even(ResNet):
    """A ResNet of one width everywhere."""

    def __init__(self, depths, width, classes):
        self.width = width
        super().__init__(EvenBlock, depths, num_classes=classes)
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, classes)

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        width = self.width
        around = nn.Sequential(nn.Conv2d(width, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        rest = [block(width, width) for _ in range(blocks - 1)]
        return nn.Sequential(block(width, width, stride, around), *rest)


def made_bert():
    """Return BERT."""
    sizes = {"hidden_size": bert.WIDTH, "intermediate_size": bert.INSIDE, "num_hidden_layers": bert.LAYERS}
    config = transformers.BertConfig(
        vocab_size=bert.VOCABULARY,
        num_attention_heads=bert.HEADS,
        max_position_embeddings=bert.PLACES,
        **sizes,
    )
    return transformers.BertModel(config)


def made_gpt2():
    """Return GPT-2."""
    config = transformers.GPT2Config(
        vocab_size=gpt2.VOCABULARY,
        n_embd=gpt2.WIDTH,
        n_layer=gpt2.LAYERS,
        n_head=gpt2.HEADS,
        n_positions=gpt2.PLACES,
        bos_token_id=1,
        eos_token_id=2,
    )
    return transformers.GPT2LMHeadModel(config)


def made_llama():
    """Return Llama."""
    config = transformers.LlamaConfig(
        vocab_size=llama.VOCABULARY,
        hidden_size=llama.WIDTH,
        intermediate_size=llama.INSIDE,
        num_hidden_layers=llama.LAYERS,
        num_attention_heads=llama.HEADS,
        num_key_value_heads=llama.GROUPS,
    )
    return transformers.LlamaForCausalLM(config)


def made_t5():
    """Return T5."""
    config = transformers.T5Config(
        vocab_size=t5.VOCABULARY,
        d_model=t5.WIDTH,
        d_kv=t5.SIZE,
        d_ff=t5.INSIDE,
        num_layers=t5.LAYERS,
        num_heads=t5.HEADS,
    )
    return transformers.T5ForConditionalGeneration(config)


def made_whisper():
    """Return the encoder of Whisper."""
    config = transformers.WhisperConfig(
        d_model=whisper.WIDTH,
        encoder_layers=whisper.LAYERS,
        encoder_attention_heads=whisper.HEADS,
        encoder_ffn_dim=whisper.INSIDE,
        num_mel_bins=whisper.BANDS,
        max_source_positions=whisper.PLACES,
    )
    return transformers.WhisperModel(config).encoder


def made_vit():
    """Return a vision transformer of timm."""
    return timm.create_model(
        "vit_tiny_patch16_224",
        img_size=32,
        patch_size=vit.PATCH,
        embed_dim=vit.WIDTH,
        depth=vit.LAYERS,
        num_heads=vit.HEADS,
        num_classes=vit.CLASSES,
    )


def made_resnet():
    """Return a ResNet of timm."""
    return timm.create_model("resnet26", num_classes=13)


def made_convnext():
    """Return a ConvNeXt of timm."""
    sizes: dict[str, Any] = {"depths": convnext.DEPTHS, "dims": convnext.WIDTHS}
    return timm.create_model("convnext_atto", num_classes=convnext.CLASSES, **sizes)


def made_resnet50():
    """Return the ResNet-50 of torchvision."""
    return torchvision.models.resnet50()


def trained(model):
    """Return a model with numbers that no symmetry hides, in evaluation mode."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                spread = torch.randn(tensor.shape)
                positive = name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight"))
                fan_in = tensor[0].numel() if tensor.ndim > 1 else 4
                tensor.copy_(1 + 0.3 * torch.tanh(spread) if positive else spread / fan_in**0.5)
    return model.eval()


def tokens(*lengths):
    """Return texts of these lengths."""
    random = np.random.default_rng(0)
    return [random.integers(0, 50, (2, length)) for length in lengths]


def sound():
    """Return what Whisper is given."""
    return np.random.default_rng(0).normal(size=(2, whisper.BANDS, 2 * whisper.PLACES)).astype(np.float32)


def images(size):
    """Return images."""
    return np.random.default_rng(0).normal(size=(2, 3, size, size)).astype(np.float32)
