"""A model for each pretrained weights entry of torchvision: preprocessing and labels are the weights' own.

Needs no torch: everything comes from the table that the source kind ``torchvision`` keeps.
"""

from __future__ import annotations

from typing import Any

from model_zoo.errors import UsageError
from model_zoo.schema import (
    Artifact,
    Builder,
    Complexity,
    Decode,
    Input,
    License,
    Metric,
    Model,
    ModelInput,
    ModelOutput,
    Recipe,
    Upstream,
)
from model_zoo.sources.torchvision import TorchvisionSource, WeightFacts, weight_table
from model_zoo.text import near_names

REPOSITORY = "https://github.com/pytorch/vision"
LICENSE = License(spdx="BSD-3-Clause", url=f"{REPOSITORY}/blob/main/LICENSE")
_LICENSES = {"https://github.com/facebookresearch/SWAG/blob/main/LICENSE": "CC-BY-NC-4.0"}
"""What the terms are that torchvision names by their address."""
_METRICS = {
    "acc@1": ("top-1 accuracy", "%"),
    "acc@5": ("top-5 accuracy", "%"),
    "box_map": ("box mAP", "%"),
    "mask_map": ("mask mAP", "%"),
    "kp_map": ("key point mAP", "%"),
    "miou": ("mean IoU", "%"),
    "pixel_acc": ("pixel accuracy", "%"),
    "epe": ("endpoint error", "pixels"),
    "per_image_epe": ("endpoint error per picture", "pixels"),
    "fl_all": ("outliers", "%"),
}
"""What torchvision measures, in words, and the unit."""
_BYTE = 255.0
_VIDEO_FRAMES = 16
_DETECTION_SIDE = 800
"""Height and width where the transforms leave the size open: what the weights were measured with."""
_TASKS = {
    "ImageClassification": ("image-classification", "Says which class a picture shows"),
    "SemanticSegmentation": (
        "image-segmentation/semantic",
        "Says which class each pixel of a picture belongs to",
    ),
    "ObjectDetection": ("object-detection", "Finds objects in a picture, with their classes and boxes"),
    "VideoClassification": ("video-classification", "Says which action a short video shows"),
    "OpticalFlow": ("optical-flow", "Says how far each pixel moved between two pictures"),
}


def weights_of(name: str) -> str:
    """Return the weights entry that a builder's name, or the entry's own name, means.

    UsageError if torchvision has neither, or the builder has no pretrained weights.
    """
    table = weight_table().weights
    if name in table:
        return name
    defaults = {facts.builder: entry for entry, facts in table.items() if facts.default}
    if name in defaults:
        return defaults[name]
    near = near_names(name, [*defaults, *table], count=4)
    hint = f"did you mean: {', '.join(near)}" if near else "see docs/torchvision.md for the names"
    what = f"torchvision {weight_table().torchvision} has no pretrained model {name!r}"
    raise UsageError(what, found=name, hint=hint)


def torchvision_model(weights: str, name: str) -> Model:
    """Return the model, under that name, of one weights entry such as ``ResNet50_Weights.IMAGENET1K_V2``."""
    facts = weight_table().weights[weights]
    source = TorchvisionSource(torchvision=weights)
    path = facts.file.rpartition("/")[2]
    task, sentence = _TASKS[facts.preset]
    return Model(
        schema=1,
        name=name,
        task=task,
        framework="pytorch",
        license=_license(facts),
        notice=_notice(facts),
        upstream=Upstream(repository=REPOSITORY, card=facts.recipe),
        metrics=_measured(facts),
        complexity=_complexity(facts),
        inputs=_feeds(facts),
        outputs=_gives(facts),
        decode=_decode(facts),
        description=f"{sentence}. Weights: {weights} of torchvision, builder {facts.builder}.",
        artifacts=(
            Artifact(
                path=path,
                approximate_size=round(facts.mebibytes * (1 << 20)) if facts.mebibytes else None,
                sources=(source,),
                integrity=source.integrity,
            ),
        ),
        recipe=Recipe(
            builder=Builder(torchvision=facts.builder, weights=path),
            inputs=_inputs(facts),
            outputs=_outputs(facts),
            example=_example(facts),
        ),
        labels=tuple(weight_table().categories[facts.categories]) if facts.categories else None,
    )


def _inputs(facts: WeightFacts) -> tuple[Input, ...]:
    """Return the inputs: colour pictures of bytes, normalised as the weights' transforms do it.

    The transforms bring bytes to 0 … 1 before they subtract the mean, hence the factor 255.
    """
    values: dict[str, Any] = {"type": "f32"}
    if facts.preset == "OpticalFlow":  # to -1 … 1
        values |= {"mean": _BYTE / 2, "scale": _BYTE / 2, "layout": "NCHW", "shape": (1, 3, -1, -1)}
        return tuple(Input(name=name, **values) for name in ("image1", "image2"))
    size = facts.crop_size or facts.resize_size or (_DETECTION_SIDE,)
    height, width = size[0], size[-1]
    if facts.mean:
        values["mean"] = tuple(round(value * _BYTE, 6) for value in facts.mean)
        values["scale"] = tuple(round(value * _BYTE, 6) for value in facts.std)
    else:
        values["scale"] = _BYTE
    if facts.preset == "VideoClassification":
        frames = max(_VIDEO_FRAMES, facts.min_temporal_size or 0)
        values |= {"layout": "NCDHW", "shape": (1, 3, frames, height, width)}
    else:
        values |= {"layout": "NCHW", "shape": (1, 3, height, width)}
    return (Input(name="x", **values),)


