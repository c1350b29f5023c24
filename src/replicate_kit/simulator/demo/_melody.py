"""Tunes, as WAV files."""

from __future__ import annotations

import array
import io
import math
import random
import sys
import wave

__all__ = ["tune"]

_RATE = 22_050
_SCALES = ((0, 2, 4, 7, 9), (0, 3, 5, 7, 10), (0, 2, 5, 7, 9), (0, 2, 3, 7, 8))
_LOUDNESS = 9_000


def tune(seconds: float, tempo: int, chance: random.Random) -> bytes:
    """Write a melody over a bass: mono, 16 bits, 22 050 samples a second."""
    samples = array.array("h", bytes(2 * int(seconds * _RATE)))
    scale, root = chance.choice(_SCALES), chance.randint(52, 62)
    half_beat = 30 / tempo
    step = 0
    for step in range(int(seconds / half_beat) + 1):
        step = max(0, min(2 * len(scale), step + chance.choice((-2, -1, -1, 0, 1, 1, 2))))
        octave, degree = divmod(step, len(scale))
        begin = int(step * half_beat * _RATE)
        _strike(samples, begin, root + 12 * octave + scale[degree], 2.2 * half_beat, _LOUDNESS)
        if step % 4 == 0:
            _strike(samples, begin, root - 12 + scale[chance.randrange(2) * 3], 4 * half_beat, _LOUDNESS)
    return _file(samples)


def _strike(samples: array.array[int], begin: int, key: int, seconds: float, loudness: int) -> None:
    """Add a note that fades: its tone and an overtone."""
    angle = 2 * math.pi * 440 * 2 ** ((key - 69) / 12) / _RATE
    end = min(len(samples), begin + int(seconds * _RATE))
    sin, exp = math.sin, math.exp
    fade = 4 / (seconds * _RATE)
    for at in range(begin, end):
        since = at - begin
        attack = since / 200 if since < 200 else 1.0
        tone = sin(angle * since) + 0.35 * sin(2 * angle * since)
        value = samples[at] + int(loudness * attack * exp(-fade * since) * tone)
        samples[at] = max(-32_768, min(32_767, value))


def _file(samples: array.array[int]) -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()
