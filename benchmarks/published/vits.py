"""Models of vits for ``benchmarks/static.py``: copy this file to its root."""

from models import MultiPeriodDiscriminator, SynthesizerTrn

_SIZES = (100, 513, 32, 192, 192, 768, 2, 6, 3, 0.1)
_RATES = ([3, 7, 11], [[1, 3, 5]] * 3, [8, 8, 2, 2], 512, [16, 16, 4, 4])


def one_voice():
    return SynthesizerTrn(*_SIZES, "1", *_RATES)


def voices():
    return SynthesizerTrn(*_SIZES, "2", *_RATES, n_speakers=10, gin_channels=256, use_sdp=False)


def discriminator():
    return MultiPeriodDiscriminator()
