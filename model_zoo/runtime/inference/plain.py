"""Running a network as it is, and decoding its outputs in NumPy where the catalog entry says how."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from model_zoo.errors import InputError
from model_zoo.formats.ports import port_name
from model_zoo.runtime.inference.decode import DECODERS
from model_zoo.runtime.inference.decode.classes import decode_classes, score_vector
from model_zoo.runtime.inference.feeds import make_feed
from model_zoo.runtime.inference.items import Picture
from model_zoo.runtime.inference.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from model_zoo.runtime.inference.decode.scene import Array, Decoder, Scene
    from model_zoo.runtime.inference.items import Item
    from model_zoo.runtime.inference.ports import InputPort
    from model_zoo.schema import Model

Arrays: TypeAlias = "dict[str, Array]"
Steps: TypeAlias = "Generator[Arrays, list[Array], Prediction]"
"""What answers one input: yields the arrays of each inference, gets its outputs, returns a prediction."""


UNKNOWN = "as the network gives them: the catalog entry does not say how to decode them"

ZEROS = "of zeros, in which there is nothing to find"


class Plain:
    """Feeds a network what it takes, and decodes in NumPy.

    Args:
        names: of the outputs, in order.
        ports: the inputs.
        info: ``model_info`` of the IR.
        entry: the catalog entry; None for a network nobody has described.
        scene: labels, parameters and wishes, for the decoder.
        note: why nothing is decoded, where that is so.
    """

    def __init__(
        self,
        names: Sequence[str],
        ports: Sequence[InputPort],
        info: Mapping[str, str],
        entry: Model | None,
        scene: Scene,
        note: str | None = None,
    ) -> None:
        self.names = tuple(names)
        self.ports = tuple(ports)
        self.info = dict(info)
        self.entry = entry
        self.scene = scene
        decode = entry.decode if entry is not None else None
        self.decoder: Decoder | None = DECODERS.get(decode.type) if decode is not None else None
        self.note = note
        self.raw = any(port.kind == "file" for port in ports)

    def run(self, item: Item | None) -> Steps:
        """Answer one input; None is zeros, of which nothing is decoded."""
        feed = make_feed(item, self.ports, self.info, self.entry)
        results: list[list[Array]] = []
        for window in feed.windows:
            values = yield window
            results.append(values)
        outputs = dict(zip(self.names, _joined(results), strict=True))
        return self.answer(item, outputs, replace(self.scene, fit=feed.fit))

    def answer(self, item: Item | None, outputs: Mapping[str, Array], scene: Scene) -> Prediction:
        """Return what the outputs mean.

        Raises:
            InputError: they are not what the catalog entry says.
        """
        if item is None:
            return Prediction(source="zeros", outputs=dict(outputs), note=ZEROS)
        decoder, found = self.decoder, Prediction(note=self.note)
        if decoder is None and self.note is None:
            if scene.labels and score_vector(outputs, len(scene.labels)) is not None:
                decoder = decode_classes
            else:
                found = Prediction(note=UNKNOWN)
        if decoder is not None:
            try:
                found = decoder(outputs, scene)
            except ValueError as error:
                name = self.entry.name if self.entry is not None else "the network"
                what = f"the outputs for {item.name} cannot be decoded as the catalog entry of {name} says"
                raise InputError(what, found=str(error), hint="correct decode in the entry") from error
        picture = item.pixels if isinstance(item, Picture) else None
        return replace(found, source=item.name, outputs=dict(outputs), picture=picture)


def output_names(model: object) -> list[str]:
    """Return the names of a network's outputs, in order."""
    return [port_name(port) for port in model.outputs]  # type: ignore[attr-defined]


def _joined(results: list[list[Array]]) -> list[Array]:
    """Return the outputs of several windows as one, along the first dimension."""
    if len(results) == 1:
        return results[0]
    return [
        np.concatenate(parts) if parts[0].ndim else np.stack(parts) for parts in zip(*results, strict=True)
    ]
