"""Draw what JAX traces."""

from ml_switcheroo.graph.of_jax.drawing import draw_jax

__all__ = ["draw_jax"]
