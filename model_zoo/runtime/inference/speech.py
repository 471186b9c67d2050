"""Speech activity: a recurrent network that hears a sound slice by slice (Silero's detector)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_zoo.errors import InputError
from model_zoo.runtime.inference.audio import resample
from model_zoo.runtime.inference.feeds import sample_rate
from model_zoo.runtime.inference.items import Audio, Tensors, as_samples
from model_zoo.runtime.inference.parts import Segment
from model_zoo.runtime.inference.plain import Plain
from model_zoo.runtime.inference.prediction import Prediction

if TYPE_CHECKING:
    from model_zoo.runtime.inference.decode.scene import Array
    from model_zoo.runtime.inference.items import Item
    from model_zoo.runtime.inference.plain import Steps

_RATE = 16_000
_SLICES = {16_000: 512, 8_000: 256}
"""New samples of a slice, by rate; before them come the last eighth as many of the slice before."""
_HYSTERESIS, _GAP, _SHORTEST = 0.15, 0.1, 0.25
"""How far below the threshold speech goes on; seconds of silence that end it; seconds that count."""


class Speech(Plain):
    """Runs over a whole sound, each slice with the state that the one before left."""

    def run(self, item: Item | None) -> Steps:
        """Answer one sound."""
        if not isinstance(item, (Audio, Tensors)) or not _is_sound(item):
            return (yield from super().run(item))
        port = self.ports[0]
        rate = sample_rate(port, self.info) or _RATE
        samples = _samples(item, rate)
        if not len(samples):
            what = f"{item.name} does not fit the inputs of this network"
            raise InputError(what, found="sound without a single sample", hint="give a longer sound")
        new = _SLICES[rate] if rate in _SLICES else _SLICES[_RATE]
        context = new // 8
        states = {p.name: np.zeros(p.example_shape, p.dtype) for p in self.ports[1:] if p.is_state}
        others = {p.name: np.full(p.example_shape, rate, p.dtype) for p in self.ports[1:] if not p.is_state}
        padded = np.zeros(context + -(-len(samples) // new) * new, np.float32)
        padded[context : context + len(samples)] = samples
        chances = []
        for start in range(0, len(padded) - context, new):
            arrays = {port.name: padded[None, start : start + context + new].astype(port.dtype)}
            results = yield arrays | states | others
            outputs = dict(zip(self.names, results, strict=True))
            chance = next(value for value in outputs.values() if value.size == 1)
            states = {name: self._returned(name, outputs) for name in states}
            chances.append(float(chance.reshape(-1)[0]))
        found = spans(np.array(chances), new / rate, self.scene.least("threshold", 0.5))
        end = len(samples) / rate
        segments = [Segment(s.start, min(s.end, end), s.label, s.score) for s in found]
        curve = np.array(chances, np.float32)
        return Prediction(source=item.name, segments=segments, outputs={"speech": curve}, found="speech")

    def _returned(self, name: str, outputs: dict[str, Array]) -> Array:
        """Return a state's next value: the output whose name begins with the state's."""
        return next(value for key, value in outputs.items() if key.casefold().startswith(name.casefold()))


def spans(chances: Array, step: float, threshold: float) -> list[Segment]:
    """Return when somebody speaks.

    Args:
        chances: the probability of speech in each slice.
        step: seconds of a slice.
        threshold: where speech begins; it goes on until it was lower, by 0.15, for a tenth of a second. Spans
            shorter than a quarter of a second do not count.
    """
    found, begin, quiet = [], None, 0
    limit = max(1, round(_GAP / step))
    for index, chance in enumerate([*chances, *[0.0] * limit]):
        if chance >= threshold:
            begin = index if begin is None else begin
            quiet = 0
        elif begin is not None and chance < threshold - _HYSTERESIS:
            quiet += 1
            if quiet >= limit:
                found.append((begin, index - quiet + 1))
                begin, quiet = None, 0
    return [
        Segment(start * step, end * step, "speech", float(chances[start:end].mean()))
        for start, end in found
        if (end - start) * step >= _SHORTEST
    ]


def _is_sound(item: Audio | Tensors) -> bool:
    if isinstance(item, Audio):
        return True
    only = item.arrays.get(None)
    return only is not None and only.ndim == 1


def _samples(item: Audio | Tensors, rate: int) -> Array:
    if isinstance(item, Audio):
        return resample(item.samples, item.rate or rate, rate)
    return as_samples(item.arrays[None])
