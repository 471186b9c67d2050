"""Read a page of text with two models of the catalog: fetch, convert, compile, infer, and a picture of it.

Run by ``scripts/quickstart``. Uses the public Python API, NumPy and Pillow, nothing else.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import model_zoo

if TYPE_CHECKING:
    from collections.abc import Callable

DETECTOR, READER = "pp-ocrv6-det-small", "pp-ocrv6-rec-small"
WIDTH, HEIGHT, MARGIN = 960, 512, 56  # pixels; the detector wants multiples of 32
PAGE = [  # text, size and colour of each line
    ("One page, two models", 50, "#1b3a5c"),
    ("Fetched from the package index and checked by digest,", 30, "#222222"),
    ("converted to OpenVINO IR, cached, compiled, run.", 30, "#222222"),
    ("The quick brown fox jumps over the lazy dog.", 34, "#7a3b10"),
    ("Order 20471 / Total: $1,299.50 (paid)", 38, "#14532d"),
    ("AGAIN: NO DOWNLOAD, NO CONVERSION", 28, "#8a1538"),
]
BOX, PAPER, SHADE, GREY = "#e4572e", "#fdfcf8", "#e9eff6", "#66758a"

Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the page."""


def render_page() -> Image.Image:
    """Return the page to read, (HEIGHT, WIDTH) RGB."""
    page = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    pen, y = ImageDraw.Draw(page), 36
    for text, size, colour in PAGE:
        pen.text((MARGIN, y), text, fill=colour, font=ImageFont.load_default(size=size))
        y += size + 40
    return page


def as_input(image: Image.Image) -> np.ndarray:
    """Return (1, 3, height, width) float32, BGR in -1..1, as both catalog entries declare."""
    bgr = np.asarray(image.convert("RGB"), np.float32)[:, :, ::-1]
    planes: np.ndarray = (bgr.transpose(2, 0, 1) - 127.5) / 127.5
    return planes[None]


def find_lines(detector: Any, page: Image.Image) -> list[Rectangle]:  # noqa: ANN401
    """Return a rectangle round each line of text, from top to bottom."""
    text = detector(as_input(page))[0][0, 0]  # (height, width), probability of being in a line
    found = []
    for left, top, right, bottom in connected_areas(text > 0.3):
        width, height = right - left, bottom - top
        if min(width, height) >= 6 and text[top:bottom, left:right].mean() > 0.4:
            # The network marks the core of a line, whose outline is 1.6 * area / circumference further out.
            out = round(0.8 * width * height / (width + height))
            found.append((max(0, left - out), max(0, top - out), right + out, bottom + out))
    return sorted(found, key=lambda box: box[1] + box[3])


