"""What is known about Open Model Zoo's models: from facts, in the words of its cards, to fields of entries.

Cards are one JSON object: ``models`` by name, each with inputs and outputs (``original`` before the
conversion, ``converted`` after it, or ``model`` where there is one), metrics, cost, licence, origin, label
lists, the accuracy checker's configuration, and the type of openvino-model-api that follows from it. Every
figure was read in the zoo's own files. What the facts do not have stays absent.
"""

from __future__ import annotations

import re
from typing import Any

from omz_ports import inputs_of, outputs_of

TREE = "https://github.com/openvinotoolkit/open_model_zoo/blob/7ef5b91f75115a5eec5a67921453d7faaff8f78b/"
INLINE_LABELS = 32
"""More labels than this go to a file of their own."""
RESIZES = {
    "standard": "stretch",
    "crop": "crop",
    "fit_to_window": "fit",
    "fit_to_window_letterbox": "letterbox",
}
TASKS = {
    "image_processing": "image-to-image",
    "image_translation": "image-to-image",
    "text-spotting-0005-detector": "object-detection/text",
    "wav2vec2-base": "automatic-speech-recognition",
    "road_segmentation": "image-segmentation/semantic",
    "text_generation": "text-generation",
    "vehicle_reidentification": "image-feature-extraction/vehicle",
}
LICENCES = {"GPL-3.0": "GPL-3.0-only"}
"""Identifiers that SPDX has replaced."""


