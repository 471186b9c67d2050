"""Decoding in NumPy where openvino-model-api has no type for it, by the ``type`` of an entry's ``decode``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.runtime.inference.decode.boxes import decode_boxes
from model_zoo.runtime.inference.decode.classes import decode_classes, decode_tags
from model_zoo.runtime.inference.decode.ctc import decode_ctc
from model_zoo.runtime.inference.decode.embedding import decode_embedding
from model_zoo.runtime.inference.decode.points import decode_keypoint_maps, decode_keypoints
from model_zoo.runtime.inference.decode.ssd_anchors import decode_ssd_anchors
from model_zoo.runtime.inference.decode.text_boxes import decode_text_boxes

if TYPE_CHECKING:
    from model_zoo.runtime.inference.decode.scene import Decoder

DECODERS: dict[str, Decoder] = {
    "boxes": decode_boxes,
    "classes": decode_classes,
    "ctc": decode_ctc,
    "embedding": decode_embedding,
    "keypoint_maps": decode_keypoint_maps,
    "keypoints": decode_keypoints,
    "ssd_anchors": decode_ssd_anchors,
    "tags": decode_tags,
    "text_boxes": decode_text_boxes,
}