def connected_areas(mask: np.ndarray) -> list[Rectangle]:
    """Return the bounding rectangle of each connected area of a (height, width) mask, in cells of 4 x 4."""
    height, width = mask.shape
    cells = mask.reshape(height // 4, 4, width // 4, 4).any(axis=(1, 3))
    labels = np.arange(1, cells.size + 1).reshape(cells.shape) * cells
    while True:  # every cell takes the largest label of its neighbours, until nothing changes
        around = np.pad(labels, 1)
        beside = [around[2:, 1:-1], around[:-2, 1:-1], around[1:-1, 2:], around[1:-1, :-2]]
        spread = np.max([labels, *beside], axis=0) * cells
        if np.array_equal(spread, labels):
            break
        labels = spread
    areas = []
    for label in np.unique(labels[cells]):
        rows, columns = np.nonzero(labels == label)
        left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        areas.append((int(left) * 4, int(top) * 4, int(right) * 4, int(bottom) * 4))
    return areas


def read_line(reader: Any, line: Image.Image, characters: list[str]) -> tuple[str, float]:  # noqa: ANN401
    """Return the text of one line and the mean probability of its characters."""
    scaled = line.resize((max(48, round(line.width * 48 / line.height)), 48), Image.Resampling.BICUBIC)
    scores = reader(as_input(scaled))[0][0]  # (steps, classes)
    best = scores.argmax(axis=1)
    # CTC: a class counts where it starts, and class 0 is the blank between two equal characters.
    kept = np.flatnonzero((best != np.append(0, best[:-1])) & (best != 0))
    sure = float(scores[kept, best[kept]].mean()) if len(kept) else 0.0
    return "".join(characters[best[step]] for step in kept), sure


def character_classes() -> list[str]:
    """Return the reader's classes: blank, the characters that its ONNX file carries as metadata, space."""
    original = model_zoo.read(READER, convert=False)
    known = original.get_rt_info(["framework", "character"]).value
    return ["", *known.split("\n"), " "]


def draw_result(page: Image.Image, lines: list[tuple[Rectangle, str, float]], path: Path) -> None:
    """Write a picture: the page with the boxes found on the left, what was read on the right."""
    head, right_half = 64, WIDTH + MARGIN
    picture = Image.new("RGB", (2 * WIDTH, HEIGHT + head), SHADE)
    picture.paste(page, (0, head))
    pen = ImageDraw.Draw(picture)

    def write(x: float, y: float, text: str, size: int, colour: str, anchor: str = "lm") -> None:
        pen.text((x, y), text, fill=colour, font=ImageFont.load_default(size=size), anchor=anchor)

    pen.rectangle((0, 0, 2 * WIDTH, head - 1), fill="#1d3557")
    write(MARGIN, head / 2, f"the page, and the lines {DETECTOR} found", 26, "white")
    write(right_half, head / 2, f"what {READER} read", 26, "white")
    for number, ((left, top, right, bottom), text, sure) in enumerate(lines, 1):
        middle = head + (top + bottom) / 2
        pen.rounded_rectangle((left, top + head, right, bottom + head), radius=6, outline=BOX, width=3)
        write(MARGIN - 20, middle, str(number), 20, BOX, "rm")
        write(right_half - 20, middle, str(number), 20, BOX, "rm")
        write(right_half, middle, text, 30, "#111111")
        write(2 * WIDTH - 24, middle, f"{sure:.0%}", 22, GREY, "rm")
    picture.save(path)


class Stopwatch:
    """Runs stages, and prints each with the time it took."""

    def __init__(self) -> None:
        self.total = 0.0

    def time(self, stage: str, work: Callable[..., Any], *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """Call ``work``, print the stage and its time, and return the result."""
        start = time.perf_counter()
        result = work(*args, **options)
        seconds = time.perf_counter() - start
        self.total += seconds
        print(f"  {stage:<32} {seconds * 1000:>9.1f} ms", flush=True)
        return result


def run(picture: Path, *, offline: bool | None) -> int:
    """Run the whole pipeline; return 0 when every line was read as it was written."""
    clock, compiled = Stopwatch(), {}
    print(f"{len(model_zoo.list_models())} models in the catalog; {DETECTOR} and {READER} are used here")
    for name in (DETECTOR, READER):
        clock.time(f"fetch    {name}", model_zoo.fetch, name, offline=offline)
        ir = clock.time(f"convert  {name}", model_zoo.convert, name, offline=offline)
        compiled[name] = clock.time(f"compile  {name}", model_zoo.load, name, device="CPU", offline=offline)
        if not offline:
            print(f"    {ir.xml}")
    page, characters = render_page(), character_classes()
    boxes = clock.time("infer    find the lines", find_lines, compiled[DETECTOR], page)
    crops = [page.crop(box) for box in boxes]
    read = clock.time(
        f"infer    read {len(crops)} lines",
        lambda: [read_line(compiled[READER], crop, characters) for crop in crops],
    )
    print(f"  {'together':<32} {clock.total * 1000:>9.1f} ms")
    draw_result(page, [(box, *line) for box, line in zip(boxes, read, strict=True)], picture)
    print(f"picture: {picture.resolve()}")
    return compare([text for text, _ in read], [text for text, _, _ in PAGE])


def compare(read: list[str], written: list[str]) -> int:
    """Print what was read beside what was written; return 1 where they differ."""
    for got, truth in zip_longest(read, written, fillvalue=""):
        print(f"  read {got!r}" if got == truth else f"  READ {got!r}, WRITTEN {truth!r}")
    if read == written:
        print(f"all {len(written)} lines are right")
        return 0
    print(f"the page was not read correctly: {len(written)} lines written, {len(read)} read", file=sys.stderr)
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offline", action="store_true", help="refuse to use the network")
    parser.add_argument(
        "--picture", type=Path, default=Path("quickstart-result.png"), help="where to write it"
    )
    wishes = parser.parse_args()
    return run(wishes.picture, offline=wishes.offline or None)


if __name__ == "__main__":
    sys.exit(main())
