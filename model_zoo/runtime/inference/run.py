"""Run a compiled model over inputs, several at a time, and say what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model_zoo.errors import LoadError
from model_zoo.files import as_cache_error
from model_zoo.runtime.inference import boxes, draw, outputs
from model_zoo.runtime.inference.inputs import Feed, feeds_of, name_of, ports_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Result = dict[str, Any]


def infer(
    compiled: Any,  # noqa: ANN401 - openvino has no types here
    inputs: Sequence[str | Path] = (),
    info: Mapping[str, str] | None = None,
    *,
    top: int = 5,
    save: Path | None = None,
) -> Iterator[Result]:
    """Yield one result for each inference, in order; several run at once.

    Args:
        compiled: the compiled model.
        inputs: pictures, ``.npy``, ``.npz`` or ``.wav`` files, raw bytes; none means one inference on zeros.
        info: ``model_info`` as text, see ``model_zoo.runtime.model_info``.
        top: how many classes of a classification.
        save: a folder for the outputs as ``.npz``, and for pictures with boxes or masks.

    Yields:
        ``input``, ``seconds``, ``outputs`` (name, shape, type, min, mean, max of each), where they apply
        ``top`` (index, label, score) and ``boxes`` (index, label, score, box), and ``saved`` paths.

    Raises:
        UsageError: an input does not exist.
        LoadError: an input does not fit the network, or the network fails on it.
        CacheError: ``save`` cannot be written.
    """
    known = dict(info or {})
    ports = ports_of(compiled)
    names = [name_of(port) for port in compiled.outputs]
    every: Sequence[str | Path | None] = list(inputs) or [None]
    feeds = (feed for source in every for feed in feeds_of(source, ports, known))
    for feed, seconds, values in _stream(compiled, feeds, [port.name for port in ports]):
        found = dict(zip(names, values, strict=True))
        yield _result(feed, seconds, found, known, top=top, save=save)


def _stream(
    compiled: Any,  # noqa: ANN401
    feeds: Iterator[Feed],
    order: list[str],
) -> Iterator[tuple[Feed, float, list[np.ndarray[Any, Any]]]]:
    """Keep as many requests in flight as the device likes; give results back in order."""
    count = max(1, int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))
    idle = [compiled.create_infer_request() for _ in range(count)]
    waiting: list[tuple[Any, Feed]] = []
    for feed in feeds:
        if not idle:
            yield _finish(waiting, idle)
        request = idle.pop()
        try:
            request.start_async([feed.arrays[name] for name in order])
        except RuntimeError as error:
            raise _failed(feed, error) from error
        waiting.append((request, feed))
    while waiting:
        yield _finish(waiting, idle)


def _finish(
    waiting: list[tuple[Any, Feed]], idle: list[Any]
) -> tuple[Feed, float, list[np.ndarray[Any, Any]]]:
    request, feed = waiting.pop(0)
    try:
        request.wait()
        seconds = request.latency / 1000
        values = [tensor.data.copy() for tensor in request.output_tensors]
    except RuntimeError as error:
        raise _failed(feed, error) from error
    idle.append(request)
    return feed, seconds, values


def _failed(feed: Feed, error: Exception) -> LoadError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    what = f"the network failed on {feed.source}"
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feed.arrays.items())
    return LoadError(
        what, expected=f"inputs {shapes} to be accepted", found=lines[-1], hint="try another input"
    )


def _result(
    feed: Feed,
    seconds: float,
    found: dict[str, np.ndarray[Any, Any]],
    info: dict[str, str],
    *,
    top: int,
    save: Path | None,
) -> Result:
    result: Result = {
        "input": feed.source,
        "seconds": round(seconds, 6),
        "outputs": [outputs.summary(name, value) for name, value in found.items()],
    }
    scores = outputs.scores_of(found, info)
    if scores is not None:
        result["top"] = outputs.top(scores, top, outputs.labels_of(info))
    detected = _boxes(feed, found, info) if feed.picture else None
    if detected is not None:
        result["boxes"] = detected
    if save is not None:
        with as_cache_error(save):
            result["saved"] = [str(path) for path in _save(feed, found, info, detected, save)]
    return result


def _boxes(
    feed: Feed, found: dict[str, np.ndarray[Any, Any]], info: dict[str, str]
) -> list[dict[str, Any]] | None:
    from PIL import Image

    assert feed.picture is not None  # noqa: S101 - the caller looked
    with Image.open(feed.picture) as opened:
        size = opened.size
    return boxes.boxes_of(found, info, picture=size, network=feed.fitted)


def _save(
    feed: Feed,
    found: dict[str, np.ndarray[Any, Any]],
    info: dict[str, str],
    detected: list[dict[str, Any]] | None,
    folder: Path,
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    stem = feed.source.replace("[", "-").rstrip("]")
    written = [folder / f"{stem}.npz"]
    np.savez(written[0], **found)  # type: ignore[arg-type]
    if feed.picture is None:
        return written
    target = folder / f"{stem}.found.png"
    mask = boxes.mask_of(found, info)
    if detected is not None:
        draw.draw_boxes(feed.picture, detected, target)
    elif mask is not None:
        draw.draw_mask(feed.picture, mask, target)
    else:
        return written
    return [*written, target]
