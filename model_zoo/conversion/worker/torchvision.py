"""Networks that torchvision builds, with its own weights or with others.

Pretrained weights change more of a network than its parameters: the number of classes, the heads, whether the
input is rescaled, how old names of parameters map to new ones. So torchvision builds the network for the
weights entry that the file belongs to; only where it would download the state dict, it is given the one that
was read here, as tensors only.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import re
import sys
from typing import TYPE_CHECKING, Any

from model_zoo.errors import ConversionError, MissingExtraError
from model_zoo.installed import ways_to_install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def build(
    name: str, kwargs: dict[str, Any], weights: Path | None, read: Callable[[Path], Any]
) -> tuple[Any, bool]:
    """Build the network ``torchvision.models.get_model`` knows by this name; nothing is downloaded.

    ``read`` reads a file of weights safely.

    Returns:
        The network, and whether it already has the weights.
    """
    models = import_torchvision().models
    try:
        builder = models.get_model_builder(name)
    except ValueError as error:
        what = f"recipe.builder: torchvision has no model {name!r}"
        raise ConversionError(what, found=error, hint="correct recipe.builder.torchvision") from error
    entry = None if weights is None else _entry_of(models, name, weights.name)
    if entry is None or weights is None:
        parameters = inspect.signature(builder).parameters.keys() & {"weights", "weights_backbone"}
        return builder(**{**dict.fromkeys(parameters), **kwargs}), False
    if type(entry).__name__.endswith("_QuantizedWeights"):
        kwargs = {"quantize": True, **kwargs}
    state = read(weights)
    with _without_download(entry, state):
        try:
            return builder(weights=entry, **kwargs), True
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines()[1:]]
            what = f"the weights in {weights.name} are not those of {entry}"
            hint = "check the file, and recipe.builder"
            raise ConversionError(what, found="; ".join(lines)[:400], hint=hint) from error


def _entry_of(models: Any, name: str, file: str) -> Any:  # noqa: ANN401
    """Return the builder's weights entry that a file belongs to by its name; None for any other file."""
    try:
        entries = models.get_model_weights(name)
    except ValueError:
        return None
    return next((entry for entry in entries if entry.url.rpartition("/")[2] == file), None)


@contextlib.contextmanager
def _without_download(entry: Any, state: Any) -> Iterator[None]:  # noqa: ANN401
    kind = type(entry)
    own = kind.get_state_dict
    kind.get_state_dict = lambda *_, **__: state
    try:
        yield
    finally:
        kind.get_state_dict = own


def plain_outputs(network: Any) -> Any:  # noqa: ANN401
    """Return a network whose outputs are tensors with a fixed order, as a traced graph needs them.

    Segmentation: the map, without the auxiliary head. Optical flow: the last refinement. Detection: one image
    of 1 x 3 x H x W instead of a list of images; boxes, labels, scores, and masks or keypoints if there are
    any. Any other network is returned as it is.
    """
    import torch

    home = type(network).__module__

    class Segmentation(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Any) -> Any:  # noqa: ANN401
            return self.network(x)["out"]

    class Flow(Segmentation):
        def forward(self, image1: Any, image2: Any) -> Any:  # type: ignore[override]  # noqa: ANN401
            return self.network(image1, image2)[-1]

    class Detection(Segmentation):
        def forward(self, x: Any) -> Any:  # noqa: ANN401
            found = self.network([x[0]])[0]
            order = ("boxes", "labels", "scores", "masks", "keypoints", "keypoints_scores")
            return tuple(found[name] for name in order if name in found)

    for part, wrapper in (("segmentation", Segmentation), ("optical_flow", Flow), ("detection", Detection)):
        if home.startswith(f"torchvision.models.{part}."):
            return wrapper().eval()
    return network


def make_importable() -> None:
    """Import torchvision, if it is installed, so that a later import beside this torch does not fail."""
    if importlib.util.find_spec("torchvision") is not None:
        with contextlib.suppress(MissingExtraError):
            import_torchvision()


def import_torchvision() -> Any:  # noqa: ANN401 - the module
    """Import torchvision, even if its compiled operators do not fit this build of torch.

    The usual wheel of torchvision is built for CUDA; beside a CPU build of torch, its import fails at the
    first operator that it describes but could not load. Most networks use none of them, so these are declared
    without an implementation, and the import is retried; a network that calls one is refused when traced.

    Raises:
        MissingExtraError: torchvision is not installed, or cannot be imported for another reason.
    """
    import torch

    declared = torch.library.Library("torchvision", "FRAGMENT")
    for _ in range(16):
        try:
            import torchvision
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if not missing:
                break
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
            declared.define(f"{missing[1]}(Tensor input) -> Tensor")
        except ImportError:
            break
        else:
            torchvision.declared_by_model_zoo = declared  # freeing it would remove the operators
            return torchvision
    what = "building this network needs torchvision, which cannot be imported beside this torch"
    raise MissingExtraError(what, hint=ways_to_install(["torch", "torchvision"]))
