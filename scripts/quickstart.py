"""Read a page of text with two models of the catalog: fetched, converted, compiled and run in one call.

Run by ``scripts/quickstart``. Uses the public Python API and Pillow, nothing else.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import model_zoo

PAGE = [  # text, size and colour of each line
    ("One page, two models", 50, "#1b3a5c"),
    ("Fetched from the package index and checked by digest,", 30, "#222222"),
    ("converted to OpenVINO IR, cached, compiled, run.", 30, "#222222"),
    ("The quick brown fox jumps over the lazy dog.", 34, "#7a3b10"),
    ("Order 20471 / Total: $1,299.50 (paid)", 38, "#14532d"),
    ("AGAIN: NO DOWNLOAD, NO CONVERSION", 28, "#8a1538"),
]


def render_page() -> Image.Image:
    """Return the page to read."""
    page = Image.new("RGB", (960, 512), "#fdfcf8")
    pen, y = ImageDraw.Draw(page), 36
    for text, size, colour in PAGE:
        pen.text((56, y), text, fill=colour, font=ImageFont.load_default(size=size))
        y += size + 40
    return page


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offline", action="store_true", help="refuse to use the network")
    parser.add_argument(
        "--picture", type=Path, default=Path("quickstart-result.png"), help="where to write it"
    )
    wishes = parser.parse_args()
    start = time.perf_counter()
    found = model_zoo.infer("pp-ocrv6-small", render_page(), device="CPU", offline=wishes.offline or None)
    print(
        f"{len(model_zoo.list_models())} models in the catalog; pp-ocrv6-small read the page:\n{found.text}"
    )
    print(f"picture: {found.save(wishes.picture).resolve()}")
    print(f"together {(time.perf_counter() - start) * 1000:.1f} ms")
    if found.text == "\n".join(text for text, _, _ in PAGE):
        print(f"all {len(PAGE)} lines are right")
        return 0
    print("the page was not read correctly", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
