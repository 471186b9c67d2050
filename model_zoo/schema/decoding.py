"""Ways of decoding, with their parameters: openvino-model-api's, and ours where it has none."""

from __future__ import annotations

_NMS = ("agnostic_nms", "iou_threshold", "nms_execute", "nms_max_predictions")
_BOXES = ("confidence_threshold", *_NMS)
_CLASSES = ("confidence_threshold", "multilabel", "output_raw_scores", "topk")

MODEL_API: dict[str, tuple[str, ...]] = {
    "Action Classification": (),
    "AnomalyDetection": ("image_threshold", "normalization_scale", "pixel_threshold"),
    "Classification": _CLASSES,
    "DETRInstSeg": (*_BOXES, "postprocess_semantic_masks"),
    "MaskRCNN": (*_BOXES, "postprocess_semantic_masks"),
    "SSD": _BOXES,
    "Segmentation": ("blur_strength", "return_soft_prediction", "soft_threshold"),
    "YOLO": _BOXES,
    "YOLO-seg": (*_BOXES, "postprocess_semantic_masks"),
    "YOLO11": _BOXES,
    "YOLOF": _BOXES,
    "YOLOV4": (*_BOXES, "anchors", "masks"),
    "YOLOX": _BOXES,
    "YOLOv3-ONNX": _BOXES,
    "YOLOv5": _BOXES,
    "YOLOv8": _BOXES,
    "keypoint_detection": ("apply_softmax",),
}
"""Model types of openvino-model-api 0.4.7, with their parameters beside preprocessing."""

OWN_TYPES: dict[str, tuple[str, ...]] = {
    "boxes": ("confidence_threshold", "corners", "iou_threshold", "pixels"),
    "classes": ("activation",),
    "ctc": ("blank",),
    "embedding": ("normalize", "pooling"),
    "keypoint_maps": ("threshold",),
    "keypoints": ("pixels",),
    "speech_activity": ("threshold",),
    "ssd_anchors": ("anchors_per_cell", "confidence_threshold", "iou_threshold", "keypoints", "strides"),
    "tags": ("activation", "threshold"),
    "text_boxes": ("box_threshold", "threshold", "unclip_ratio"),
}
"""Ours:

- ``boxes``: corners of boxes, in the order ``corners``, with a class and a score for each, or with a score
  for each class. ``pixels`` if they are in pixels of the input, not parts of its size; ``iou_threshold`` if
  those that overlap must be dropped.
- ``classes``: a score for each class, after ``activation``, of anything but one picture (Model API has
  those), or in several outputs with labels of their own.
- ``ctc``: scores of characters per step; ``blank`` is the index that means none. Labels are the characters.
- ``embedding``: a vector, after ``pooling`` over the tokens, of length one if ``normalize``.
- ``keypoint_maps``: a map of each point's likelihood, of which the maximum counts if above ``threshold``.
- ``keypoints``: coordinates of points, in ``pixels`` of the input or as parts of its size.
- ``speech_activity``: the probability of speech, which counts above ``threshold``.
- ``ssd_anchors``: a score and a box with ``keypoints`` points for each anchor of MediaPipe's grids.
- ``tags``: several classes at once, each with a score of its own after ``activation``.
- ``text_boxes``: a map of the probability of text, from which outlines are taken (DB).
"""

PARAMETERS: dict[str, tuple[str, ...]] = {**MODEL_API, **OWN_TYPES}
"""Both."""
