"""What objects are, by the names of their classes and by the words people name them with: data."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = [
    "ANY_MODULES",
    "CHILDREN_METHODS",
    "MODULE_ENDINGS",
    "MODULE_WORDS",
    "OTHER_WORDS",
    "OVERRIDES",
    "PASSING_CALLS",
    "PASSING_METHODS",
    "kind_of_class",
    "kind_of_name",
]

# The first pattern that is found in the dotted name of a class (or of a function that makes one) counts.
_CLASSES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (
            "sharded",
            r"\bFullyShardedDataParallel$|\bFSDP(Module)?$|\bfully_shard$|\bDeepSpeedEngine$|^deepspeed\.",
        ),
        (
            "quantised",
            r"\bquantization\.\w+$|\bquantize(_\w+)?$|\b(prepare|convert)_(fx|qat|qat_fx)$|\bfuse_modules\w*$"
            r"|^bitsandbytes\.",
        ),
        ("scaler", r"[Ss]caler$|\bamp$"),
        ("scheduler", r"lr_scheduler\.\w+$|[Ss]cheduler$|(?<=[a-z])LR$|^transformers\.get_\w+_schedule"),
        (
            "optimizer",
            r"^torch\.optim\.\w+$|[Oo]ptimi[sz]er$|\b(Adam|AdamW|SGD|RMSprop|Lion|LARS|LAMB|Adafactor)$",
        ),
        ("sampler", r"(?<![Uu]p)(?<!own)[Ss]ampler$"),
        ("loader", r"[Dd]ata_?[Ll]oader$|[Dd]ataset$"),
        ("callback", r"[Cc]allback$"),
        ("module", r"^torch\.nn\.(?!functional|init|utils|parallel)(\w+\.)*[A-Z]\w*$"),
        ("module", r"\b(LightningModule|PreTrainedModel|ModelMixin)$|^transformers\.\w*Model\w*(\.\w+)?$"),
        ("module", r"^(torchvision\.models|timm\.models|timm\.create_model)\b|^torch\.hub\.load$"),
    )
)

OTHER_WORDS: Mapping[str, frozenset[str]] = {
    "optimizer": frozenset("optim optimizer optimizers optimiser opt opts adam adamw sgd".split()),
    "scheduler": frozenset("sched scheduler schedulers schedule".split()),
    "scaler": frozenset("scaler scalers gradscaler amp".split()),
    "sampler": frozenset("sampler samplers".split()),
    "loader": frozenset("loader loaders dataloader dataset datasets itr iterator".split()),
    "callback": frozenset("callback callbacks".split()),
}
"""Words in the names of objects that have a ``load_state_dict`` and hold no weights."""

MODULE_WORDS: frozenset[str] = frozenset(
    """
    model models module modules network networks backbone generator discriminator classifier
    actor critic policy agent teacher student vae gan vgg bert gpt vit clip
    head heads layer layers block blocks embed embedding embeddings embedder projection proj lora gen disc
    attn attention attentions conv norm linear mlp resnets upsamplers downsamplers
    """.split()
)
"""Words in the names of models."""

MODULE_ENDINGS = ("net", "nets", "coder", "former")
"""Ends of such words: ``controlnet``, ``autoencoder``."""

OVERRIDES = frozenset(
    """
    load_state_dict _load_from_state_dict set_extra_state state_dict _save_to_state_dict get_extra_state
    """.split()
)
"""Methods of a module that make a state dict other than its tensors by name."""

ANY_MODULES: frozenset[str] = frozenset(
    """
    Module LightningModule PreTrainedModel ModelMixin Model Sequential ModuleList ModuleDict
    """.split()
)
"""Classes whose objects need not be alike."""

CHILDREN_METHODS = frozenset({"children", "modules", "named_children", "named_modules"})
"""Methods of a module that yield modules."""

PASSING_METHODS: frozenset[str] = frozenset(
    """
    to cuda cpu eval train half float double bfloat16 requires_grad_ apply share_memory to_empty module
    """.split()
)
"""Methods of a module that return it."""

PASSING_CALLS = re.compile(
    r"(^|\.)(deepcopy|copy|compile|DataParallel|DistributedDataParallel|DDP|script|unwrap_model|unwrap|de_parallel|prepare"
    r"|setup_module|SyncBatchNorm\.convert_sync_batchnorm|convert_sync_batchnorm|data_parallel)$"
)
"""Functions that return their first argument, or a wrapper of it."""


def kind_of_class(dotted: str) -> str:
    """Return what the instances of a class are, by its dotted name; empty where the name does not tell.

    >>> kind_of_class("torch.nn.Linear"), kind_of_class("torch.optim.lr_scheduler.StepLR")
    ('module', 'scheduler')
    """
    return next((kind for kind, pattern in _CLASSES if pattern.search(dotted)), "")


def kind_of_name(name: str) -> str:
    """Return what an object is called: ``optimizer`` and the like, ``module``, or nothing.

    >>> kind_of_name("optimizer_c"), kind_of_name("netG"), kind_of_name("lrScheduler"), kind_of_name("ema")
    ('optimizer', 'module', 'scheduler', '')
    """
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    found = next((kind for kind, known in OTHER_WORDS.items() if words & known), "")
    is_module = words & MODULE_WORDS or any(word.endswith(MODULE_ENDINGS) for word in words)
    return found or ("module" if is_module else "")
