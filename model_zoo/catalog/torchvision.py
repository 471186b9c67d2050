"""A model for each pretrained weights entry of torchvision: preprocessing and labels are the weights' own.

Needs no torch: everything comes from the table that the source kind ``torchvision`` keeps.
"""

from __future__ import annotations

from typing import Any

from model_zoo.errors import UsageError
from model_zoo.schema import Artifact, Builder, Input, License, Model, Recipe
from model_zoo.sources.torchvision import TorchvisionSource, WeightFacts, weight_table
from model_zoo.text import near_names

LICENSE = "BSD-3-Clause"
_BYTE = 255.0
_VIDEO_FRAMES = 16
_DETECTION_SIDE = 800
"""Height and width where the transforms leave the size open: what the weights were measured with."""
_TASKS = {
    "ImageClassification": ("classification", "Says which class a picture shows"),
    "SemanticSegmentation": ("semantic_segmentation", "Says which class each pixel of a picture belongs to"),
    "ObjectDetection": ("detection", "Finds objects in a picture, with their classes and boxes"),
    "VideoClassification": ("action_recognition", "Says which action a short video shows"),
    "OpticalFlow": ("optical_flow", "Says how far each pixel moved between two pictures"),
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
        license=License(spdx=LICENSE),
        description=f"{sentence}. Weights: {weights} of torchvision, builder {facts.builder}.",
        artifacts=(Artifact(path=path, sources=(source,), integrity=source.integrity),),
        recipe=Recipe(
            builder=Builder(torchvision=facts.builder, weights=path),
            inputs=_inputs(facts),
            outputs=_outputs(facts),
            example=_example(facts),
        ),
        labels=tuple(weight_table().categories[facts.categories]) if facts.categories else None,
        model_info=_model_info(facts),
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


def _model_info(facts: WeightFacts) -> dict[str, Any]:
    if facts.preset == "ImageClassification":
        return {"model_type": "Classification", "resize_type": "crop"}
    if facts.preset == "SemanticSegmentation":
        return {"model_type": "segmentation", "resize_type": "standard"}
    return {}
