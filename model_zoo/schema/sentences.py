"""What an entry says about its model, in sentences: what it is fed, what it gives, its terms, how good it is.

``info``, the catalog page and notebooks print these, each about one model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from model_zoo.schema.knowledge import Complexity, License, Metric, ModelInput, ModelOutput
    from model_zoo.schema.recipe import Input, Numbers, Recipe

_MANY = 8
"""More inputs or outputs than this are not all told."""
_FED = {
    "image": "a picture",
    "audio": "sound",
    "tokens": "token ids",
    "text": "text",
    "points": "points",
    "file": "a file of any kind",
    "tensor": "a tensor",
}
_RESIZED = {
    "stretch": "stretched to {}",
    "crop": "cropped to {}",
    "fit": "fitted into {}, padded at the lower right",
    "letterbox": "fitted into {}, padded all around",
}
_GIVEN = {
    "class_scores": "a score for each class",
    "detections": "boxes with class and score",
    "boxes": "boxes",
    "keypoints": "points",
    "heatmap": "a map of scores",
    "embedding": "a vector that describes the input",
    "mask": "a mask",
    "text_logits": "a score for each character or token at each step",
    "waveform": "sound",
    "tensor": "a tensor",
}


def inputs_in_words(ports: Sequence[ModelInput], recipe: Recipe) -> list[str]:
    """Return what each input is fed, such as ``a picture, BGR, values 0..255, stretched to 672 x 384``."""
    prepared = {port.name: port for port in recipe.inputs if recipe.preprocess == "embed"}
    only = next(iter(prepared.values())) if len(prepared) == len(ports) == 1 else None
    texts = [_fed(port, prepared.get(port.name, only)) for port in ports]
    return _with_names([port.name for port in ports], texts)


def outputs_in_words(ports: Sequence[ModelOutput], labels: Sequence[str] = ()) -> list[str]:
    """Return what each output holds, such as ``up to 200 boxes with class and score``.

    ``labels`` are those of a single output that has none of its own.
    """
    common = labels if len(ports) == 1 else ()
    return _with_names([port.name for port in ports], [_given(port, port.labels or common) for port in ports])


def license_in_words(terms: License) -> str:
    """Return the terms, such as ``Apache-2.0 (https://…)``."""
    if terms.spdx is None:
        text = f"see {terms.url}" if terms.url else "not stated"
    else:
        text = f"{terms.spdx} ({terms.url})" if terms.url else terms.spdx
    return f"{text}; must be accepted at its source before it can be fetched" if terms.gated else text


def metrics_in_words(metrics: Iterable[Metric]) -> list[str]:
    """Return each figure, such as ``mAP 0.941 on WIDER FACE (FP16)``."""
    return [_measured(metric) for metric in metrics]


def complexity_in_words(complexity: Complexity | None) -> str | None:
    """Return what one inference costs, such as ``2.835 GFLOPs, 1.053 million parameters``."""
    if complexity is None:
        return None
    parts = [
        f"{complexity.gflops:g} GFLOPs" if complexity.gflops is not None else "",
        f"{complexity.mparams:g} million parameters" if complexity.mparams is not None else "",
    ]
    return ", ".join(filter(None, parts)) or None


def _with_names(names: Sequence[str | None], texts: list[str]) -> list[str]:
    if len(names) <= 1:
        return texts
    said = [text if name is None else f"{name}: {text}" for name, text in zip(names, texts, strict=True)]
    return said if len(said) <= _MANY else [*said[: _MANY - 1], f"and {len(said) - _MANY + 1} more"]


def _fed(port: ModelInput, prepared: Input | None) -> str:
    parts = _picture(port) if port.kind == "image" else [_FED[port.kind]]
    if port.rate is not None:
        parts[0] += f" at {port.rate / 1000:g} kHz"
    if port.kind not in {"image", "file"} and port.shape:
        parts[0] += f" of {_dims(port.shape)}"
    if port.mean is not None:
        parts.append(f"minus {_numbers(port.mean)}")
    if port.scale is not None:
        parts.append(f"divided by {_numbers(port.scale)}")
    notes = [port.format] if port.format else []
    done = _done_by_ir(prepared)
    if done:
        notes.append(f"{done} in the IR")
    return ", ".join(parts) + "".join(f" ({note})" for note in notes)


def _picture(port: ModelInput) -> list[str]:
    size = ""
    if (width := port.size_of("W")) and (height := port.size_of("H")):
        size = f"{width} x {height}"
    elif port.shape and port.layout:
        size = "any size"
    resized = size and port.resize
    parts = [_FED["image"] if resized or not size else f"{_FED['image']} of {size}"]
    parts += [port.color] if port.color else []
    parts += [f"values {port.range[0]:g}..{port.range[1]:g}"] if port.range else []
    if resized:
        middle = f"the middle {100 * port.crop_fraction:.3g} % of it " if port.crop_fraction else ""
        parts.append(middle + _RESIZED[resized].format(size))
    return parts


def _done_by_ir(prepared: Input | None) -> str:
    if prepared is None:
        return ""
    done = [name for name in ("mean", "scale") if getattr(prepared, name) is not None]
    if prepared.reverse_channels:
        done.append("the exchange of red and blue")
    *others, last = done or [""]
    return f"{', '.join(others)} and {last} are" if others else f"{last} is" if last else ""


def _given(port: ModelOutput, labels: Sequence[str]) -> str:
    last = port.shape[-1] if port.shape else None
    if port.kind == "class_scores" and (labels or (isinstance(last, int) and last > 1)):
        text = f"a score for each of {len(labels) or last} classes"
    elif port.kind == "detections" and port.shape and len(port.shape) > 1 and _is_count(port.shape[-2]):
        text = f"up to {port.shape[-2]} boxes with class and score"
    elif port.kind == "text_logits" and (port.format or "").startswith("text"):
        return str(port.format)  # a pipeline samples, and gives the text
    elif port.kind == "embedding" and isinstance(last, int) and last > 1:
        text = f"a vector of {last} numbers that describes the input"
    else:
        text = _GIVEN[port.kind]
        if port.kind in {"heatmap", "mask", "tensor"} and port.shape:
            text += f" of {_dims(port.shape)}"
    return f"{text} ({port.format})" if port.format else text


def _is_count(dim: int | str) -> bool:
    return isinstance(dim, int) and dim > 0


def _dims(shape: Sequence[int | str]) -> str:
    return " x ".join("any" if dim in {-1, "?"} else str(dim) for dim in shape)


def _numbers(value: Numbers) -> str:
    return " ".join(f"{number:g}" for number in (value if isinstance(value, tuple) else (value,)))


def _measured(metric: Metric) -> str:
    unit = {None: "", "ratio": "", "%": " %"}.get(metric.unit, f" {metric.unit}")
    dataset = f" on {metric.dataset}" if metric.dataset else ""
    of = "" if metric.of == "original" else f" ({metric.of})"
    return f"{metric.name} {metric.value:g}{unit}{dataset}{of}"
