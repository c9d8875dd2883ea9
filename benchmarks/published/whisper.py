"""Models of whisper for ``benchmarks/static.py``: copy this file to its root."""

from whisper.model import ModelDimensions, Whisper


def tiny():
    return Whisper(ModelDimensions(80, 1500, 64, 4, 2, 500, 448, 64, 4, 2))
