"""Draw what TensorFlow traces."""

from ml_switcheroo.graph.of_tensorflow.drawing import draw_tensorflow

__all__ = ["draw_tensorflow"]
