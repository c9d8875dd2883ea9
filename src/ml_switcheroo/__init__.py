"""Move a PyTorch model's weights, and the code that loads them, to another framework."""

__version__ = "0.1.0"
