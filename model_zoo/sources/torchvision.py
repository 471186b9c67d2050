"""``torchvision``: pretrained weights that torchvision names, fetched without torch.

``torchvision.json`` next to this file says where each of them is; ``scripts/update_torchvision_weights``
writes it. All that upstream states about the bytes is the first 8 hex digits of their sha256, in the name
(``torch.hub`` checks what is between the dash and the dot). They are checked here too.
"""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from typing import TYPE_CHECKING, ClassVar

import msgspec

from model_zoo.errors import DigestMismatchError, SourceUnavailableError
from model_zoo.files import hash_file
from model_zoo.sources.base import HttpLocation, LocatedSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_zoo.schema import Artifact, Integrity
    from model_zoo.settings import Settings

SITE = "https://download.pytorch.org/models/"
_NAME = re.compile(r"[A-Za-z0-9_]+\.[A-Za-z0-9_]+")
_PREFIX = re.compile(r"-([0-9a-f]{8,})\.pth$")


class WeightFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What torchvision says about one weights entry.

    Attributes:
        file: below the download site.
        builder: the name for ``torchvision.models.get_model``.
        preset: the class of the transforms.
        default: whether these are the builder's weights unless others are requested.
        crop_size: height and width, or one number for both.
        resize_size: the shorter side, or height and width, before cropping.
        mean: per channel, for values between 0 and 1; so is ``std``.
        min_size: the smallest height and width the network takes.
        min_temporal_size: the fewest frames.
        categories: name of a list in ``WeightTable.categories``.
        mebibytes: size of the file, in units of 1024 * 1024 bytes.
        parameters: of the network.
        operations: billions of multiplications with an addition, for one input.
        metrics: what was measured, by data set.
        recipe: address of how the weights were trained.
        license: address of the terms, where they are not torchvision's own.
    """

    file: str
    builder: str
    preset: str
    default: bool = False
    crop_size: tuple[int, ...] = ()
    resize_size: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    interpolation: str | None = None
    min_size: tuple[int, ...] = ()
    min_temporal_size: int | None = None
    categories: str | None = None
    mebibytes: float | None = None
    parameters: int | None = None
    operations: float | None = None
    metrics: dict[str, dict[str, float]] = {}
    recipe: str | None = None
    license: str | None = None


class WeightTable(msgspec.Struct, frozen=True, kw_only=True):
    """All weights entries by name, and the lists of categories they share."""

    torchvision: str
    weights: dict[str, WeightFacts]
    categories: dict[str, list[str]]


@functools.cache
def weight_table() -> WeightTable:
    """Return the table of torchvision's weights."""
    data = files("model_zoo.sources").joinpath("torchvision.json").read_bytes()
    return msgspec.json.decode(data, type=WeightTable)


class TorchvisionSource(LocatedSource, frozen=True, kw_only=True):
    """A weights entry, as torchvision prints it: ``ResNet50_Weights.IMAGENET1K_V2``."""

    kind: ClassVar[str] = "torchvision"
    torchvision: str

    def __post_init__(self) -> None:
        """Check the spelling only; the table is read when it is needed."""
        if not _NAME.fullmatch(self.torchvision):
            msg = f"torchvision must be like ResNet50_Weights.IMAGENET1K_V2, not {self.torchvision!r}"
            raise ValueError(msg)

    def locate(self, artifact: Artifact, settings: Settings) -> HttpLocation:
        """The address, with a check of the digits in the file name unless the entry says otherwise."""
        del settings
        facts = weight_table().weights.get(self.torchvision)
        if facts is None:
            what = f"{self.torchvision} is not among the weights of torchvision {weight_table().torchvision}"
            hint = "check the name; declare newer weights as a plain url with a sha256"
            raise SourceUnavailableError(what, hint=hint)
        prefix = None if artifact.digests or artifact.integrity == "first-use" else self.prefix
        return HttpLocation(SITE + facts.file, check=_check_prefix(facts.file, prefix) if prefix else None)

    @property
    def prefix(self) -> str | None:
        """The leading hex digits of the sha256, if the file's name contains them."""
        facts = weight_table().weights.get(self.torchvision)
        found = _PREFIX.search(facts.file) if facts else None
        return found[1] if found else None

    @property
    def integrity(self) -> Integrity:
        """The digits in the name are all that fixes the content."""
        return "prefix" if self.prefix else "first-use"

    def describe(self) -> str:
        """Return kind and entry."""
        return f"torchvision {self.torchvision}"


def _check_prefix(file: str, prefix: str) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        found = hash_file(path)["sha256"].hex
        if not found.startswith(prefix):
            what = f"{file.rpartition('/')[2]}: the bytes do not match the digest in the name"
            raise DigestMismatchError(what, expected=f"sha256 {prefix}…", found=f"sha256 {found}")

    return check
