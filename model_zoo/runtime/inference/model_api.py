"""Decoding by openvino-model-api, as the ``model_info`` in an IR's run-time information says."""

from __future__ import annotations

import copy
import importlib.util
import sys
import threading
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from model_zoo.errors import InputError, LoadError
from model_zoo.formats.ports import cut_middle
from model_zoo.runtime.core import core, reason
from model_zoo.runtime.inference.items import Picture
from model_zoo.runtime.inference.parts import Keypoint, Label, Mask, make_box
from model_zoo.runtime.inference.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import openvino

    from model_zoo.runtime.inference.decode.scene import Array, Scene
    from model_zoo.runtime.inference.items import Item
    from model_zoo.runtime.inference.plain import Plain, Steps

NEEDED = "decoding needs openvino-model-api (Python 3.11 or later): pip install 'model-zoo[vision]'"


_BLACK = 64
_IMAGENET = 224
"""Pixels on a side of what most classifications take."""
_registry = threading.Lock()


def is_available() -> bool:
    """Whether openvino-model-api is installed."""
    return importlib.util.find_spec("model_api") is not None if "model_api" not in sys.modules else True


class ModelApi:
    """A network in openvino-model-api's wrapper, which resizes in the graph and decodes the outputs.

    Args:
        xml: the IR.
        kind: the wrapper's name, such as ``SSD``.
        plain: what answers inputs that are no pictures.
        compile: compiles the network as the wrapper has changed it.
        shapes: of inputs, as the caller wants them.

    Raises:
        LoadError: the wrapper cannot take this network.
    """

    def __init__(
        self,
        xml: Path,
        kind: str,
        plain: Plain,
        compile: Callable[[openvino.Model], openvino.CompiledModel],  # noqa: A002 - OpenVINO's word
        shapes: Mapping[str, list[int]],
    ) -> None:
        self.plain = plain
        self.scene = plain.scene
        self.raw = False
        port = next((port for port in plain.ports if port.takes_picture), None)
        declared = port.declared if port is not None else None
        # The wrappers do not know it; it is of classifications only, whose answers have no place.
        self.fraction = (declared.crop_fraction if declared and kind == "Classification" else None) or 1.0
        core()  # imports openvino without its telemetry, before Model API imports it with
        from model_api.adapters import OpenvinoAdapter

        class Adapter(OpenvinoAdapter):  # type: ignore[misc]
            """Compiles as everything else here does, through the cache of compiled blobs."""

            def load_model(self) -> None:
                self.compiled_model = compile(self.model)

        adapter = Adapter(core(), str(xml))
        shapes = shapes or _closed(plain, kind)
        try:
            if shapes:
                adapter.reshape_model(shapes)
            wrapper_class = _wrapper_class(kind)
            self.wrapper: Any = wrapper_class(
                adapter, self._configuration(wrapper_class, adapter), preload=False
            )
            if not hasattr(adapter, "compiled_model"):  # nothing was embedded: the picture's size is open
                self.wrapper.load()
        except LoadError:
            raise
        except Exception as error:  # the wrappers raise errors of their own, of Python and of OpenVINO
            what = f"openvino-model-api cannot decode this network as {kind}"
            raise LoadError(what, found=reason(error), hint="correct decode in its catalog entry") from error
        self.compiled: openvino.CompiledModel = adapter.compiled_model
        self.names = list(adapter.get_output_layers())

    def _configuration(self, wrapper: Any, adapter: Any) -> dict[str, Any]:  # noqa: ANN401 - of Model API
        """Return what the caller wants, in the words of the wrapper, as far as it has them."""
        known = wrapper.parameters()
        wanted: dict[str, Any] = {"confidence_threshold": self.scene.threshold}
        if "topk" in known:
            sizes = [max(layer.shape, default=1) for layer in adapter.get_output_layers().values()]
            wanted["topk"] = min(self.scene.top, max(sizes))
        return {name: value for name, value in wanted.items() if value is not None and name in known}

    def run(self, item: Item | None) -> Steps:
        """Answer one picture; None is a black one, of which nothing is decoded."""
        if item is None:
            black = np.zeros((_BLACK, _BLACK, 3), np.uint8)
            values = yield self.wrapper.base_preprocess(black)[0]
            return self.plain.answer(None, dict(zip(self.plain.names, values, strict=True)), self.scene)
        if not isinstance(item, Picture):
            raise InputError(
                f"{item.name} is no picture, which this model takes",
                hint="give a picture, or feed arrays to what model_zoo.load returns",
            )
        pixels = item.pixels if self.fraction == 1 else _middle(item.pixels, self.fraction)
        try:
            arrays, meta = self.wrapper.base_preprocess(np.ascontiguousarray(pixels[:, :, ::-1]))
        except Exception as error:
            raise _failed(item, error) from error
        values = yield arrays
        # The wrappers write into their arguments, and what is shown as outputs is what the network returned.
        copies = {name: value.copy() for name, value in zip(self.names, values, strict=True)}
        try:
            result = self.wrapper.postprocess(copies, meta)
        except Exception as error:
            raise _failed(item, error) from error
        found = translate(result, self.scene)
        outputs = dict(zip(self.plain.names, values, strict=True))
        return replace(found, source=item.name, outputs=outputs, picture=item.pixels)


