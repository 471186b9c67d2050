"""From an IR and its catalog entry to a predictor: who decodes what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.errors import InputError
from model_zoo.runtime import model_info
from model_zoo.runtime.core import read_model
from model_zoo.runtime.inference import model_api
from model_zoo.runtime.inference.decode.classes import decode_classes
from model_zoo.runtime.inference.decode.scene import Scene
from model_zoo.runtime.inference.items import Audio, Picture, Tensors
from model_zoo.runtime.inference.plain import Plain, output_names
from model_zoo.runtime.inference.ports import input_ports, reshape
from model_zoo.runtime.inference.predictor import Predictor
from model_zoo.runtime.inference.speech import Speech
from model_zoo.schema.decoding import MODEL_API

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import openvino

    from model_zoo.runtime.inference.items import Item
    from model_zoo.runtime.inference.ports import Shapes
    from model_zoo.schema import Model

_MODEL_API = {name.casefold(): name for name in MODEL_API}


def open_predictor(
    xml: Path,
    entry: Model,
    compile: Callable[[openvino.Model | None], openvino.CompiledModel],  # noqa: A002 - OpenVINO's word
    *,
    top: int = 5,
    threshold: float | None = None,
    shapes: Shapes | None = None,
) -> Predictor:
    """Return a predictor of an IR.

    Args:
        xml: the IR.
        entry: its catalog entry.
        compile: compiles a network for the device that the caller wants; None is the IR as it is.
        top: how many classes of a classification to return.
        threshold: the score from which something counts, instead of the entry's.
        shapes: of inputs whose size is open.

    Raises:
        UsageError: a shape is for no input, or does not fit.
        LoadError: the network cannot be read, compiled, or decoded as it should.
    """
    model, shapes = read_model(xml), shapes or {}
    info = model_info(model)
    reshape(model, shapes)
    decode = entry.decode
    scene = Scene(
        labels=_labels(entry, model, info),
        output_labels={str(one.name): one.labels for one in entry.outputs if one.labels},
        parameters=decode.parameters if decode is not None else {},
        threshold=threshold,
        top=top,
    )
    ports, names = input_ports(model, entry), output_names(model)
    own = decode is not None and not decode.by_model_api
    kind = None if own else _MODEL_API.get(info.get("model_type", "").casefold())
    note = model_api.NEEDED if kind is not None and not model_api.is_available() else None
    made = Speech if decode is not None and decode.type == "speech_activity" else Plain
    plain = made(names, ports, info, entry, scene, note)
    if kind == "Classification" and note is None and any(port.is_grey for port in ports):
        plain.decoder, kind = decode_classes, None  # the wrapper takes pictures in colour only
    if kind is None or note is not None:
        return Predictor(entry.name, compile(model if shapes else None), plain)
    wrapped = model_api.ModelApi(xml, kind, plain, compile, {n: list(shape) for n, shape in shapes.items()})
    return Predictor(entry.name, wrapped.compiled, wrapped)


def open_original(
    name: str,
    model: openvino.Model,
    compile: Callable[[openvino.Model], openvino.CompiledModel],  # noqa: A002 - OpenVINO's word
    shapes: Shapes | None = None,
) -> Predictor:
    """Return a predictor of an original file, of which nothing is known beside its graph.

    Raises:
        UsageError: a shape is for no input, or does not fit.
        CompileError: the device refuses the network.
    """
    reshape(model, shapes or {})
    note = "the original file does not say how to decode them"
    plain = Plain(output_names(model), input_ports(model), {}, None, Scene(), note)
    return Predictor(name, compile(model), plain)


def check_kind(item: Item, entry: Model) -> None:
    """Refuse an input of a kind that the model does not take, as far as its entry says.

    Raises:
        InputError: says what it takes.
    """
    kinds = {port.kind for port in entry.inputs if port.kind != "tensor"}
    if not kinds or isinstance(item, Tensors) or "file" in kinds:
        return
    words = {"image": "a picture", "audio": "sound", "points": "points"}
    given = {Picture: "image", Audio: "audio"}.get(type(item))
    if kinds <= {"text", "tokens"}:
        what = f"{entry.name} takes tokens, and {item.name} is none"
        hint = "make them with the model's tokenizer, and give a dict or an .npz file of arrays by input"
        raise InputError(what, hint=hint)
    if given is not None and given not in kinds:
        takes = " and ".join(words.get(kind, kind) for kind in sorted(kinds))
        what = f"{entry.name} takes {takes}, and {item.name} is {words[given]}"
        raise InputError(what, hint=f"give {takes}")


def _labels(entry: Model, model: openvino.Model, info: dict[str, str]) -> tuple[str, ...]:
    """Return the classes: the entry's, else the IR's, else the characters that the original file names."""
    if isinstance(entry.labels, tuple):
        return entry.labels
    if info.get("labels"):
        return tuple(info["labels"].split())
    if (
        entry.decode is not None
        and entry.decode.type == "ctc"
        and model.has_rt_info(["framework", "character"])
    ):
        return tuple(str(model.get_rt_info(["framework", "character"]).value).split("\n"))
    _, _, narrower = entry.task.partition("/")
    return (narrower,) if entry.decode is not None and entry.decode.type == "ssd_anchors" and narrower else ()
