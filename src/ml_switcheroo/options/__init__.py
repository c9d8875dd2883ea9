"""What can become of one module: its tensors gathered into slots, and the moves of a recipe made for them."""

from ml_switcheroo.options.option import Option, Place, option_for

__all__ = ["Option", "Place", "option_for"]
