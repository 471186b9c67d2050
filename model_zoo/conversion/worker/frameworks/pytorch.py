"""PyTorch: a builder and its weights, TorchScript, an exported program."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

import openvino as ov

from model_zoo.conversion.worker import frontend, torchvision
from model_zoo.conversion.worker.builders import FILES, arguments_of, builder_of, callable_of
from model_zoo.conversion.worker.example_inputs import examples_of
from model_zoo.conversion.worker.explain import ways_to
from model_zoo.conversion.worker.port_names import name_ports
from model_zoo.errors import ConversionError, MissingExtraError, UnsupportedModelError
from model_zoo.formats.network import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_zoo.conversion.worker.job import Job

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "params_ema", "params")


def read(job: Job) -> ov.Model:
    """Build or load the network, trace it with the recipe's examples, and name its ports.

    Raises:
        MissingExtraError: torch is not installed.
        ConversionError: the weights do not fit, or there is nothing to build the network with.
        UnsupportedModelError: it uses operators that this build of torchvision lacks.
    """
    try:
        import torch
    except ImportError as error:
        what = f"converting a PyTorch model needs torch, which cannot be imported: {error}"
        raise MissingExtraError(what, hint=ways_to("torch torchvision")) from error
    torch.manual_seed(0)
    torch.backends.mha.set_fastpath_enabled(False)  # OpenVINO converts its parts, not the fused operator
    network = _build(job) if job.recipe.get("builder") else _load(job, job.network)
    try:
        model = _convert(job, network)
    except RuntimeError as error:
        if any("torchvision.nms" in str(cause) or "C++ ops" in str(cause) for cause in _causes(error)):
            what = (
                "this network uses torchvision's compiled operators, and this build of torchvision has none"
            )
            raise UnsupportedModelError(
                what, hint="install torch and torchvision that were built for each other"
            ) from error
        raise
    name_ports(job, model)
    return frontend.select(job, model) if frontend.selects(job) else model


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
        torchvision.make_importable()  # whose code this is may import it: transformers does
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
        return None  # it was told where the files are, and loads them itself
    paths = [job.files / one for one in job.artifacts if one.endswith((*SUFFIXES["pytorch"], ".safetensors"))]
    if len(paths) > 1:
        what = f"the model has {len(paths)} files that could be its weights"
        raise ConversionError(what, found=", ".join(job.artifacts), hint="name one in recipe.builder.weights")
    return paths[0] if paths else None


def _load_weights(network: Any, path: Path) -> None:  # noqa: ANN401
    state = _read_weights(path)
    if not isinstance(state, dict):
        what = f"{path.name} holds a {type(state).__name__}, not weights by name"
        raise ConversionError(what, hint="name a state dict in recipe.builder.weights")
    for wrapper in _WRAPPERS:
        if isinstance(state.get(wrapper), dict):
            state = state[wrapper]
            break
    state = {name.removeprefix("module."): value for name, value in state.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        what = f"the weights in {path.name} do not fit the network the builder made"
        raise ConversionError(
            what, found="; ".join(lines)[:400], hint="check recipe.builder: name, kwargs and weights"
        ) from error


def _read_weights(path: Path) -> Any:  # noqa: ANN401
    """Read tensors only: a checkpoint is a pickle, and unpickling may run code."""
    import pickle

    import torch

    if path.suffix == ".safetensors":
        with _needs("safetensors"):
            from safetensors.torch import load_file
        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        what = f"{path.name} is not weights only: it holds Python objects, which could run code when read"
        raise ConversionError(
            what,
            found=str(error).splitlines()[0],
            hint="use a state dict, TorchScript or an exported program",
        ) from error


@contextlib.contextmanager
def _needs(package: str) -> Any:  # noqa: ANN401
    try:
        yield
    except ImportError as error:
        what = f"reading this file needs {package}, which is not installed"
        raise MissingExtraError(what, hint=f"pip install {package}") from error


def _load(job: Job, path: Path) -> Any:  # noqa: ANN401
    """Load TorchScript or an exported program."""
    import torch

    if path.suffix == ".pt2":
        return torch.export.load(path)
    try:
        network = torch.jit.load(str(path), map_location="cpu")
    except RuntimeError as error:
        what = f"{path.name} is not TorchScript, so the recipe must name the code that builds the network"
        raise ConversionError(
            what,
            found=str(error).splitlines()[0],
            hint="add recipe.builder: {torchvision: NAME} or {module: …, callable: …}",
        ) from error
    del job
    return network.eval()


def _convert(job: Job, network: Any) -> ov.Model:  # noqa: ANN401
    import torch

    if isinstance(network, torch.export.ExportedProgram):
        return ov.convert_model(network, extension=job.extensions or None)
    arrays = examples_of(job)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    accepted = _parameters(network)
    by_name = all(name in accepted for name in tensors)
    example: Any = tensors if by_name else tuple(tensors.values())
    shapes = [spec.partial_shape for spec in job.inputs if spec.partial_shape is not None]
    stated: Any = None
    if len(shapes) == len(arrays) and not by_name:
        stated = shapes
    elif len(shapes) == len(arrays):
        stated = [(name, shape) for name, shape in zip(tensors, shapes, strict=True)]
    return ov.convert_model(
        network,
        input=stated,
        example_input=example,
        extension=job.extensions or None,
        dynamo=bool(job.recipe.get("dynamo")),
    )


def _parameters(network: Any) -> set[str]:  # noqa: ANN401
    with contextlib.suppress(TypeError, ValueError):
        if hasattr(network, "schema") or hasattr(network, "graph"):
            return set()  # TorchScript takes its inputs by position
        return set(inspect.signature(network.forward).parameters)
    return set()
