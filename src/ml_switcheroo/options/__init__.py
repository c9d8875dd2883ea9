"""What can become of one module: its tensors gathered into slots, and the moves of a recipe made for them."""

from ml_switcheroo.options.option import Locate, Option, option_for

__all__ = ["Locate", "Option", "option_for"]
