"""Ports in NNX of models that nobody here wrote, whose paths say nothing."""
