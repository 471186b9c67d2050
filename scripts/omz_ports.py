"""Inputs and outputs of Open Model Zoo's models: from facts, in its cards' words, to fields of entries."""

from __future__ import annotations

import ast
import re
from typing import Any

KINDS = {
    "image": "image",
    "image_sequence": "image",
    "audio": "audio",
    "token_ids": "tokens",
    "attention_mask": "tokens",
    "token_type_ids": "tokens",
    "position_ids": "tokens",
}
"""Kinds of inputs by what the cards call their meaning; everything else is a tensor."""
OUTPUT_KINDS = {
    "class_scores": "class_scores",
    "token_class_scores": "class_scores",
    "detections": "detections",
    "boxes": "boxes",
    "keypoints": "keypoints",
    "heatmap": "heatmap",
    "part_affinity_fields": "heatmap",
    "embedding": "embedding",
    "mask": "mask",
    "segmentation_map": "mask",
    "alpha_matte": "mask",
    "saliency_map": "mask",
    "text_logits": "text_logits",
    "audio": "waveform",
}
"""Kinds of outputs likewise."""
FORMATS = {
    "age": "years, divided by 100",
    "alpha_matte": "how far each pixel belongs to the foreground",
    "angle": "degrees",
    "boxes": "corners of boxes, and their score where there is a fifth number",
    "depth_map": "inverse depth of each pixel",
    "durations": "length of each symbol, in steps of the spectrogram",
    "features": "features for the next stage",
    "image": "a picture",
    "labels": "a class for each box",
    "mel_spectrogram": "mel spectrogram",
    "part_affinity_fields": "directions from joint to joint",
    "pixel_links": "links between neighbouring pixels",
    "prior_boxes": "prior boxes and their variances",
    "quantiles": "quantiles of the forecast",
    "saliency_map": "how much each pixel catches the eye",
    "scores": "scores",
    "selected_indices": "batch, class and box of what is kept",
    "span_end_logits": "scores of the answer's end",
    "span_start_logits": "scores of the answer's start",
    "state": "state for the next step",
    "text_ids": "ids of characters",
    "token_class_scores": "scores of classes for each token",
    "yolo_heads": "cells of a YOLO head",
    "yolo_region": "cells of a YOLO head, activated",
}
"""Formats of outputs, where the card gives no elements."""
BYTES = [0, 255]
MEANINGS = {
    ("cocosnet", "ref_image"): "image",
    ("facenet-20180408-102900", "image_batch"): "image",
    ("facial-landmarks-98-detection-0001", "input.1"): "image",
    ("gaze-estimation-adas-0002", "head_pose_angles"): "yaw, pitch and roll in degrees",
    ("gaze-estimation-adas-0002", "left_eye_image"): "image",
    ("gaze-estimation-adas-0002", "right_eye_image"): "image",
}
"""Meanings that the cards state in prose only."""
IN_WORDS = {
    "audio": "features of the sound",
    "image": "features of pictures",
    "image_info": "height, width and scale of the picture",
    "mel_spectrogram": "mel spectrogram",
    "sequence": "a series of numbers",
}
"""What a tensor holds, by its meaning."""
INTERPOLATIONS = {
    "ANTIALIAS": "lanczos",
    "AREA": "area",
    "BICUBIC": "bicubic",
    "BILINEAR": "bilinear",
    "CUBIC": "bicubic",
    "LINEAR": "bilinear",
}


