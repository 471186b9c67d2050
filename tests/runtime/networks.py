"""Small networks, and predictors of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from PIL import Image

from model_zoo import runtime
from model_zoo.runtime.inference.opening import open_predictor
from tests.conversion import support

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.runtime.inference.predictor import Predictor

ops = ov.opset13
PIXELS = {"kind": "image", "color": "RGB", "range": [0, 255]}


def parameter(
    shape: list[int] | str, kind: Any = np.float32, name: str = "x", layout: str | None = None
) -> Any:
    made = ops.parameter(ov.PartialShape(shape), kind, name=name)
    made.output(0).set_names({name})
    if layout:
        made.set_layout(ov.Layout(layout))
    return made


def named(node: Any, name: str) -> Any:
    node.output(0).set_names({name})
    return node


def same(shape: list[int] | str, kind: Any = np.float32, layout: str | None = None) -> ov.Model:
    """Return a network whose output is its input."""
    x = parameter(shape, kind, layout=layout)
    return ov.Model([named(ops.convert(x, "f32"), "y")], [x], "m")


def constant(shape: list[int], layout: str = "NCHW", **values: np.ndarray) -> ov.Model:
    """Return a network that gives these values, whatever picture of a shape it gets."""
    x = parameter(shape, layout=layout)
    axes = ops.constant(np.arange(len(shape)))
    zero = ops.multiply(ops.reduce_sum(x, axes, keep_dims=False), ops.constant(np.float32(0)))
    results = []
    for name, value in values.items():
        nothing = zero if value.dtype == np.float32 else ops.convert(zero, ov.Type(value.dtype).to_string())
        results.append(named(ops.add(ops.constant(value), nothing), name))
    return ov.Model(results, [x], "m")


def predictor(folder: Path, model: ov.Model, info: dict[str, str] | None = None, **fields: Any) -> Predictor:
    """Return a predictor of a network; keywords in small letters are the catalog entry's fields.

    Args:
        folder: where its IR is written.
        model: the network.
        info: its ``model_info``.
        fields: ``top``, ``threshold`` and ``shapes`` of the caller; all others are of the entry.
    """
    for name, value in (info or {}).items():
        model.set_rt_info(value, ["model_info", name])
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, folder / "m.xml", compress_to_fp16=False)
    wishes = {name: fields.pop(name) for name in ("top", "threshold", "shapes") if name in fields}

    def compile_it(network: ov.Model | None) -> ov.CompiledModel:
        if network is None:
            return runtime.compile(folder / "m.xml", key="k", device="CPU", config=support.EXACT)
        return runtime.compile_model(network, device="CPU", config=support.EXACT)

    return open_predictor(
        folder / "m.xml", support.entry("openvino", "m.xml", "m.bin", **fields), compile_it, **wishes
    )


def picture(path: Path, size: tuple[int, int] = (20, 10)) -> Path:
    """Write a picture whose left half has a colour and whose right half is black."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2] = (200, 100, 50)
    Image.fromarray(pixels).save(path)
    return path
