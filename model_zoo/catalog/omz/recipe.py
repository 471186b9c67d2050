"""Arguments of the Model Optimizer and the PyTorch exporter → a recipe, or the reason why there is none.

Preprocessing is in their order: reverse the channels, subtract the mean, divide by the scale.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import PurePosixPath
from typing import Any

from model_zoo.catalog.omz.special_cases import BUILDERS, DYNAMO

PRECISIONS = ["FP16", "FP32"]
"""What the converter made of everything that was not an IR yet, the default first."""
_PER_INPUT = re.compile(r"([^,\[\]]*)\[([^\]]*)\]")
_TYPES = {
    "bool": "boolean",
    "double": "f64",
    "float": "f32",
    "half": "f16",
    "int32": "i32",
    "int8": "i8",
    "long": "i64",
    "short": "i16",
    "uint8": "u8",
}

Options = dict[str, list[str]]


def recipe_of(raw: dict[str, Any], name: str) -> tuple[dict[str, Any], str | None]:
    """Return a recipe as plain data, and why the model cannot be converted, if so.

    An argument that cannot be understood is a ValueError.
    """
    if "model_optimizer_args" not in raw:
        return {}, None
    options = _options(raw["model_optimizer_args"])
    export = _options(raw.get("conversion_to_onnx_args") or ())
    inputs = _inputs(raw, options)
    recipe: dict[str, Any] = {}
    reason = _obstacle(raw, name, options)
    if export:
        inputs = _in_call_order(inputs, export)
        recipe["builder"] = BUILDERS.get(name) or _builder(export)
        reason = reason or _no_builder(raw, name, export)
        if reason:
            del recipe["builder"]
        outputs = export["output-names"][0]
    else:
        recipe |= {"builder": BUILDERS[name]} if name in BUILDERS else {"model": _network(options)}
        outputs = (options.get("output") or [""])[0]
    recipe["inputs"] = inputs
    names = [name.strip('"') for name in outputs.split(",") if name]
    if names and "builder" in recipe and not export:
        names = []  # a network that Keras rebuilds has other names than the old graph
    if names:
        recipe["outputs"] = names
    interior = [
        port["name"] for port in inputs if raw["framework"] == "tf" and re.search("[:/]", port["name"])
    ]
    if interior:
        recipe["cut"] = {"inputs": interior}
    if name in DYNAMO:
        recipe["dynamo"] = True
    recipe["precisions"] = PRECISIONS
    return recipe, reason


def _options(arguments: list[str] | tuple[str, ...]) -> Options:
    found: Options = {}
    for argument in arguments:
        key, _, value = argument.removeprefix("--").partition("=")
        found.setdefault(key, []).append(value)
    return found


def _inputs(raw: dict[str, Any], options: Options) -> list[dict[str, Any]]:
    keys, described = ("name", "shape", "layout"), raw.get("input_info") or ()
    inputs = [{key: port[key] for key in keys if port.get(key)} for port in described]
    names = [port["name"] for port in inputs]
    for key, field in (("mean_values", "mean"), ("scale_values", "scale")):
        for target, values in _per_input(options.get(key, [""])[0], names).items():
            next(port for port in inputs if port["name"] == target)[field] = values
    for port in inputs:
        if "scale" in options:
            port["scale"] = float(options["scale"][0])
        if "reverse_input_channels" in options and _is_colour(port):
            port["reverse_channels"] = True
    shapes = re.findall(r"\[([^\]]*)\]", options.get("input_shape", [""])[0])
    for port, shape in zip(inputs, shapes, strict=False):
        port["shape"] = [int(dim) for dim in shape.split(",")]
    return inputs


def _per_input(text: str, names: list[str]) -> dict[str, Any]:
    """Read ``name[1,2,3],other[4]``, or ``[1,2,3]`` without names, which goes by position."""
    found: dict[str, Any] = {}
    for index, (name, values) in enumerate(_PER_INPUT.findall(text)):
        target = name or names[index]
        if target not in names:
            raise ValueError(f"model_optimizer_args: {text!r} names {target!r}, which is not in input_info")
        numbers = [float(value) for value in values.split(",")]
        found[target] = numbers[0] if len(numbers) == 1 else numbers
    return found


def _is_colour(port: dict[str, Any]) -> bool:
    """Whether an input has three channels; the Model Optimizer reversed no others."""
    shape, layout = port.get("shape", []), port.get("layout", "")
    if "C" in layout:
        return len(shape) == len(layout) and bool(shape[layout.index("C")] == 3)  # noqa: PLR2004
    return len(shape) == 4 and 3 in {shape[1], shape[3]}  # noqa: PLR2004


def _network(options: Options) -> str:
    """Return the file or folder handed to the converter, relative to the model's folder."""
    for key in ("input_model", "saved_model_dir", "input_meta_graph", "input_meta"):
        if key in options:
            return str(PurePosixPath(re.sub(r"^\$\w+/?", "", options[key][0]) or "."))
    raise ValueError("model_optimizer_args names no model")


