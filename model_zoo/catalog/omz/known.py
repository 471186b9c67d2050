"""What a few models of Open Model Zoo need beyond their arguments, by name.

``BUILDERS`` say directly what a small module or script of the zoo's did in between: call a constructor of the
model's own files (or of an installed package) with these arguments, and load these weights. ``REASONS`` say
why others cannot be converted.
"""

from __future__ import annotations

from typing import Any


def _rep_vgg(kind: str, weights: str) -> dict[str, Any]:
    # The script first folded the training branches into one; the network computes the same without that.
    return {
        "module": "repvgg",
        "callable": f"create_RepVGG_{kind}",
        "kwargs": {"deploy": False},
        "weights": weights,
        "paths": ["."],
    }


BUILDERS: dict[str, dict[str, Any]] = {
    "drn-d-38": {
        "module": "segment",
        "callable": "DRNSeg",
        "kwargs": {"model_name": "drn_d_38", "classes": 19, "pretrained": False},
        "weights": "drn_d_38_cityscapes.pth",
        "paths": ["models"],
    },
    "repvgg-a0": _rep_vgg("A0", "RepVGG-A0-train.pth"),
    "repvgg-b1": _rep_vgg("B1", "RepVGG-B1-train.pth"),
    "repvgg-b3": _rep_vgg("B3", "RepVGG-B3-200epochs-train.pth"),
}

REASONS: dict[str, str] = {}
