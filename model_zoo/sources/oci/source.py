"""``oci``: a file in a registry of container images: a layer of an artifact, or a blob by its digest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from model_zoo.errors import SourceUnavailableError
from model_zoo.schema import check_relative_path
from model_zoo.sources.base import HttpLocation, LocatedSource
from model_zoo.sources.oci.reference import parse_oci_reference
from model_zoo.text import counted

if TYPE_CHECKING:
    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings
    from model_zoo.sources.oci.answers import Descriptor
    from model_zoo.sources.oci.client import Registry

TITLES = ("org.opencontainers.image.title", "org.cncf.model.filepath")
"""Annotations that name the file in a layer: ORAS writes the first, ModelPack the second."""
_BLOB = re.compile(r"sha256:[0-9a-f]{64}")


class OciSource(LocatedSource, frozen=True, kw_only=True):
    """``oci: REGISTRY/REPOSITORY[:TAG][@DIGEST]`` and the ``file`` a layer is annotated with, or a ``blob``.

    Without either the artifact must have exactly one layer. A layer that is a tar is a file like any other:
    ``unpack`` on the artifact opens it.
    """

    kind: ClassVar[str] = "oci"
    listed: ClassVar[bool] = True
    oci: str
    file: str | None = None
    blob: str | None = None

    def __post_init__(self) -> None:
        """Check the reference."""
        parse_oci_reference(self.oci)
        if self.file is not None:
            check_relative_path(self.file)
        if self.blob is not None and (self.file is not None or not _BLOB.fullmatch(self.blob)):
            raise ValueError("blob must be sha256:… of a layer, and excludes file")

    @property
    def immutable(self) -> bool:
        """A digest fixes the content, a tag does not."""
        return self.blob is not None or "@sha256:" in self.oci

    def locate(self, artifact: Artifact, settings: Settings) -> HttpLocation:
        """Ask the registry for the layer, and leave its transfer to the download engine."""
        from model_zoo.sources.oci.client import Registry  # brings requests along

        with Registry(parse_oci_reference(self.oci), settings) as registry:
            if self.blob is not None:
                return registry.locate(self.blob, artifact.size)
            layer = self._layer(registry)
            if layer.sha256 is None or layer.size is None:
                raise SourceUnavailableError(f"{self.describe()}: the manifest describes no usable layer")
            return registry.locate(layer.digest, layer.size)

    def _layer(self, registry: Registry) -> Descriptor:
        manifest = registry.manifest()
        if manifest is None:
            what = f"{self.describe()}: no such artifact"
            raise SourceUnavailableError(what, hint="check the reference in the catalog entry")
        layers = list(manifest.content().layers)
        if self.file is not None:
            titles = [{(layer.annotations or {}).get(name) for name in TITLES} for layer in layers]
            layers = [layer for layer, names in zip(layers, titles, strict=True) if self.file in names]
        if len(layers) != 1:
            what = f"{self.describe()}: {counted(len(layers), 'layer')} match"
            hint = "select one by its title annotation (file) or its digest (blob)"
            raise SourceUnavailableError(what, expected="one layer", found=len(layers), hint=hint)
        return layers[0]

    def describe(self) -> str:
        """Return the reference and the file."""
        return f"oci {self.oci}" + (f" file {self.file}" if self.file else "")