def _obstacle(raw: dict[str, Any], name: str, options: Options) -> str | None:
    """Return why today's converter cannot do what the Model Optimizer's arguments demand."""
    if "transformations_config" in options:
        config = PurePosixPath(options["transformations_config"][0]).name
        return (
            f"the Model Optimizer replaced parts of its graph as {config} says, which no converter of today "
            "does; without that its outputs are not the documented ones"
        )
    if raw.get("pre_convert_script") and name not in BUILDERS:
        return "its files must first go through a script of Open Model Zoo that is not part of them"
    if "freeze_placeholder_with_value" in options:
        frozen = options["freeze_placeholder_with_value"][0].replace("->", " = ")
        return f"it needs an input frozen to a constant ({frozen}), which recipes cannot say"
    return None


def _no_builder(raw: dict[str, Any], name: str, export: Options) -> str | None:
    folders = export.get("model-path", ())
    if name in BUILDERS or not any("$config_dir" in path for path in folders):
        return None
    module = export["import-module"][0].replace(".", "/")
    for path in (_relative(path) for path in folders if "$config_dir" not in path):
        found = {str(PurePosixPath(path, module, "__init__.py")), str(PurePosixPath(path, f"{module}.py"))}
        if found & {file["name"] for file in raw["files"]}:
            return None
    return "building the network took a Python module of Open Model Zoo's own, which is not part of its files"


def _builder(export: Options) -> dict[str, Any]:
    """Return the builder that the exporter's arguments describe."""
    module, called = export["import-module"][0], export["model-name"][0]
    kwargs = dict(_parameter(text) for text in export.get("model-param", ()))
    builder: dict[str, Any]
    if module == "torchvision.models":
        builder = {"torchvision": called}
    else:
        builder = {"module": module, "callable": called}
    if kwargs:
        builder["kwargs"] = kwargs
    if "weights" in export:
        builder["weights"] = _relative(export["weights"][0])
    paths = [_relative(path) for path in export.get("model-path", ()) if "$config_dir" not in path]
    if paths and "module" in builder:
        builder["paths"] = paths
    return builder


def _parameter(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    found = _literal(value)
    return key, _relative(found) if isinstance(found, str) else found


def _literal(text: str) -> Any:  # noqa: ANN401 - plain data of any type
    """Read a Python literal that JSON can state too."""
    try:
        found = ast.literal_eval(text)
        json.dumps(found, allow_nan=False)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text[:100]!r} is not a plain value") from error
    return found


def _relative(path: str) -> str:
    return str(PurePosixPath(re.sub(r"^\$\w+/?", "", path) or "."))


def _in_call_order(inputs: list[dict[str, Any]], export: Options) -> list[dict[str, Any]]:
    """Order the inputs as the network's ``forward`` takes them, and state the types and free dimensions."""
    by_name = {port["name"]: port for port in inputs}
    kind = _TYPES[export.get("inputs-dtype", ["float"])[0]]
    shapes = _literal((export.get("input-shapes") or export["input-shape"])[0])
    shapes = shapes if isinstance(shapes[0], (list, tuple)) else [shapes]
    free = dict(_parameter(text) for text in export.get("conversion-param", ())).get("dynamic_axes", {})
    ordered = []
    for name, shape in zip(export["input-names"][0].split(","), shapes, strict=True):
        port = dict(by_name.get(name, {"name": name}))
        if "shape" not in port:
            port["shape"] = [-1 if index in free.get(name, {}) else dim for index, dim in enumerate(shape)]
        if kind != "f32":
            port["type"] = kind
        keys = ("name", "shape", "type", "layout", "mean", "scale", "reverse_channels")
        ordered.append({key: port[key] for key in keys if key in port})
    return ordered
