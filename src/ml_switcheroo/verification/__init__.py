"""A PyTorch model and its port, run on one input or read: do they agree, and where do they part."""

from ml_switcheroo.verification.experiment import Experiment, settle, verify
from ml_switcheroo.verification.filling import filled
from ml_switcheroo.verification.programs import Comparison, compare
from ml_switcheroo.verification.verdict import Difference, Layer, Output, Verification

__all__ = [
    "Comparison",
    "Difference",
    "Experiment",
    "Layer",
    "Output",
    "Verification",
    "compare",
    "filled",
    "settle",
    "verify",
]
