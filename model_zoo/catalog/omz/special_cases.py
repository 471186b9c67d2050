"""What a few models of Open Model Zoo need beyond their arguments, by name.

``BUILDERS`` say directly what a small module or script of the zoo's did in between: call a constructor of the
model's own files (or of an installed package) with these arguments, and load these weights.
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


def _timm(architecture: str, function: str, weights: str) -> dict[str, Any]:
    module = f"timm.models.{architecture}"
    return {"module": module, "callable": function, "weights": weights, "paths": ["."]}


def _transformers(family: str, network: str, folder: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    kwargs = {"pretrained_model_name_or_path": f"files:{folder}", **more}
    return {
        "module": f"transformers.models.{family}",
        "callable": f"{network}.from_pretrained",
        "kwargs": kwargs,
        "paths": ["."],
        # What these versions import beside torch and NumPy, and none of the stacks brings.
        "requirements": ["requests==2.34.2"],
    }


def _modnet(kind: str) -> dict[str, Any]:
    return {
        "module": "modnet_onnx",
        "callable": "MODNet",
        "kwargs": {"backbone_pretrained": False},
        "weights": f"modnet_{kind}_portrait_matting.ckpt",
        "paths": ["."],
    }


def _keras(function: str, weights: str) -> dict[str, Any]:
    return {"module": "keras.applications", "callable": function, "weights": weights}


BUILDERS: dict[str, dict[str, Any]] = {
    "bert-base-ner": _transformers("bert", "BertForTokenClassification", "bert-base-ner"),
    "densenet-121-tf": _keras("DenseNet121", "densenet121_weights_tf_dim_ordering_tf_kernels.h5"),
    "drn-d-38": {
        "module": "segment",
        "callable": "DRNSeg",
        "kwargs": {"model_name": "drn_d_38", "classes": 19, "pretrained": False},
        "weights": "drn_d_38_cityscapes.pth",
        "paths": ["models"],
    },
    "gpt-2": _transformers("gpt2", "GPT2LMHeadModel", "gpt2", use_cache=False),
    "levit-128s": _timm("levit", "levit_128s", "LeViT-128S-96703c44.pth"),
    "mobilenet-v3-large-1.0-224-tf": _keras(
        "MobileNetV3Large", "weights_mobilenet_v3_large_224_1.0_float.h5"
    ),
    "mobilenet-v3-small-1.0-224-tf": _keras(
        "MobileNetV3Small", "weights_mobilenet_v3_small_224_1.0_float.h5"
    ),
    "modnet-photographic-portrait-matting": _modnet("photographic"),
    "modnet-webcam-portrait-matting": _modnet("webcam"),
    "repvgg-a0": _rep_vgg("A0", "RepVGG-A0-train.pth"),
    "repvgg-b1": _rep_vgg("B1", "RepVGG-B1-train.pth"),
    "repvgg-b3": _rep_vgg("B3", "RepVGG-B3-200epochs-train.pth"),
    "swin-tiny-patch4-window7-224": _timm(
        "swin_transformer", "swin_tiny_patch4_window7_224", "swin_tiny_patch4_window7_224.pth"
    ),
    "wav2vec2-base": _transformers("wav2vec2", "Wav2Vec2ForCTC", "wav2vec2-base-960h"),
}
DYNAMO = {"levit-128s"}
"""Networks that tracing does not get through, and ``torch.export`` does."""