def _closed(plain: Plain, kind: str) -> dict[str, list[int]]:
    """Return a size for the picture of a classification that leaves it open, which its wrapper cannot."""
    port = next((port for port in plain.ports if port.takes_picture), None)
    if kind != "Classification" or port is None or port.layout is None:
        return {}
    sizes = dict(zip(port.layout, port.shape, strict=True))
    if sizes["H"] and sizes["W"]:
        return {}
    return {port.name: [sizes[letter] or {"N": 1, "C": 3}.get(letter, _IMAGENET) for letter in port.layout]}


@cache
def _wrapper_class(kind: str) -> Any:  # noqa: ANN401 - of Model API
    """Return a wrapper's class with parameters of its own.

    In Model API 0.4 all wrappers share their parameters, and YOLO's change the defaults: after one has been
    made, a classification would divide by 255 too.
    """
    from model_api.models import Model, parameters

    spec = importlib.util.spec_from_file_location(
        f"{parameters.__name__}_unchanged", str(parameters.__file__)
    )
    assert spec is not None  # noqa: S101 - the module has just been imported
    assert spec.loader is not None  # noqa: S101
    unchanged = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unchanged)
    base = Model.get_model_class(kind)
    with _registry:
        shared, fresh = _by_name(parameters.ParameterRegistry), _by_name(unchanged.ParameterRegistry)
        before = {name: value.default_value for name, value in shared.items()}
        try:
            for name, value in shared.items():
                value.update_default_value(fresh[name].default_value)
            own = copy.deepcopy(base.parameters())
        finally:
            for name, value in shared.items():
                value.update_default_value(before[name])
    return type(base.__name__, (base,), {"parameters": classmethod(lambda _: own)})


def _by_name(registry: Any) -> dict[tuple[str, str], Any]:  # noqa: ANN401 - of Model API
    groups = {group: known for group, known in vars(registry).items() if group.isupper()}
    return {(group, name): value for group, known in groups.items() for name, value in known.items()}


def _middle(pixels: Array, fraction: float) -> Array:
    from PIL import Image

    return np.asarray(cut_middle(Image.fromarray(pixels), fraction))


def _failed(item: Item, error: Exception) -> InputError:
    return InputError(
        f"openvino-model-api cannot decode {item.name}", found=reason(error), hint="try another input"
    )


def translate(result: Any, scene: Scene) -> Prediction:  # noqa: ANN401 - of Model API
    """Return a result of openvino-model-api as a prediction.

    Raises:
        LoadError: it is of a kind that has no place in one.
    """
    if hasattr(result, "top_labels"):
        least = scene.threshold or 0.0
        labels = [
            Label(int(one.id), _name(one.name, one.id, scene), float(one.confidence))
            for one in result.top_labels
        ]
        return Prediction(labels=[one for one in labels if one.score >= least], found="classes")
    if hasattr(result, "bboxes"):
        return _detections(result, scene)
    if hasattr(result, "resultImage") or isinstance(result, np.ndarray):
        classes = result if isinstance(result, np.ndarray) else result.resultImage
        return Prediction(masks=_class_masks(classes, scene), found="objects")
    if hasattr(result, "keypoints"):
        rows = zip(
            np.reshape(result.keypoints, (-1, 2)).tolist(),
            np.reshape(result.scores, -1).tolist(),
            strict=True,
        )
        points = [
            Keypoint(x, y, score=s, name=scene.name(i, " ").strip()) for i, ((x, y), s) in enumerate(rows)
        ]
        return Prediction(keypoints=points, found="points")
    if hasattr(result, "pred_label"):
        label = Label(0, str(result.pred_label), float(result.pred_score))
        masks = [Mask(1, "anomaly", np.asarray(result.pred_mask, bool))] if np.any(result.pred_mask) else []
        return Prediction(labels=[label], masks=masks, found="classes")
    what = f"openvino-model-api answers with {type(result).__name__}, which cannot be shown here"
    raise LoadError(what, hint="use openvino-model-api itself with the IR")


def _detections(result: Any, scene: Scene) -> Prediction:  # noqa: ANN401 - of Model API
    order = np.argsort(-np.asarray(result.scores), kind="stable")
    names = list(result.label_names)
    boxes = [
        make_box(
            result.bboxes[i], result.scores[i], _name(names[i], result.labels[i], scene), result.labels[i]
        )
        for i in order
    ]
    pixels = getattr(result, "masks", ())
    masks = [
        Mask(box.id, box.label, np.asarray(pixels[i]) > 0.5, box.score)  # noqa: PLR2004 - half
        for i, box in zip(order, boxes, strict=True)
        if len(pixels)
    ]
    return Prediction(boxes=boxes, masks=masks, found="objects")


def _class_masks(classes: Array, scene: Scene) -> list[Mask]:
    """Return a mask for each class that a pixel has; without labels, class 0 is the background."""
    ids = [int(one) for one in np.unique(classes)]
    shown = ids if scene.labels else [one for one in ids if one]
    return [Mask(one, scene.name(one), classes == one) for one in shown]


def _name(given: str | None, index: int, scene: Scene) -> str:
    """Return a label as its list has it: in ``model_info`` spaces are underscores."""
    if not given or given == "#":
        return scene.name(int(index))
    own = {"_".join(label.split()): label for label in scene.labels}
    return own.get(given, given)
