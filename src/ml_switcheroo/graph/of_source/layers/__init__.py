"""What each layer of torch.nn computes: rows, by its class."""

from __future__ import annotations

from ml_switcheroo.graph.of_source.layers.table import forward

__all__ = ["forward"]
