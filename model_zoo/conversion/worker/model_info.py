"""``model_info`` in an IR's run-time information, as openvino-model-api reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_zoo.conversion.worker import preprocess
from model_zoo.errors import ConversionError

if TYPE_CHECKING:
    import openvino as ov

    from model_zoo.conversion.worker.job import Job

_NORMALISING = ("mean_values", "scale_values", "reverse_input_channels")


def text(value: object) -> str:
    """Return a value as rt_info has it: items of lists separated by spaces, booleans as True and False."""
    if isinstance(value, (list, tuple)):
        return " ".join(text(item) for item in value)
    return str(value)


def label_text(labels: list[str]) -> str:
    """Return labels separated by spaces; a space inside a label becomes an underscore."""
    return " ".join("_".join(label.split()) or "_" for label in labels)


def entries(job: Job, model: ov.Model) -> dict[str, str]:
    """Return everything to be written under ``model_info``.

    Raises:
        ConversionError: model_info asks the caller to normalise what the graph already normalises.
    """
    info: dict[str, Any] = dict(job.model_info)
    if job.recipe.get("preprocess", "embed") == "declare":
        info = {**preprocess.declared(model, job.inputs), **info}
    else:
        embedded = preprocess.declared(model, job.inputs)
        twice = sorted(embedded.keys() & {name for name in _NORMALISING if info.get(name)})
        if twice:
            what = f"model_info declares {', '.join(twice)}, but the recipe embeds the same in the graph"
            hint = "remove it from model_info, or set recipe.preprocess: declare; otherwise it is done twice"
            raise ConversionError(what, hint=hint)
        if embedded.get("reverse_input_channels"):
            info.setdefault("color_order", "BGR")  # what the graph now takes; other readers ignore it
    if job.labels is not None and "labels" not in info:
        info["labels"] = label_text(job.labels)
    return {key: text(value) for key, value in info.items()}


def write(model: ov.Model, info: dict[str, str]) -> None:
    """Put the entries into the model's run-time information."""
    for key, value in sorted(info.items()):
        model.set_rt_info(value, ["model_info", key])