class Knowledge:
    """Facts of all models, and the label files that entries share.

    Args:
        cards: the facts.
        labels: label lists by their keys, those of the older facts included.
        named: names of label files by the keys of their lists.
    """

    def __init__(self, cards: dict[str, Any], labels: dict[str, list[str]], named: dict[str, str]) -> None:
        self.cards = cards["models"]
        self.labels = cards["labels"] | labels
        self.names = {
            file["key"]: f"labels/{re.sub(r'[.](txt|json)$', '', name)}.txt"
            for name, file in cards["label_files"].items()
        } | named
        self.files_of_cards = cards["label_files"]
        self.files: dict[str, str] = {}

    def fields(self, name: str, entry: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of one entry; ``entry`` is what it says so far, as plain data."""
        card = self.cards[name]
        found: dict[str, Any] = {
            "task": _task(name, card, entry),
            "license": _licence(card["license"]),
            "upstream": _upstream(card),
            "metrics": _metrics(card),
            "complexity": {key: card[key] for key in ("gflops", "mparams") if key in card},
        }
        if found["license"].get("spdx", "").startswith("GPL-"):
            found["notice"] = (
                f"{found['license']['spdx']}: whoever passes this model on must do so under the same terms."
            )
        if entry.get("stages"):
            return {key: value for key, value in found.items() if value}
        inputs = inputs_of(name, card, entry)
        outputs = outputs_of(card)
        decode = _decode(name, card, outputs)
        stated = entry.get("model_info") or {}
        if decode and "model_type" in stated:  # the zoo's own; what else it states is of the same kind
            own = {key: value for key, value in stated.items() if key not in {"model_type", "resize_type"}}
            decode |= {key: _flat(value) if isinstance(value, list) else value for key, value in own.items()}
            found["model_info"] = {}
            if resize := RESIZES.get(stated.get("resize_type", "")):
                inputs[0] |= {"resize": resize}
                inputs[0].pop("crop_fraction", None)
        found |= {"inputs": inputs, "outputs": outputs, "decode": decode}
        if "labels" not in entry and (labels := self._labels(name, card, decode)):
            found["labels"] = labels
        lists = card.get("labels", {}).get("lists")
        if lists and decode == {"type": "classes"}:
            classes = [port for port in outputs if port["kind"] == "class_scores"]
            for port, key in zip(classes, lists, strict=True):
                port["labels"] = self.labels[key]
        return {key: value for key, value in found.items() if value or key == "model_info"}

    def _alphabet(self, name: str, card: dict[str, Any]) -> Any:  # noqa: ANN401
        """Return the characters of a reader of text, in the order of the network's classes."""
        blank, file = CTC[name]
        if file:
            stem = file.partition(".")[0]
            key = next(row["key"] for named, row in self.files_of_cards.items() if named == file)
            self.files[f"labels/{stem}.txt"] = "".join(f"{one}\n" for one in ["<blank>", *self.labels[key]])
            return {"file": f"labels/{stem}.txt"}
        adapters = [
            launcher["adapter"] for config in card["accuracy_check"] for launcher in config["launchers"]
        ]
        alphabet = list(adapters[-1]["alphabet"])
        alphabet = [" " if character == "|" else character for character in alphabet]
        return alphabet if blank < len(alphabet) else [*alphabet, "<blank>"]

    def _labels(self, name: str, card: dict[str, Any], decode: dict[str, Any] | None) -> Any:  # noqa: ANN401
        """Return the labels in the order of the network's class ids, or the file that has them."""
        if decode and decode["type"] == "ctc":
            return self._alphabet(name, card)
        stated = card.get("labels") or {}
        if decode is None or "key" not in stated:
            return None
        key = stated.get("plain_key") or stated["key"]
        values = self.labels[key]
        first = stated.get("first_id", 0)
        if first:
            values = ["background"] * first + values
        if len(values) <= INLINE_LABELS:
            return values
        file = self.names[key]
        if first:
            file = file.replace(".txt", "-background.txt")
        self.files[file] = "".join(f"{label}\n" for label in values)
        return {"file": file}


def _task(name: str, card: dict[str, Any], entry: dict[str, Any]) -> str:
    value = card.get("task", {}).get("value")
    return TASKS.get(name) or TASKS.get(value) or value or entry["task"]


def _licence(stated: dict[str, Any]) -> dict[str, Any]:
    spdx = LICENCES.get(stated["spdx"], stated["spdx"])
    return {key: value for key, value in (("spdx", spdx), ("url", stated["url"])) if value}


def _upstream(card: dict[str, Any]) -> dict[str, str]:
    found = {"card": TREE + card["readme"]}
    for one in card.get("upstream", ()):
        kind = {"repository": "repository", "paper": "paper", "training": "repository"}.get(one["kind"])
        if kind and re.fullmatch(r"https?://\S+", one["url"]):
            if one["kind"] == "repository":
                found[kind] = found[kind] if found.get("_own") else one["url"]
                found["_own"] = "yes"
            else:
                found.setdefault(kind, one["url"])
    found.pop("_own", None)
    return {key: found[key] for key in ("repository", "paper", "card") if key in found}


def _metrics(card: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the card measured; where it tells them apart, ``of`` says which network it was."""
    found = []
    for one in card.get("metrics", ()):
        name = " ".join(filter(None, (one["name"], one.get("column") and f"({one['column']})")))
        metric: dict[str, Any] = {"name": name, "value": one["value"]}
        if one.get("unit"):
            metric["unit"] = one["unit"]
        if one.get("dataset"):
            metric["dataset"] = one["dataset"]
        of = one.get("precision") or {"converted": "FP32"}.get(str(one.get("variant")))
        if of:
            metric["of"] = of
        found.append(metric)
    return found


# --- decoding


def _decode(name: str, card: dict[str, Any], outputs: list[dict[str, Any]]) -> dict[str, Any] | None:
    api = card.get("model_api")
    if api:
        decode: dict[str, Any] = {"type": api["model_type"]}
        given = api["parameters"]
        if "iou_threshold" in given and api["model_type"] not in {"Classification", "Segmentation"}:
            decode["iou_threshold"] = given["iou_threshold"]
        if api["model_type"] == "YOLOV4":
            decode |= {key: _flat(given[key]) for key in ("anchors", "masks") if key in given}
        return decode
    if name in CTC:
        return {"type": "ctc", "blank": CTC[name][0]}
    return _by_adapter(card, [port["kind"] for port in outputs])


def _by_adapter(card: dict[str, Any], kinds: list[str]) -> dict[str, Any] | None:
    """Return what the accuracy checker's adapter comes to where openvino-model-api has no type."""
    adapters = {
        launcher["adapter"]["type"] if isinstance(launcher["adapter"], dict) else launcher["adapter"]
        for config in card.get("accuracy_check", ())
        for launcher in config["launchers"]
        if launcher.get("adapter")
    }
    if adapters & {"reid"} and kinds == ["embedding"]:
        return {"type": "embedding"}
    if adapters & {"age_gender", "vehicle_attributes"} or (
        adapters == {"classification"} and len(kinds) == 1
    ):
        return {"type": "classes"}
    if adapters & {"ultra_lightweight_face_detection"}:
        return {"type": "boxes", "iou_threshold": _overlap(card), "pixels": False}
    if adapters & {"landmarks_regression"}:
        return {"type": "keypoints", "pixels": False}
    if adapters & {"single_human_pose_estimation"}:
        return {"type": "keypoint_maps"}
    if adapters & {"person_attributes"}:
        return {"type": "tags", "threshold": 0.5}
    return None


def _overlap(card: dict[str, Any]) -> float:
    """Return from which overlap on the accuracy checker drops the lesser of two boxes."""
    steps = card["accuracy_check"][-1]["datasets"][0]["postprocessing"]
    return float(next(step["overlap"] for step in steps if step["type"] == "nms"))


def _flat(values: list[Any]) -> list[Any]:
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


CTC: dict[str, tuple[int, str]] = {
    "handwritten-english-recognition-0001": (0, "gnhk.txt"),
    "handwritten-japanese-recognition-0001": (0, "kondate_nakayosi.txt"),
    "handwritten-simplified-chinese-recognition-0001": (0, "scut_ept.txt"),
    "quartznet-15x5-en": (28, ""),
    "wav2vec2-base": (0, ""),
}
"""Readers of text whose alphabet the facts have: the index that means no character, and the
alphabet's file if it is not among the arguments of the accuracy checker."""
