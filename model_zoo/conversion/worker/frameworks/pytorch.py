"""PyTorch: a builder and its weights, TorchScript, or an exported program."""

from __future__ import annotations

import contextlib
import inspect
import re
import zipfile
from typing import TYPE_CHECKING, Any

from model_zoo.conversion.worker import torchvision
from model_zoo.conversion.worker.builders import (
    FILES,
    arguments_of,
    builder_of,
    callable_of,
    examples_of,
    untrusted_code,
)
from model_zoo.conversion.worker.explain import needs
from model_zoo.conversion.worker.ports import convert_traced
from model_zoo.errors import ConversionError, UnsupportedModelError
from model_zoo.formats.frameworks import FRAMEWORKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import openvino as ov

    from model_zoo.conversion.worker.job import Job

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "params_ema", "params")
"""Keys under which checkpoints keep the weights."""
_PROGRAM = re.compile(r"(?:^|/)(?:archive_format|archive_version|serialized_exported_program\.json)$")
"""Members of an exported program; loading one unpickles Python objects."""
_REACHES_OUT = re.compile(
    r"\b(?:getattr|save|from_file)\b"
    r"|\bops\b(?!\.(?:aten|prim|quantized|torchvision)\.)"
    r"|\bclasses\b(?=\s*[.\\#])(?!\.(?:quantized|rnn|xnnpack)\.)"
)
"""Words of TorchScript that reach files, operators of other libraries, or either under another name."""
_PLAIN_GETATTR = re.compile(r'\bgetattr\(([\w.]+), "(\w+)"\)')
"""How PyTorch writes an attribute whose name is a number, such as a layer of a sequence."""
_DEPTH = 20
"""How deeply such attributes may be nested."""


def read(job: Job) -> ov.Model:
    """Build or load the network, and trace it with the recipe's example inputs.

    Raises:
        MissingExtraError: torch is not installed.
        UntrustedCodeError: the file runs code when it is loaded, which is not trusted.
        ConversionError: the weights do not fit, or there is nothing to build the network with.
        UnsupportedModelError: it uses operators that this build of torchvision lacks.
    """
    if not job.recipe.get("builder") and not job.trust_code and _is_program(job.network):
        raise untrusted_code("loading an exported program unpickles Python objects", job.network.name)
    with needs("converting a PyTorch model", "torch"):
        import torch
    torch.manual_seed(0)
    torch.backends.mha.set_fastpath_enabled(False)  # OpenVINO converts its parts, not the fused operator
    network = _build(job) if job.recipe.get("builder") else _load(job)
    try:
        return _convert(job, network)
    except RuntimeError as error:
        if any("torchvision.nms" in str(cause) or "C++ ops" in str(cause) for cause in _causes(error)):
            what = (
                "this network needs torchvision's compiled operators, which this build of torchvision lacks"
            )
            hint = "install builds of torch and torchvision that belong together"
            raise UnsupportedModelError(what, hint=hint) from error
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _build(job: Job) -> Any:  # noqa: ANN401 - a torch.nn.Module
    builder = builder_of(job)
    kwargs = arguments_of(job, builder)
    path = _weights(job, builder)
    if builder.get("torchvision"):
        network, loaded = torchvision.build(builder["torchvision"], kwargs, path, _read_weights)
    else:
        torchvision.make_importable()  # the builder may import it: transformers does
        network, loaded = callable_of(job, builder)(**kwargs), False
    network.eval()
    if path is not None and not loaded:
        _load_weights(network, path)
    return torchvision.plain_outputs(network) if builder.get("torchvision") else network


def _weights(job: Job, builder: dict[str, Any]) -> Path | None:
    named = builder.get("weights") or job.recipe.get("model")
    if named:
        return job.file(named, "recipe.builder.weights")
    if any(str(value).startswith(FILES) for value in builder.get("kwargs", {}).values()):
        return None  # the builder gets the paths of the files, and loads them itself
    suffixes = (*FRAMEWORKS["pytorch"].suffixes, ".safetensors")
    paths = [job.files / path for path in job.artifacts if path.endswith(suffixes)]
    if len(paths) > 1:
        what = f"{len(paths)} of the model's files could be its weights"
        raise ConversionError(what, found=", ".join(job.artifacts), hint="name one in recipe.builder.weights")
    return paths[0] if paths else None


