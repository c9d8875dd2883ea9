"""timm, torchvision and transformers: the first two are installed without what they ask for."""

import importlib
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
torchvision = runpy.run_path(str(ROOT / "benchmarks" / "static.py"))["import_torchvision"]()
timm = importlib.import_module("timm")  # needs torchvision's own operators to be there
transformers = importlib.import_module("transformers")
