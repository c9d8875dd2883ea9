"""Run a PyTorch model and its port side by side: do they agree, and where do they part."""

from ml_switcheroo.verification.experiment import Experiment, settle, verify
from ml_switcheroo.verification.filling import filled
from ml_switcheroo.verification.verdict import Difference, Layer, Output, Verification

__all__ = ["Difference", "Experiment", "Layer", "Output", "Verification", "filled", "settle", "verify"]
