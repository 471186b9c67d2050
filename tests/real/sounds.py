"""Sounds: a telephone conversation of two women, 30 seconds of it with a transcript, and tones made here.

The conversation comes with the wheel of pyannote.audio.
"""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

import numpy as np

from tests.real.case import Arrays, Case, Member, Outputs, module_of

if TYPE_CHECKING:
    from collections.abc import Callable

RATE = 16000
PYANNOTE, PIPECAT = "pyannote.audio==4.0.7", "pipecat-ai==1.14.0"
FEATURES = "pipecat/audio/turn/smart_turn/_whisper_features.py"
DIANE = ((10.8, 12.4), (12.55, 14.15), (19.8, 21.4))
"""When one woman speaks, for 1.6 seconds each, according to the transcript."""
SHEILA = ((14.6, 16.2), (22.0, 23.6), (24.1, 25.7))


def conversation(member: Member, start: float, end: float) -> np.ndarray:
    """Return a part of the telephone conversation, in seconds."""
    with wave.open(str(member(PYANNOTE, "pyannote/audio/sample/sample.wav"))) as sound:
        assert sound.getframerate() == RATE
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
    return samples[round(start * RATE) : round(end * RATE)].astype(np.float32) / 32768


def with_noise(speech: np.ndarray, decibels: float) -> np.ndarray:
    """Return speech with white noise that many decibels below it."""
    noise = np.random.default_rng(3).standard_normal(len(speech)).astype(np.float32)
    level = np.sqrt((speech**2).mean()) * 10 ** (-decibels / 20)
    return np.clip(speech + level * noise, -1, 1).astype(np.float32)


def spectrum(sound: np.ndarray, window: int, hop: int, bins: int) -> np.ndarray:
    """Return the complex spectrum under the square root of a Hann window: frames, frequencies."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, window)[::hop]
    return np.fft.rfft(frames * np.sqrt(np.hanning(window + 1)[:-1]), n=2 * (bins - 1))


def mel_power(member: Member, sound: np.ndarray, window: int, bands: int) -> np.ndarray:
    """Return a mel spectrogram as librosa makes it: frames of 10 ms, bands."""
    mel = module_of(member, PIPECAT, FEATURES)
    padded = np.pad(sound, window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::160]
    power = np.abs(np.fft.rfft(frames * np.hanning(window + 1)[:-1])) ** 2
    top = (window // 2) / window * RATE
    return (power @ mel._build_mel_filterbank(power.shape[1], bands, 0.0, top, 2 * top)).astype(np.float32)


def _tones(member: Member) -> Arrays:
    """One second at 220 Hz, one at 330 Hz, with overtones, as a string would sound."""
    time = np.arange(RATE) / RATE
    tones = [sum(np.sin(2 * np.pi * n * pitch * time) / n for n in range(1, 9)) for pitch in (220, 330)]
    limits = {"fmin": np.array(46.875, np.float32), "fmax": np.array(2093.75, np.float32)}
    return {"audio": (np.concatenate(tones) * 0.2).astype(np.float32)[None], **limits}


def _tones_found(outputs: Outputs, member: Member) -> None:
    pitch, confidence = _steady(outputs)
    assert np.abs(pitch / np.repeat([220, 330], len(pitch) // 2) - 1).max() < 0.01
    assert confidence.min() > 0.9


def _steady(outputs: Outputs) -> Outputs:
    """Leave out the frames around the ends of the tones: no pitch is right there, and none is sure."""
    second = RATE // 256
    frames = np.r_[10 : second - 10, second + 10 : 2 * second - 10]
    return [output[0, frames] for output in outputs]


def _rated(member: Member) -> Arrays:
    """One woman's speech as it is, with some noise, and with much."""
    speech = np.resize(conversation(member, 21.9, 28.4), 144160)
    return {"input_1": np.stack([speech, with_noise(speech, 15), with_noise(speech, 0)])}


def _rated_less_with_noise(outputs: Outputs, member: Member) -> None:
    _, background, overall = outputs[0].T
    assert background[0] > background[1] + 0.4 > background[2] + 0.8
    assert overall[0] > overall[1] + 0.2 > overall[2] + 0.4


