"""Tell what an object is from the assignments in its file: a module, or what no weights go into."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ml_switcheroo.core.sites import Site

__all__ = ["OTHERS", "receiver_kind", "why_left"]

# What else of PyTorch has a load_state_dict, by the words of the names people give such objects.
OTHERS = {
    "optimizer": ("optim", "optimizer", "optimizers", "optimiser", "opt", "adam", "adamw", "sgd"),
    "scheduler": ("sched", "scheduler", "schedulers", "lr_scheduler"),
    "scaler": ("scaler", "gradscaler", "loss_scaler", "amp", "grad_scaler"),
    "sampler": ("sampler",),
    "loader": ("loader", "dataloader", "dataset"),
}
_OWNERS = {
    "optimizer": re.compile(r"\boptim\.|[Oo]ptimi[sz]er|\bAdamW?\b|\bSGD\b"),
    "scheduler": re.compile(r"lr_scheduler|[Ss]chedule"),
    "scaler": re.compile(r"[Ss]caler\b|\bamp\b"),
    "sampler": re.compile(r"[Ss]ampler"),
    "loader": re.compile(r"[Ll]oader|[Dd]ataset"),
}


def receiver_kind(receiver: ast.expr, tree: ast.Module) -> str:
    """Return a key of :data:`OTHERS` for what is known or called to be one, else an empty string."""
    text = ast.unparse(receiver)
    for value in _assigned(text, tree):
        called = ast.unparse(value.func) if isinstance(value, ast.Call) else ""
        for kind, pattern in _OWNERS.items():
            if pattern.search(called):
                return kind
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text.rpartition(".")[2]).lower())
    return next((kind for kind, names in OTHERS.items() if set(words) & set(names)), "")


def _assigned(name: str, tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            yield from (node.value for target in targets if target and ast.unparse(target) == name)


_ARTICLE = {"optimizer": "an"}


def why_left(site: Site, kind: str) -> str:
    """Return why a call must stay as it is; empty where it can be rewritten."""
    receiver = ast.unparse(site.receiver)
    if kind:
        return f"{receiver} looks like {_ARTICLE.get(kind, 'a')} {kind}, which holds no weights"
    if receiver.startswith("super("):
        return "the call belongs to a load_state_dict of its own class"
    if receiver == "self":
        return "the class of self may be no model"
    if receiver.endswith("nn.Module") or receiver == "Module":
        return "the method is called on the class, not on a model"
    return ""
