"""Models of demucs for ``benchmarks/static.py``: copy this file to its root."""

from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs


def first():
    return Demucs(["a", "b"])


def hybrid():
    return HDemucs(["a", "b"])


def transformer():
    return HTDemucs(["a", "b"])
