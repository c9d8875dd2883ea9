"""Run a PyTorch model and its port side by side: do they agree, and where do they part."""

from ml_switcheroo.verification.filling import filled
from ml_switcheroo.verification.settling import settle
from ml_switcheroo.verification.verdict import Difference, Layer, Output, Verification
from ml_switcheroo.verification.verifying import verify

__all__ = ["Difference", "Layer", "Output", "Verification", "filled", "settle", "verify"]
