"""Draw what MLX traces."""

from ml_switcheroo.graph.of_mlx.drawing import draw_mlx

__all__ = ["draw_mlx"]
