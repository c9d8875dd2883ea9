"""Complete models: each written once in PyTorch, and by hand in each framework as its users write it.

A framework is one module here with ``MODELS``: for each class of :mod:`models.pytorch` a function that makes
a :class:`parity.Port` from the torch inputs' shapes. The ports carry their framework's names and layouts, not
PyTorch's: what ``load_into`` has to find out by itself.
"""
