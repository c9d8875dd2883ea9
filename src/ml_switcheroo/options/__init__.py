"""What can become of one module, and by what it is placed in the target.

An :class:`Option` is the moves of a module under one finding: ``gather`` puts its tensors into the slots of
the kind, and ``moving`` makes one move of each part of the recipe (``flattened``, ``kept_norms``: what else
it must do to them). All that is left is dropped or refused with a reason. Stages say where the leaves are:

1. ``by_name``: the leaf is spelled as the name says. Decides wherever kind and name leave one option.
2. ``by_structure``: asks :mod:`ml_switcheroo.match` about the rest, and about each matrix with equal sizes.
3. ``by_exclusion``: modules that are left go to the ``sites`` that nothing else fits, if ``vouching`` agrees.

Then ``ties`` joins tensors that are one, ``kernels`` doubts square kernels of a tree that keeps others
otherwise, and ``uses`` adds what ``forward`` does to a parameter.
"""

from ml_switcheroo.options.option import Locate, Option, option_for

__all__ = ["Locate", "Option", "option_for"]
