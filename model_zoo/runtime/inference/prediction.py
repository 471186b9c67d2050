"""What a model found in one input: labels, boxes, masks, points, text, a vector, spans of time, outputs."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import numpy as np

from model_zoo.errors import MissingExtraError, UsageError
from model_zoo.files import as_cache_error, replacing
from model_zoo.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    import PIL.Image

    from model_zoo.runtime.inference.parts import Box, Keypoint, Label, Mask, Segment

Array: TypeAlias = np.ndarray[Any, Any]
_SHOWN = 3
_ROUND = 6


class TensorSummary(TypedDict, total=False):
    """What an output looks like; the last three only if it has numbers."""

    name: str
    shape: list[int]
    type: str
    min: float
    mean: float
    max: float


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model found in one input. What it does not give is empty, or None.

    Attributes:
        source: what the input is called: its file's name, else its kind.
        labels: classes of the whole input, best first.
        boxes: objects, best first; lines of text in reading order.
        masks: objects, or the classes of a segmentation, by pixel.
        keypoints: points of all objects; those of one are at its box.
        text: what was read, one line after another.
        score: how sure that is, on average.
        embedding: a vector that describes the input.
        segments: spans of time.
        outputs: the network's outputs by name, as they are.
        note: why there is nothing but outputs, where that is so.
        seconds: how long the network ran.
        picture: the input, (height, width, 3) uint8 RGB, if it was a picture.
    """

    source: str = "input"
    labels: list[Label] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    keypoints: list[Keypoint] = field(default_factory=list)
    text: str | None = None
    score: float | None = None
    embedding: Array | None = None
    segments: list[Segment] = field(default_factory=list)
    outputs: dict[str, Array] = field(default_factory=dict)
    note: str | None = None
    seconds: float = 0.0
    picture: Array | None = field(default=None, repr=False)
    found: str | None = None
    """What was looked for, in the plural: ``objects``; None where nothing was decoded."""

    def __str__(self) -> str:
        """Return what was found, in one sentence."""
        return f"{self.source}: {self._found()}"

    def __repr__(self) -> str:
        """Return the same sentence, marked as an object."""
        return f"<Prediction {self}>"

    def _found(self) -> str:
        if self.text is not None:
            return f"reads {self.text!r}" if self.text else "no text found"
        boxes = (f"{box.label} {box.score:.2f}" for box in self.boxes)
        spans = (f"{s.start:.2f} to {s.end:.2f} s {s.label} {s.score:.2f}" for s in self.segments)
        masks = (mask.label for mask in self.masks)
        kinds = (
            (len(self.labels), _listed(f"{one.name} {one.score:.2f}" for one in self.labels)),
            (len(self.boxes), f"{counted(len(self.boxes), 'box', 'boxes')}: {_listed(boxes)}"),
            (len(self.masks), f"{counted(len(self.masks), 'mask')}: {_listed(masks)}"),
            (len(self.keypoints), counted(len(self.keypoints), "point")),
            (len(self.segments), _listed(spans)),
        )
        for count, sentence in kinds:
            if count:
                return sentence
        if self.embedding is not None:
            return f"a vector of {counted(self.embedding.size, 'number')}"
        if self.found:
            return f"no {self.found} found"
        tensors = _listed(f"{name} {list(value.shape)}" for name, value in self.outputs.items())
        return f"outputs {tensors}" + (f"; {self.note}" if self.note else "")

    def to_dict(self) -> dict[str, object]:
        """Return everything but the numbers of the outputs, ready for JSON; what is empty is left out.

        A mask's pixels are run lengths as COCO writes them, by column, not compressed.
        """
        result: dict[str, object] = {"input": self.source, "seconds": round(self.seconds, _ROUND)}
        if self.picture is not None:
            height, width = self.picture.shape[:2]
            result["picture"] = {"width": width, "height": height}
        parts = {
            "labels": [_plain(one) for one in self.labels],
            "boxes": [_plain(one) for one in self.boxes],
            "masks": [_mask_dict(one) for one in self.masks],
            "keypoints": [_plain(one) for one in self.keypoints],
            "segments": [_plain(one) for one in self.segments],
        }
        asked = {"labels": "classes", "boxes": "objects", "segments": "speech"}
        result |= {name: part for name, part in parts.items() if part or asked.get(name, "") == self.found}
        if self.text is not None:
            result["text"] = self.text
        if self.score is not None:
            result["score"] = round(self.score, _ROUND)
        if self.embedding is not None:
            result["embedding"] = [round(float(value), _ROUND) for value in self.embedding]
        result["outputs"] = [summarize(name, value) for name, value in self.outputs.items()]
        if self.note:
            result["note"] = self.note
        return result

    def save(self, path: str | Path) -> Path:
        """Write the prediction; the suffix says what.

        Args:
            path: a picture (``.png``, ``.jpg``, …) gets the input with everything drawn that was found,
                ``.json`` what ``to_dict`` returns, ``.npz`` the raw outputs.

        Raises:
            UsageError: the suffix is none of these, or there is no picture to draw on.
            CacheError: the file cannot be written.
            MissingExtraError: drawing needs pillow, which is not installed.
        """
        target = Path(path)
        kind = target.suffix.lower()
        if kind == ".npz":
            buffer = io.BytesIO()
            np.savez(buffer, **self.outputs)  # type: ignore[arg-type]
            data = buffer.getvalue()
        elif kind == ".json":
            data = json.dumps(self.to_dict(), ensure_ascii=False, indent=2).encode() + b"\n"
        else:
            data = self._encoded(target)
        with as_cache_error(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as staged:
                staged.write_bytes(data)
        return target

    def _encoded(self, target: Path) -> bytes:
        try:
            from PIL import Image
        except ImportError as error:
            what = "drawing needs pillow, which is not installed"
            raise MissingExtraError(what, hint="pip install 'model-zoo[vision]'") from error
        kind = Image.registered_extensions().get(target.suffix.lower())
        if kind is None:
            what = f"{target.name} names no kind of file that a prediction is saved as"
            raise UsageError(what, hint="end it in .png or .jpg (drawn), .json or .npz (raw outputs)")
        drawn = self.draw()
        if drawn is None:
            what = f"{self.source} is no picture to draw on"
            raise UsageError(what, hint="save it as .json, or as .npz for the raw outputs")
        buffer = io.BytesIO()
        drawn.save(buffer, format=kind)
        return buffer.getvalue()

    def draw(self) -> PIL.Image.Image | None:
        """Return the input with everything drawn that was found; None if it was no picture."""
        if self.picture is None:
            return None
        from model_zoo.runtime.inference.draw import draw

        return draw(self.picture, self.boxes, self.masks, self.keypoints)

    def _repr_png_(self) -> bytes | None:
        """Return the drawn picture for notebooks, if there is something to see on it."""
        if self.picture is None or not (self.boxes or self.masks or self.keypoints):
            return None
        return self._encoded(Path("notebook.png"))

    def without_picture(self) -> Prediction:
        """Return the same without the input's pixels, for keeping many."""
        return replace(self, picture=None)


def summarize(name: str, value: Array) -> TensorSummary:
    """Return name, shape, type, and the smallest, mean and largest value if there are any."""
    entry: TensorSummary = {"name": name, "shape": list(value.shape), "type": str(value.dtype)}
    if value.size and value.dtype.kind in "fiub":
        wide = value.astype(np.float64)
        if np.isfinite(wide).all():
            entry |= {"min": float(wide.min()), "mean": float(wide.mean()), "max": float(wide.max())}
    return entry


def run_lengths(pixels: Array) -> list[int]:
    """Return the lengths of alternating runs of a mask, by column, beginning with those that are not set."""
    flat = np.asarray(pixels, bool).ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return [0, *lengths] if flat.size and flat[0] else lengths


def _listed(parts: Iterable[str]) -> str:
    """Return the first few parts, and how many there are besides."""
    known = list(parts)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(known[:_SHOWN]) + more


def _plain(thing: Label | Box | Keypoint | Segment) -> dict[str, Any]:
    """Return the fields that say something, floats rounded."""
    known: dict[str, Any] = {}
    for name, value in vars(thing).items():
        if value is None or value == () or (name == "name" and not value):
            continue
        if name == "keypoints":
            known[name] = [_plain(point) for point in value]
        elif name == "outline":
            known[name] = [[round(float(part), 1) for part in corner] for corner in value]
        else:
            known[name] = round(float(value), _ROUND) if isinstance(value, (float, np.floating)) else value
    return known


def _mask_dict(mask: Mask) -> dict[str, Any]:
    height, width = mask.pixels.shape
    entry: dict[str, Any] = {"id": mask.id, "label": mask.label, "area": int(mask.pixels.sum())}
    if mask.score is not None:
        entry["score"] = round(float(mask.score), _ROUND)
    return entry | {"size": [height, width], "counts": run_lengths(mask.pixels)}
