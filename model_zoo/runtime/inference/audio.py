"""Sound: reading .wav files, and bringing samples to another rate."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def read_wav(data: bytes) -> tuple[Array, int]:
    """Return a PCM ``.wav`` file as float32 samples between -1 and 1, its channels averaged, and their rate.

    Raises:
        ValueError: it is not PCM audio of 8, 16, 24 or 32 bits per sample.
        EOFError: it ends too early.
    """
    try:
        with wave.open(io.BytesIO(data)) as audio:
            width, channels, rate = audio.getsampwidth(), audio.getnchannels(), audio.getframerate()
            frames = audio.readframes(audio.getnframes())
    except wave.Error as error:
        makes = "ffmpeg -i IN -c:a pcm_s16le OUT.wav makes some"
        raise ValueError(f"not sound as whole numbers of 8 to 32 bits ({error}); {makes}") from error
    if width == 1:
        samples = (np.frombuffer(frames, np.uint8).astype(np.float32) - 128) / 128
    elif width == 3:  # noqa: PLR2004 - bytes; widened to four by a zero below
        wide = np.zeros((len(frames) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(frames, np.uint8).reshape(-1, 3)
        samples = wide.reshape(-1).view("<i4").astype(np.float32) / 2**31
    else:
        samples = np.frombuffer(frames, f"<i{width}").astype(np.float32) / 2 ** (8 * width - 1)
    mixed: Array = samples.reshape(-1, channels).mean(axis=1)
    return mixed, rate


def resample(samples: Array, rate: int, wanted: int) -> Array:
    """Return sound at another rate; what the new rate cannot hold is cut off, not folded back."""
    if rate == wanted or not len(samples):
        return samples
    count = max(1, round(len(samples) * wanted / rate))
    spectrum = np.fft.rfft(samples)
    bins = np.zeros(count // 2 + 1, spectrum.dtype)
    kept = min(len(bins), len(spectrum))
    bins[:kept] = spectrum[:kept]
    return np.asarray(np.fft.irfft(bins, count) * (count / len(samples)), np.float32)
