"""The nouns, as frozen typed structs: what a catalog says and what the pipeline hands on. No I/O.

Everything here is built from plain data by msgspec, which names the field in its errors; rules that types
cannot express are checked in ``__post_init__`` and reported at the same place.
"""

from __future__ import annotations

from model_zoo.formats.frameworks import EXPORTED
from model_zoo.schema.artifact import (
    Artifact,
    Replacement,
    Source,
    Unpack,
)
from model_zoo.schema.base import (
    DIM,
    HEX_DIGITS,
    MANIFEST_NAME,
    MAX_PATH,
    NAME,
    Algorithm,
    Digest,
    Integrity,
    Sha256,
    Sha384,
    Sha512,
    Size,
    Struct,
    check_relative_path,
)
from model_zoo.schema.model import (
    Framework,
    Labels,
    Model,
    Omz,
    OmzInput,
    check_unique_paths,
)
from model_zoo.schema.opening import FOLDER, PIPELINES, opening_line
from model_zoo.schema.precision import (
    BY_NNCF,
    PRECISION,
    PRECISIONS,
    UNIVERSAL,
    UNSTATED,
    check_precision,
    near_precisions,
)
from model_zoo.schema.recipe import (
    Builder,
    Compress,
    Cut,
    ElementType,
    Export,
    Input,
    Numbers,
    Quantize,
    Recipe,
)
from model_zoo.schema.results import ConvertedModel, FetchedModel, FileEntry

__all__ = [
    "BY_NNCF",
    "DIM",
    "EXPORTED",
    "FOLDER",
    "HEX_DIGITS",
    "MANIFEST_NAME",
    "MAX_PATH",
    "NAME",
    "PIPELINES",
    "PRECISION",
    "PRECISIONS",
    "UNIVERSAL",
    "UNSTATED",
    "Algorithm",
    "Artifact",
    "Builder",
    "Compress",
    "ConvertedModel",
    "Cut",
    "Digest",
    "ElementType",
    "Export",
    "FetchedModel",
    "FileEntry",
    "Framework",
    "Input",
    "Integrity",
    "Labels",
    "Model",
    "Numbers",
    "Omz",
    "OmzInput",
    "Quantize",
    "Recipe",
    "Replacement",
    "Sha256",
    "Sha384",
    "Sha512",
    "Size",
    "Source",
    "Struct",
    "Unpack",
    "check_precision",
    "check_relative_path",
    "check_unique_paths",
    "near_precisions",
    "opening_line",
]