def inputs_of(name: str, card: dict[str, Any], entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a caller feeds: shapes of the entry, meanings of the card."""
    declared = (entry.get("omz") or {}).get("inputs") or (entry.get("recipe") or {}).get("inputs") or []
    stated = _ports(card, "inputs")
    if not declared:
        declared = [{"name": port.get("name"), "shape": port.get("shape")} for port in stated]
    recipe = {port.get("name"): port for port in (entry.get("recipe") or {}).get("inputs") or ()}
    found = []
    for index, port in enumerate(declared):
        by_name = next((one for one in stated if one.get("name") == port.get("name")), None)
        by_place = stated[index] if len(stated) == len(declared) else {}
        one = by_name or by_place
        found.append(_input(name, card, {**port, **recipe.get(port.get("name"), {})}, one))
    return found


def _input(name: str, card: dict[str, Any], port: dict[str, Any], stated: dict[str, Any]) -> dict[str, Any]:
    found = _geometry(port, stated)
    meaning = MEANINGS.get((name, found.get("name", ""))) or stated.get("meaning_key")
    if re.search("state", found.get("name", "")):
        meaning = "state"
    kind = _kind(meaning, found)
    found["kind"] = kind
    if kind == "tensor" and meaning:
        found["format"] = IN_WORDS.get(meaning, meaning.replace("_", " "))
    if kind == "image" and stated.get("color") in {"RGB", "BGR", "GRAY"}:
        found["color"] = stated["color"]
    if kind == "image" and meaning == "image" and (steps := _steps(card)) is not None:
        found |= _values(steps) | _resizing(steps)
    return found


def _geometry(port: dict[str, Any], stated: dict[str, Any]) -> dict[str, Any]:
    """Return name, shape, type and layout."""
    found: dict[str, Any] = {"name": port["name"]} if port.get("name") else {}
    if shape := _shape(port.get("shape") or stated.get("shape")):
        found["shape"] = shape
    if port.get("type"):
        found["type"] = port["type"]
    layout = port.get("layout") or stated.get("layout")
    if layout and len(layout) == len(found.get("shape", layout)) and layout.isalpha():
        found["layout"] = layout
    return found


def _kind(meaning: str | None, port: dict[str, Any]) -> str:
    """Return the kind of an input; features of sound and of pictures are tensors."""
    kind = KINDS.get(meaning or "", "tensor")
    sizes = [dim for dim in port.get("shape", ()) if dim != 1]
    if kind == "audio" and len(sizes) > 1:
        return "tensor"
    if kind == "image" and len(sizes) < 2:
        return "tensor"
    if meaning == "image" and len(port.get("shape", (0,) * 4)) < 4:
        return "tensor"
    return kind


def _values(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the range of a picture's values, and how the accuracy checker normalises them."""
    norms = [step for step in steps if step["type"] == "normalization"]
    if len(norms) > 1:
        return {}
    found: dict[str, Any] = {"range": BYTES}
    for key, field in (("mean", "mean"), ("std", "scale")):
        if norms and (values := _numbers(norms[0].get(key))):
            found[field] = values
    return found


def _resizing(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how the accuracy checker brings a picture to the size of the input."""
    by_type = {step["type"]: step for step in reversed(steps)}
    resize, crop = by_type.get("resize", {}), by_type.get("crop", {})
    kinds = [step["type"] for step in steps if step["type"] in {"resize", "crop", "padding", "auto_resize"}]
    if "extend_around_rect" in by_type:  # around the object, then cut again
        kinds = [kind for kind in kinds if kind != "crop"]
    ratio = resize.get("aspect_ratio_scale")
    sides = (_side(crop), _side(resize))
    found: dict[str, Any] = {}
    if kinds in (["resize"], ["auto_resize"]) and ratio is None:
        found["resize"] = "stretch"
    elif kinds == ["crop", "resize"] and "central_fraction" in crop and ratio is None:
        found |= {"resize": "stretch", "crop_fraction": float(crop["central_fraction"])}
    elif kinds == ["resize", "crop"] and ratio in {"greater", None} and all(sides):
        found |= {"resize": "crop" if ratio else "stretch", "crop_fraction": round(sides[0] / sides[1], 6)}
    elif kinds == ["resize", "padding"] and ratio == "fit_to_window":
        found |= _padding(by_type["padding"])
    if found.get("crop_fraction") == 1:
        del found["crop_fraction"]
    if found and (way := INTERPOLATIONS.get(resize.get("interpolation", ""))):
        found["interpolation"] = way
    return found


def _padding(step: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"resize": "fit" if step.get("pad_type") == "right_bottom" else "letterbox"}
    value = _numbers(step.get("pad_value"))
    levels = set(value) if isinstance(value, list) else {value}
    if len(levels) == 1 and float(level := levels.pop() or 0.5).is_integer():
        found["pad_value"] = int(level)
    return found


def _steps(card: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the preprocessing of the configuration for OpenVINO; None if there is none."""
    for config in reversed(card.get("accuracy_check", ())):
        if any(launcher.get("framework") in {"openvino", "dlsdk"} for launcher in config["launchers"]):
            return list(config["datasets"][0].get("preprocessing", ()))
    return None


def _side(step: dict[str, Any]) -> int:
    sizes = {step[key] for key in ("size", "dst_width", "dst_height") if key in step}
    return int(sizes.pop()) if len(sizes) == 1 else 0


def _numbers(text: Any) -> list[float] | float | None:  # noqa: ANN401 - as the accuracy checker takes it
    if isinstance(text, (int, float)):
        return float(text)
    if not isinstance(text, str):
        return None
    try:
        values = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return None
    if isinstance(values, (int, float)):
        return float(values)
    return [float(value) for value in values]


def _ports(card: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """Return the inputs or outputs of the IR."""
    stated = card.get(field) or {}
    ports = stated.get("converted") or stated.get("model") or ()
    return list(stated[ports["same_as"]] if isinstance(ports, dict) else ports)


def _shape(dims: list[Any] | None) -> list[int] | None:
    """Return a shape whose letters are open dimensions; None if it is no shape."""
    if not dims or any(isinstance(dim, str) and not re.fullmatch(r"[A-Za-z]\w*|-1|\?", dim) for dim in dims):
        return None
    return [dim if isinstance(dim, int) and dim >= 0 else -1 for dim in dims]


# --- outputs


def outputs_of(card: dict[str, Any]) -> list[dict[str, Any]]:
    stated = _ports(card, "outputs")
    found = []
    for port in stated:
        one: dict[str, Any] = {}
        if port.get("name"):
            one["name"] = port["name"]
        if shape := _shape(port.get("shape")):
            one["shape"] = shape
        layout = port.get("layout")
        if layout and len(layout) == len(one.get("shape", layout)) and layout.isalpha():
            one["layout"] = layout
        meaning = port.get("meaning_key")
        one["kind"] = OUTPUT_KINDS.get(meaning or "", "tensor")
        if one["kind"] == "boxes" and one.get("shape", [4])[-1] not in {4, 5, -1}:  # of the boxes, not boxes
            one["kind"], meaning = "tensor", "scores"
        text = str(port.get("elements") or "").strip("[]") or FORMATS.get(meaning or "")
        if text is None and one["kind"] == "tensor" and meaning:
            text = meaning.replace("_", " ")
        if text:
            one["format"] = text
        found.append(one)
    return found