def _rated_mels(member: Member) -> Arrays:
    mels = []
    for sound in _rated(member)["input_1"]:
        power = mel_power(member, sound[:-160], 321, 120)
        decibels = 10 * np.log10(np.maximum(power, 1e-10) / power.max())
        mels.append((np.maximum(decibels, -80) + 40) / 40)
    return {"input_1": np.stack(mels)[:, :900].astype(np.float32)}


def _mels_rated_less_with_noise(outputs: Outputs, member: Member) -> None:
    rating = outputs[0][:, 0]
    assert 5 > rating[0] > rating[1] > rating[2] > 1
    assert rating[0] - rating[2] > 0.5


def _noisy(rate: int) -> tuple[int, int, int]:
    """Return window, hop and frequencies."""
    return (320, 160, 161) if rate == RATE else (960, 512, 513)


def _clean_speech(member: Member, rate: int) -> np.ndarray:
    """A second of silence, then speech."""
    speech = np.concatenate([np.zeros(RATE, np.float32), conversation(member, 12.55, 17.9)])
    times = np.arange(len(speech) * rate // RATE) * RATE / rate
    return np.interp(times, np.arange(len(speech)), speech).astype(np.float32)


def _noisy_speech(rate: int) -> Callable[[Member], Arrays]:
    def feed(member: Member) -> Arrays:
        window, hop, bins = _noisy(rate)
        found = spectrum(with_noise(_clean_speech(member, rate), 5), window, hop, bins)
        power = np.log10(np.maximum(np.abs(found) ** 2, 1e-12))
        return {"input": power.astype(np.float32)[None]}

    return feed


def _noise_taken_out(rate: int) -> Callable[[Outputs, Member], None]:
    def check(outputs: Outputs, member: Member) -> None:
        window, hop, bins = _noisy(rate)
        clean = _clean_speech(member, rate)
        truth = spectrum(clean, window, hop, bins)
        noisy = spectrum(with_noise(clean, 5), window, hop, bins)
        gain = outputs[0][0]
        silence = rate // hop - window // hop - 1
        assert gain[:silence].mean() < 0.15  # the network needs some frames to begin with
        before = (np.abs(noisy - truth) ** 2).sum()
        after = (np.abs(gain * noisy - truth) ** 2).sum()
        assert 10 * np.log10(before / after) > 3  # decibels by which the speech stands out more

    return check


def _turns(member: Member) -> Arrays:
    """ "And I'm Sheila in Texas, originally from Chicago." as a whole, and broken off after "Texas, or"."""
    whisper = module_of(member, PIPECAT, FEATURES)
    rows = []
    for end in (17.92, 16.5):
        speech = conversation(member, 14.49, end)
        rows.append(whisper.compute_whisper_log_mel_features(np.pad(speech, (8 * RATE - len(speech), 0))))
    return {"input_features": np.stack(rows)}


def _turn_over_and_not_over(outputs: Outputs, member: Member) -> None:
    over, broken_off = outputs[0][:, 0]
    assert over > 0.9
    assert broken_off < 0.1


def _voices(member: Member) -> Arrays:
    parts = [conversation(member, *times) for times in (*DIANE, *SHEILA)]
    loud = [part * 10 ** (-30 / 20) / np.sqrt((part**2).mean()) for part in parts]
    return {"mels": np.stack([mel_power(member, part, 400, 40)[:160] for part in loud])}


def _voices_told_apart(outputs: Outputs, member: Member) -> None:
    voices = outputs[0]
    np.testing.assert_allclose(np.linalg.norm(voices, axis=1), 1, atol=1e-3)
    alike = voices @ voices.T
    same = [alike[i, j] for block in (0, 3) for i in range(block, block + 3) for j in range(i + 1, block + 3)]
    other = alike[:3, 3:]
    assert min(same) > other.max() + 0.05


SOUNDS = {
    "swift-f0": Case(_tones, _tones_found, _steady),
    "dnsmos-p835": Case(_rated, _rated_less_with_noise),
    "dnsmos-p835-personalized": Case(_rated, _rated_less_with_noise),
    "dnsmos-p808": Case(_rated_mels, _mels_rated_less_with_noise),
    "nsnet2-16k": Case(_noisy_speech(RATE), _noise_taken_out(RATE)),
    "nsnet2-48k": Case(_noisy_speech(48000), _noise_taken_out(48000)),
    "smart-turn-v3.2": Case(_turns, _turn_over_and_not_over),
    "resemblyzer-voice-encoder": Case(_voices, _voices_told_apart),
}
