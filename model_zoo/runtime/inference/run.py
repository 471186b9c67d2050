"""Run a compiled model on inputs, several at a time, interpret the outputs, and draw what was found."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from model_zoo.errors import LoadError
from model_zoo.files import as_cache_error, replacing
from model_zoo.formats.ports import open_image, port_name
from model_zoo.runtime.core import reason
from model_zoo.runtime.inference import outputs
from model_zoo.runtime.inference.inputs import Feed, input_ports, read_feeds
from model_zoo.runtime.inference.outputs import colours

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import openvino
    import PIL.Image

    from model_zoo.formats.ports import Array
    from model_zoo.runtime.inference.outputs import Box

_log = logging.getLogger(__name__)


class Result(TypedDict, total=False):
    """One inference; ``top`` and ``boxes`` where they apply, ``saved`` the paths of written files."""

    input: str
    seconds: float
    outputs: list[outputs.TensorSummary]
    top: list[outputs.TopClass]
    boxes: list[outputs.Box]
    saved: list[str]


def infer(
    compiled: openvino.CompiledModel,
    inputs: Sequence[str | Path] = (),
    info: Mapping[str, str] | None = None,
    *,
    top: int = 5,
    save: Path | None = None,
) -> Iterator[Result]:
    """Yield one result for each inference, in order; several run at once.

    Inputs are images, ``.npy``, ``.npz`` or ``.wav`` files, or raw bytes; none means one inference on zeros.
    ``info`` is ``model_info`` as text, ``top`` how many classes of a classification to return, and ``save`` a
    directory for the outputs as ``.npz``, and for images with boxes or masks.

    Raises:
        UsageError: an input does not exist.
        LoadError: an input does not fit the network, or the network fails on it.
        CacheError: ``save`` cannot be written.
    """
    known = dict(info or {})
    ports = input_ports(compiled)
    names = [port_name(port) for port in compiled.outputs]
    sources: Sequence[str | Path | None] = list(inputs) or [None]
    feeds = (feed for source in sources for feed in read_feeds(source, ports, known))
    for feed, seconds, values in _stream(compiled, feeds, [port.name for port in ports]):
        found = dict(zip(names, values, strict=True))
        yield _result(feed, seconds, found, known, top=top, save=save)


def _stream(
    compiled: openvino.CompiledModel, feeds: Iterator[Feed], order: list[str]
) -> Iterator[tuple[Feed, float, list[Array]]]:
    """Keep as many requests in flight as suit the device; yield the results in order."""
    count = max(1, int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))
    _log.debug("%d inference requests in parallel", count)
    idle = [compiled.create_infer_request() for _ in range(count)]
    running: list[tuple[openvino.InferRequest, Feed]] = []
    for feed in feeds:
        if not idle:
            yield _finish(running, idle)
        request = idle.pop()
        try:
            request.start_async([feed.arrays[name] for name in order])
        except RuntimeError as error:
            raise _failed(feed, error) from error
        running.append((request, feed))
    while running:
        yield _finish(running, idle)


def _finish(
    running: list[tuple[openvino.InferRequest, Feed]], idle: list[openvino.InferRequest]
) -> tuple[Feed, float, list[Array]]:
    request, feed = running.pop(0)
    try:
        request.wait()
        seconds = request.latency / 1000
        values = [tensor.data.copy() for tensor in request.output_tensors]
    except RuntimeError as error:
        raise _failed(feed, error) from error
    idle.append(request)
    return feed, seconds, values


def _failed(feed: Feed, error: Exception) -> LoadError:
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feed.arrays.items())
    return LoadError(
        f"the network failed on {feed.source}",
        expected=f"it accepts the inputs {shapes}",
        found=reason(error),
        hint="try another input",
    )


def _result(
    feed: Feed, seconds: float, found: dict[str, Array], info: dict[str, str], *, top: int, save: Path | None
) -> Result:
    result: Result = {
        "input": feed.source,
        "seconds": round(seconds, 6),
        "outputs": [outputs.summarize(name, value) for name, value in found.items()],
    }
    scores = outputs.class_scores(found, info)
    if scores is not None:
        result["top"] = outputs.top_classes(scores, top, outputs.labels_of(info))
    detected = _boxes(feed, found, info) if feed.image else None
    if detected is not None:
        result["boxes"] = detected
    if save is not None:
        with as_cache_error(save):
            result["saved"] = [str(path) for path in _save(feed, found, info, detected, save)]
    return result


def _boxes(feed: Feed, found: dict[str, Array], info: dict[str, str]) -> list[outputs.Box] | None:
    assert feed.image is not None  # noqa: S101 - checked by the caller
    with open_image(feed.image) as opened:
        size = opened.size
    return outputs.find_boxes(found, info, image=size, network=feed.network_size)


def _save(
    feed: Feed,
    found: dict[str, Array],
    info: dict[str, str],
    detected: list[outputs.Box] | None,
    directory: Path,
) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    stem = feed.source.replace("[", "-").rstrip("]")
    written = [directory / f"{stem}.npz"]
    with replacing(written[0]) as staged, staged.open("wb") as stream:
        np.savez(stream, **found)  # type: ignore[arg-type]
    if feed.image is None:
        return written
    target = directory / f"{stem}.found.png"
    mask = outputs.segmentation_mask(found, info)
    if detected is not None:
        draw_boxes(feed.image, detected, target)
    elif mask is not None:
        draw_mask(feed.image, mask, target)
    else:
        return written
    return [*written, target]


def draw_boxes(source: Path, boxes: Sequence[Box], target: Path) -> None:
    """Write the image with each box, its label and its score."""
    from PIL import ImageDraw

    with open_image(source) as opened:
        image = opened.convert("RGB")
    canvas = ImageDraw.Draw(image)
    palette = colours(1 + max((box["index"] for box in boxes), default=0))
    thickness = max(2, round(max(image.size) / 300))
    for box in reversed(boxes):
        colour = palette[max(0, box["index"])]
        x0, y0, x1, y1 = box["box"]
        canvas.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=thickness)
        text = f"{box['label']} {box['score']:.2f}"
        left, upper, right, lower = canvas.textbbox((x0, max(0, y0 - 12)), text)
        canvas.rectangle((left - 1, upper - 1, right + 1, lower + 1), fill=colour)
        canvas.text((x0, max(0, y0 - 12)), text, fill=(0, 0, 0))
    _save_image(image, target)


def draw_mask(source: Path, mask: Array, target: Path) -> None:
    """Write the image with each class in a colour of its own, the first (the background) excepted."""
    from PIL import Image

    with open_image(source) as opened:
        image = opened.convert("RGB")
    palette = np.array([(0, 0, 0), *colours(int(mask.max(initial=0)))], np.uint8)
    layer = Image.fromarray(palette[mask]).resize(image.size, Image.Resampling.NEAREST)
    shape = Image.fromarray(np.where(mask > 0, 140, 0).astype(np.uint8))
    image.paste(layer, (0, 0), shape.resize(image.size, Image.Resampling.NEAREST))
    _save_image(image, target)


def _save_image(image: PIL.Image.Image, target: Path) -> None:
    """Write an image whole or not at all; a link in its place is replaced, not followed."""
    from PIL import Image

    kind = Image.registered_extensions().get(target.suffix.lower())
    with replacing(target) as staged, staged.open("wb") as stream:
        image.save(stream, format=kind)