def _outputs(facts: WeightFacts) -> tuple[str, ...]:
    """Return names for the outputs, in the order in which ``convert`` gives them."""
    if facts.preset == "ObjectDetection":
        more = {"mask": ("masks",), "keyp": ("keypoints", "keypoints_scores")}.get(facts.builder[:4], ())
        return ("boxes", "labels", "scores", *more)
    return {"OpticalFlow": ("flow",), "SemanticSegmentation": ("out",)}.get(facts.preset, ())


def _example(facts: WeightFacts) -> dict[str, Any] | None:
    """Return what to trace the network with, where its inputs have no fixed size.

    Optical flow takes any size whose sides are multiples of 8.
    """
    if facts.preset != "OpticalFlow":
        return None
    shape = [1, 3, *facts.min_size]
    return {name: {"shape": shape} for name in ("image1", "image2")}


# --- what is known about it


def _license(facts: WeightFacts) -> License:
    if facts.license is None:
        return LICENSE
    return License(spdx=_LICENSES.get(facts.license), url=facts.license)


def _notice(facts: WeightFacts) -> str | None:
    if _LICENSES.get(facts.license or "") != "CC-BY-NC-4.0":
        return None
    return "The SWAG weights are CC-BY-NC-4.0: not for commercial use."


def _measured(facts: WeightFacts) -> tuple[Metric, ...]:
    return tuple(
        Metric(name=_METRICS[key][0], value=value, unit=_METRICS[key][1], dataset=data)
        for data, values in facts.metrics.items()
        for key, value in values.items()
        if key in _METRICS
    )


def _complexity(facts: WeightFacts) -> Complexity | None:
    """Return the cost; a multiplication with an addition counts as two operations, unlike in torchvision."""
    if facts.parameters is None:
        return None
    operations = None if facts.operations is None else round(2 * facts.operations, 3)
    return Complexity(gflops=operations, mparams=round(facts.parameters / 1e6, 3))


def _feeds(facts: WeightFacts) -> tuple[ModelInput, ...]:
    """Return what a caller feeds: the same inputs as bytes, which the IR normalises."""
    resize: dict[str, Any] = {"resize": "stretch"}
    if facts.crop_size:
        part = round(min(facts.crop_size) / min(facts.resize_size), 6)
        resize = {"resize": "crop"} | ({"crop_fraction": part} if part < 1 else {})
    if facts.preset == "OpticalFlow":
        resize = {}
    elif facts.interpolation in {"nearest", "bilinear", "bicubic"}:
        resize["interpolation"] = facts.interpolation
    return tuple(
        ModelInput(
            name=port.name,
            shape=port.shape,
            layout=port.layout,
            kind="image",
            color="RGB",
            range=(0, 255),
            **resize,
        )
        for port in _inputs(facts)
    )


def _gives(facts: WeightFacts) -> tuple[ModelOutput, ...]:
    if facts.preset in {"ImageClassification", "VideoClassification"}:
        if facts.categories is None:
            untrained = "for features of inner layers; the classifier is not trained"
            return (ModelOutput(kind="tensor", format=untrained),)
        count = len(weight_table().categories[facts.categories])
        scores = "scores before the softmax"
        return (ModelOutput(shape=(1, count), layout="NC", kind="class_scores", format=scores),)
    if facts.preset == "SemanticSegmentation":
        return (ModelOutput(name="out", kind="mask", layout="NCHW", format="scores of classes"),)
    if facts.preset == "OpticalFlow":
        moved = "pixels moved to the right and down"
        return (ModelOutput(name="flow", kind="tensor", layout="NCHW", format=moved),)
    outputs = {
        "boxes": ModelOutput(name="boxes", shape=(-1, 4), kind="boxes", format="x0, y0, x1, y1 in pixels"),
        "labels": ModelOutput(name="labels", shape=(-1,), kind="tensor", format="class of each box"),
        "scores": ModelOutput(name="scores", shape=(-1,), kind="tensor", format="score of each box"),
        "masks": ModelOutput(name="masks", kind="mask", format="a map for each box"),
        "keypoints": ModelOutput(
            name="keypoints", shape=(-1, 17, 3), kind="keypoints", format="x, y, visibility"
        ),
        "keypoints_scores": ModelOutput(
            name="keypoints_scores", shape=(-1, 17), kind="tensor", format="score of each point"
        ),
    }
    return tuple(outputs[name] for name in _outputs(facts))


def _decode(facts: WeightFacts) -> Decode | None:
    """Return how outputs become answers; optical flow is one as it is."""
    kinds = {
        "ImageClassification": Decode(type="Classification"),
        "ObjectDetection": Decode(type="boxes", pixels=True),
        "SemanticSegmentation": Decode(type="Segmentation"),
        "VideoClassification": Decode(type="classes", activation="softmax"),
    }
    return kinds.get(facts.preset) if facts.categories else None
