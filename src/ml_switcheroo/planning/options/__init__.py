"""What can become of one module: an :class:`Option` is its moves under one finding.

``gather`` puts the module's tensors into the slots of the kind, and ``moving`` makes one move of each part of
the recipe (``flattened``, ``kept_norms``: what else it must do to them). All that is left is dropped or
refused with a reason.
"""

from ml_switcheroo.planning.options.option import Locate, Option, option_for

__all__ = ["Locate", "Option", "option_for"]