def _load_weights(network: Any, path: Path) -> None:  # noqa: ANN401
    state = _read_weights(path)
    if not isinstance(state, dict):
        what = f"{path.name} contains a {type(state).__name__}, not named weights"
        raise ConversionError(what, hint="name the file of a state dict in recipe.builder.weights")
    for wrapper in _WRAPPERS:
        if isinstance(state.get(wrapper), dict):
            state = state[wrapper]
            break
    state = {name.removeprefix("module."): value for name, value in state.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        what = f"the weights in {path.name} do not fit the network that the builder made"
        raise ConversionError(
            what, found="; ".join(lines)[:400], hint="check recipe.builder: name, kwargs and weights"
        ) from error


def _read_weights(path: Path) -> Any:  # noqa: ANN401
    """Read tensors only: a checkpoint is a pickle, and unpickling may run code."""
    import pickle

    import torch

    if path.suffix == ".safetensors":
        with needs("reading this file", "safetensors"):
            from safetensors.torch import load_file
        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        what = f"{path.name} contains more than weights: Python objects, which could run code when loaded"
        raise ConversionError(
            what,
            found=str(error).splitlines()[0],
            hint="use a state dict, TorchScript or an exported program instead",
        ) from error


def _is_program(path: Path) -> bool:
    """Whether a file is an exported program, by its name or its content."""
    if path.suffix.lower() == ".pt2":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return any(map(_PROGRAM.search, archive.namelist()))
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def _refuse_reaching_out(path: Path) -> None:
    """Refuse TorchScript that could do more than compute.

    TorchScript is a program for PyTorch's own interpreter. It knows no Python, but parts of it run while it
    is loaded, and two of its operators read and write any file.
    """
    import torch

    archive = torch._C.PyTorchFileReader(str(path))  # noqa: SLF001 - reads it as torch.jit.load does
    for name in archive.get_all_records():
        code = archive.get_record(name).decode(errors="replace") if name.endswith(".py") else ""
        for _ in range(_DEPTH):
            code, count = _PLAIN_GETATTR.subn(r"\1.\2", code)
            if not count:
                break
        if found := _REACHES_OUT.search(code):
            what = "this TorchScript names operators that can do more than compute"
            raise untrusted_code(what, f"{found[0]} in {path.name}/{name}")


def _load(job: Job) -> Any:  # noqa: ANN401
    """Load TorchScript or an exported program."""
    import torch

    path = job.network
    if _is_program(path):
        return torch.export.load(path)
    try:
        if not job.trust_code:
            _refuse_reaching_out(path)
        network = torch.jit.load(str(path), map_location="cpu")
    except RuntimeError as error:
        what = f"{path.name} is not TorchScript, and the recipe does not name code that builds the network"
        raise ConversionError(
            what,
            found=str(error).splitlines()[0],
            hint="add recipe.builder: {torchvision: NAME} or {module: …, callable: …}",
        ) from error
    return network.eval()


def _convert(job: Job, network: Any) -> ov.Model:  # noqa: ANN401
    import torch

    if isinstance(network, torch.export.ExportedProgram):
        return convert_traced(job, network)
    arrays = examples_of(job)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    accepted = _parameters(network)
    by_name = all(name in accepted for name in tensors)
    example: Any = tensors if by_name else tuple(tensors.values())
    shapes = job.shapes or []
    inputs: object = None
    if len(shapes) == len(arrays):
        inputs = list(zip(tensors, shapes, strict=True)) if by_name else shapes
    dynamo = bool(job.recipe.get("dynamo"))
    return convert_traced(job, network, input=inputs, example_input=example, dynamo=dynamo)


def _parameters(network: Any) -> set[str]:  # noqa: ANN401
    with contextlib.suppress(TypeError, ValueError):
        if hasattr(network, "schema") or hasattr(network, "graph"):
            return set()  # TorchScript takes its inputs by position
        return set(inspect.signature(network.forward).parameters)
    return set()
