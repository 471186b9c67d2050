"""What a catalog says and what the pipeline returns, as frozen typed structs. No I/O.

msgspec builds them from plain data and names the field in its errors. Rules that types cannot express are
checked in ``__post_init__``, and reported in the same way.
"""

from __future__ import annotations

from model_zoo.formats.frameworks import EXPORTED
from model_zoo.schema.artifact import ArchiveFormat, Artifact, Replacement, Source, Unpack
from model_zoo.schema.base import (
    BY_NNCF,
    MANIFEST_NAME,
    NAME,
    PRECISION,
    PRECISIONS,
    UNIVERSAL,
    UNSTATED,
    Digest,
    Integrity,
    Struct,
    UniquePaths,
    check_relative_path,
    check_unique_paths,
    near_precisions,
)
from model_zoo.schema.knowledge import (
    UNSPECIFIED,
    Complexity,
    Decode,
    License,
    Metric,
    ModelInput,
    ModelOutput,
    Upstream,
)
from model_zoo.schema.manifest import (
    FOLDER,
    ArtifactRecord,
    EnvironmentManifest,
    FileEntry,
    FilesManifest,
    IrManifest,
    KeyParts,
    Manifest,
    Port,
    Ports,
    Resolution,
)
from model_zoo.schema.model import Framework, Labels, Model, Omz
from model_zoo.schema.recipe import Builder, Input, Recipe
from model_zoo.schema.results import PIPELINES, ConvertedModel, FetchedModel, opening_line
from model_zoo.schema.sentences import complexity_in_words, license_in_words, metrics_in_words
from model_zoo.schema.tasks import TASKS, canonical_task, task_matches, task_spellings, task_words

__all__ = [
    "BY_NNCF",
    "EXPORTED",
    "FOLDER",
    "MANIFEST_NAME",
    "NAME",
    "PIPELINES",
    "PRECISION",
    "PRECISIONS",
    "TASKS",
    "UNIVERSAL",
    "UNSPECIFIED",
    "UNSTATED",
    "ArchiveFormat",
    "Artifact",
    "ArtifactRecord",
    "Builder",
    "Complexity",
    "ConvertedModel",
    "Decode",
    "Digest",
    "EnvironmentManifest",
    "FetchedModel",
    "FileEntry",
    "FilesManifest",
    "Framework",
    "Input",
    "Integrity",
    "IrManifest",
    "KeyParts",
    "Labels",
    "License",
    "Manifest",
    "Metric",
    "Model",
    "ModelInput",
    "ModelOutput",
    "Omz",
    "Port",
    "Ports",
    "Recipe",
    "Replacement",
    "Resolution",
    "Source",
    "Struct",
    "UniquePaths",
    "Unpack",
    "Upstream",
    "canonical_task",
    "check_relative_path",
    "check_unique_paths",
    "complexity_in_words",
    "license_in_words",
    "metrics_in_words",
    "near_precisions",
    "opening_line",
    "task_matches",
    "task_spellings",
    "task_words",
]
