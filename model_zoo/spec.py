"""The nouns, as frozen typed structs: what a catalog says and what the pipeline hands on. No I/O.

Everything here is built from plain data by msgspec, which names the field in its errors; rules that types
cannot express are checked in ``__post_init__`` and reported at the same place.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

NAME = re.compile(r"[0-9A-Za-z._-]+")
PRECISION = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*")
DIM = re.compile(r"\?|\d+|\d*\.\.\d*")
MANIFEST_NAME = ".model-zoo.json"
"""The manifest inside a materialised folder; a folder counts only with it."""
MAX_PATH = 240
_WINDOWS_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_WINDOWS_FORBIDDEN = re.compile(r'[<>:"\\|?*\x00-\x1f\x7f]')

Framework = Literal["onnx", "tensorflow", "tflite", "paddle", "pytorch", "keras", "jax", "openvino"]
Integrity = Literal["pinned", "revision", "prefix", "first-use"]
Algorithm = Literal["sha256", "sha384", "sha512"]
HEX_DIGITS: dict[str, int] = {"sha256": 64, "sha384": 96, "sha512": 128}

Size = Annotated[int, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Sha384 = Annotated[str, Meta(pattern="^[0-9a-f]{96}$")]
Sha512 = Annotated[str, Meta(pattern="^[0-9a-f]{128}$")]


class Noun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every struct of the catalog: frozen, keyword-only, strict about unknown fields."""


class Digest(Noun, frozen=True, kw_only=True, order=True):
    """A digest as a typed value: the algorithm and the lower-case hex."""

    algorithm: Algorithm
    hex: str

    def __post_init__(self) -> None:
        """Refuse hex of the wrong length or alphabet."""
        if not re.fullmatch(rf"[0-9a-f]{{{HEX_DIGITS[self.algorithm]}}}", self.hex):
            msg = f"{self.algorithm} is {HEX_DIGITS[self.algorithm]} lower-case hex digits, not {self.hex!r}"
            raise ValueError(msg)

    def __str__(self) -> str:
        """Return ``algorithm:hex``, the form manifests use."""
        return f"{self.algorithm}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``algorithm:hex``.

        Raises:
            ValueError: the text is not of that form.
        """
        algorithm, _, digits = text.partition(":")
        if algorithm not in HEX_DIGITS:
            msg = f"unknown digest algorithm in {text!r}"
            raise ValueError(msg)
        return cls(algorithm=algorithm, hex=digits)  # type: ignore[arg-type]

    @classmethod
    def of_json(cls, value: object) -> Digest:
        """Return the sha256 of the canonical JSON (sorted keys, no spaces) of plain data."""
        data = msgspec.json.encode(value, order="sorted")
        return cls(algorithm="sha256", hex=hashlib.sha256(data).hexdigest())


def check_relative_path(path: str) -> None:
    """Refuse a declared path that could leave its folder or that some file system cannot hold.

    Raises:
        ValueError: says which rule is broken.
    """
    reason = next(filter(None, (_fault_of_part(part) for part in path.split("/"))), "")
    if path.startswith("/"):
        reason = "must be relative"
    elif len(path) > MAX_PATH:
        reason = f"must be at most {MAX_PATH} characters long"
    if reason:
        msg = f"path {path!r} {reason}"
        raise ValueError(msg)


def _fault_of_part(part: str) -> str:
    if part in {"", "."}:
        return "must be a plain relative POSIX path"
    if part == "..":
        return 'must not contain ".."'
    if _WINDOWS_FORBIDDEN.search(part):
        return "contains a character that file systems refuse"
    if _WINDOWS_RESERVED.fullmatch(part):
        return f"contains {part!r}, a reserved name on Windows"
    if part.endswith((" ", ".")):
        return "has a part that ends in a dot or a space"
    return f"must not use the name {MANIFEST_NAME}" if part == MANIFEST_NAME else ""


class Source:
    """One place an artifact can be read from. Each kind is a struct of its own in ``model_zoo.sources``."""

    kind: ClassVar[str] = ""

    @property
    def several(self) -> bool:
        """Whether it stands for several files: a pattern, or a whole folder."""
        return False


class Unpack(Noun, frozen=True, kw_only=True):
    """How an artifact that is an archive becomes a tree. ``strip`` leading path parts are dropped.

    ``into`` is the folder, relative to the model's, that the tree is put in ("." for the model's own); the
    artifact's path is then only what the archive is called. Without it the artifact's path is that folder.
    """

    format: Literal["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"]
    strip: Annotated[int, Meta(ge=0)] = 0
    into: str | None = None

    def __post_init__(self) -> None:
        """Check the folder."""
        if self.into not in {None, "."}:
            check_relative_path(str(self.into))


class Artifact(Noun, frozen=True, kw_only=True):
    """One declared file of a model: path, size, digest, ordered sources.

    With ``unpack`` the digest is the archive's, and ``path`` is the folder its tree is put in ("." for
    the model's own folder) unless ``unpack.into`` names another. Where the sources stand for several files,
    ``path`` is the folder these are put in, and nothing else can be declared of them.
    """

    path: str
    size: Size | None = None
    sha256: Sha256 | None = None
    sha384: Sha384 | None = None
    sha512: Sha512 | None = None
    sources: tuple[Source, ...] = ()
    unpack: Unpack | None = None
    precision: str | None = None
    integrity: Integrity | None = None

    def __post_init__(self) -> None:
        """Check the path, the precision's spelling, and what a pattern may say."""
        several = [source.several for source in self.sources]
        if not (self.path == "." and (self.unpack or any(several))):
            check_relative_path(self.path)
        if any(several) and not (all(several) and self.unpack is None):
            msg = "sources: a pattern stands for several files, and so must all sources beside it, unpacked"
            raise ValueError(msg)
        if any(several) and (self.digests or self.size is not None):
            msg = "sources: a pattern stands for several files, which cannot share a size or a digest"
            raise ValueError(msg)
        if self.precision is not None:
            check_precision(self.precision)

    @property
    def digests(self) -> tuple[Digest, ...]:
        """The declared digests, all of which the bytes must have."""
        pairs = (("sha256", self.sha256), ("sha384", self.sha384), ("sha512", self.sha512))
        return tuple(Digest(algorithm=name, hex=digits) for name, digits in pairs if digits)  # type: ignore[arg-type]


def check_precision(text: str) -> None:
    """Refuse something that is not spelt like a precision.

    Raises:
        ValueError: the text is not upper-case words joined by dashes.
    """
    if not PRECISION.fullmatch(text):
        msg = f"{text!r} is not a precision such as FP32 or FP16-INT8"
        raise ValueError(msg)


class Replacement(Noun, frozen=True, kw_only=True):
    """A regular-expression edit applied to the materialised copy of a file, never to the blob.

    ``count`` is the number of replacements that must happen; 0 means any number but none. ``omz`` edits as
    Open Model Zoo's downloader did: line ends become LF, and the file as it came stays beside it as
    ``FILE.orig``.
    """

    file: str
    pattern: str
    replacement: str
    count: Annotated[int, Meta(ge=0)] = 0
    omz: bool = False

    def __post_init__(self) -> None:
        """Check the path and that the pattern compiles."""
        check_relative_path(self.file)
        try:
            re.compile(self.pattern)
        except re.error as error:
            msg = f"pattern {self.pattern!r} does not compile: {error}"
            raise ValueError(msg) from error


ElementType = Literal[
    "f32", "f16", "bf16", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "boolean", "string"
]
Numbers = float | tuple[float, ...]


class Input(Noun, frozen=True, kw_only=True):
    """One input of the network, as the recipe wants it.

    ``shape`` dims are an int, -1 or ``?`` (any), or ``lo..hi`` (bounded, either side may be empty).
    ``mean`` and ``scale`` are per channel in the order the network sees them, applied as
    ``(x - mean) / scale`` after the channels were reversed.
    """

    name: str | None = None
    shape: tuple[int | str, ...] | None = None
    type: ElementType | None = None
    layout: str | None = None
    mean: Numbers | None = None
    scale: Numbers | None = None
    reverse_channels: bool = False

    def __post_init__(self) -> None:
        """Check the spelling of the dims and that nothing divides by zero."""
        for dim in self.shape or ():
            if isinstance(dim, int) and dim < -1:
                msg = f"shape has the dimension {dim}; use a size, -1 or '?' for any, or 'lo..hi'"
                raise ValueError(msg)
            if isinstance(dim, str) and not DIM.fullmatch(dim):
                msg = f"shape has the dimension {dim!r}; use a size, -1 or '?' for any, or 'lo..hi'"
                raise ValueError(msg)
        scales = self.scale if isinstance(self.scale, tuple) else (self.scale,)
        if any(scale == 0 for scale in scales):
            msg = "scale contains 0, which would divide by zero"
            raise ValueError(msg)


class Cut(Noun, frozen=True, kw_only=True):
    """Interior names to cut at: a tensor's name, or a node's friendly name at its first output."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class Builder(Noun, frozen=True, kw_only=True):
    """How a network that is only weights on disk is built in Python.

    Either ``torchvision`` names a builder of that package, or ``module`` and ``callable`` name code to
    run; ``paths`` are folders of the model's own files put on ``sys.path`` (which needs trust), and
    ``weights`` is the artifact loaded into the network. In ``kwargs`` the text ``files:PATH`` stands for
    where that file or folder of the model is.
    """

    torchvision: str | None = None
    module: str | None = None
    callable: str | None = None
    kwargs: dict[str, Any] = {}
    weights: str | None = None
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Exactly one of the two forms."""
        if (self.torchvision is None) == (self.module is None):
            msg = "a builder is either {torchvision: NAME} or {module: …, callable: …}"
            raise ValueError(msg)
        if (self.module is None) != (self.callable is None):
            msg = "module and callable go together"
            raise ValueError(msg)


class Compress(Noun, frozen=True, kw_only=True):
    """Weight compression by NNCF (``nncf.compress_weights``); unset options keep NNCF's defaults."""

    mode: str | None = None
    ratio: Annotated[float, Meta(ge=0, le=1)] | None = None
    group_size: int | None = None
    all_layers: bool | None = None
    backup_mode: str | None = None
    sensitivity_metric: str | None = None
    awq: bool | None = None
    scale_estimation: bool | None = None
    gptq: bool | None = None
    lora_correction: bool | None = None
    ignored_scope: tuple[str, ...] = ()
    dataset: str | None = None
    subset_size: Annotated[int, Meta(ge=1)] | None = None


class Quantize(Noun, frozen=True, kw_only=True):
    """Post-training quantisation by NNCF (``nncf.quantize``); unset options keep NNCF's defaults."""

    dataset: str | None = None
    subset_size: Annotated[int, Meta(ge=1)] | None = None
    preset: Literal["performance", "mixed"] | None = None
    target_device: str | None = None
    fast_bias_correction: bool | None = None
    model_type: Literal["transformer"] | None = None
    ignored_scope: tuple[str, ...] = ()


class Recipe(Noun, frozen=True, kw_only=True):
    """Declarative conversion parameters of a model; the default precision is the first."""

    model: str | None = None
    inputs: tuple[Input, ...] = ()
    outputs: tuple[str, ...] = ()
    cut: Cut | None = None
    builder: Builder | None = None
    example: dict[str, Any] | None = None
    dynamo: bool = False
    extensions: tuple[str, ...] = ()
    preprocess: Literal["embed", "declare"] = "embed"
    precisions: tuple[str, ...] = ("FP32", "FP16")
    compress: Compress | None = None
    quantize: Quantize | None = None

    def __post_init__(self) -> None:
        """Check precisions and names."""
        if not self.precisions:
            msg = "precisions is empty"
            raise ValueError(msg)
        for precision in self.precisions:
            check_precision(precision)
        if len(set(self.precisions)) != len(self.precisions):
            msg = "precisions lists one twice"
            raise ValueError(msg)
        names = [i.name for i in self.inputs]
        if len(names) > 1 and (None in names or len(set(names)) != len(names)):
            msg = "inputs: with several inputs each needs a name of its own"
            raise ValueError(msg)
        if self.model is not None and self.model != ".":
            check_relative_path(self.model)


class Labels(Noun, frozen=True, kw_only=True):
    """Where class labels are: an artifact of the model, or a file beside the catalog entry.

    ``key`` picks a list inside a JSON file (dots descend); without it the file has one label a line.
    """

    artifact: str | None = None
    file: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        """Exactly one place."""
        if (self.artifact is None) == (self.file is None):
            msg = "labels are either {artifact: …} or {file: …}"
            raise ValueError(msg)


class OmzInput(Noun, frozen=True, kw_only=True):
    """One input as Open Model Zoo described it; ``shape`` and ``layout`` may be absent there."""

    name: str
    shape: tuple[int, ...] = ()
    layout: str = ""


class Omz(Noun, frozen=True, kw_only=True):
    """What only the Open Model Zoo commands need to know about a model.

    ``subdirectory`` is where its files go below their output folder, such as ``intel/NAME``, ``composite``
    the composite model it is a stage of, and ``inputs`` what ``omz_info_dumper`` says where the recipe's
    inputs do not say the same.
    """

    subdirectory: str
    composite: str | None = None
    inputs: tuple[OmzInput, ...] = ()

    def __post_init__(self) -> None:
        """Check the folder."""
        check_relative_path(self.subdirectory)


class Model(Noun, frozen=True, kw_only=True):
    """One catalog entry."""

    schema: Literal[1]
    name: str
    task: str
    framework: Framework | None = None
    license: str
    description: str
    artifacts: tuple[Artifact, ...] = ()
    replace: tuple[Replacement, ...] = ()
    recipe: Recipe = Recipe()
    labels: tuple[str, ...] | Labels | None = None
    model_info: dict[str, Any] = {}
    stages: tuple[str, ...] = ()
    convertible: bool = True
    reason: str | None = None
    omz: Omz | None = None

    def __post_init__(self) -> None:
        """Check what spans fields: names, unique paths, either artifacts or stages."""
        if not NAME.fullmatch(self.name) or self.name in {".", ".."}:
            msg = f"name {self.name!r} may contain only letters, digits, dot, underscore and dash"
            raise ValueError(msg)
        if bool(self.artifacts) == bool(self.stages):
            msg = "a model has either artifacts or stages"
            raise ValueError(msg)
        if self.artifacts and self.framework is None:
            msg = "a model with artifacts needs its framework"
            raise ValueError(msg)
        if not self.convertible and not self.reason:
            msg = "convertible: false needs a reason"
            raise ValueError(msg)
        check_unique_paths([a.path for a in self.artifacts if a.path != "."])

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions on offer, default first: those of ready-made files, else the recipe's."""
        ready = tuple(dict.fromkeys(a.precision for a in self.artifacts if a.precision))
        return ready or self.recipe.precisions

    def _repr_html_(self) -> str:
        """Return the entry as a small table, for notebooks."""
        from html import escape

        sizes = ("" if a.size is None else f" ({a.size} bytes)" for a in self.artifacts)
        files = ", ".join(a.path + size for a, size in zip(self.artifacts, sizes, strict=True))
        shapes = ", ".join(f"{i.name} {list(i.shape or ())}" for i in self.recipe.inputs)
        rows = (
            ("task", self.task),
            ("framework", self.framework),
            ("licence", self.license),
            ("precisions", ", ".join(self.precisions) if self.artifacts else None),
            ("inputs", shapes),
            ("files", files),
            ("stages", ", ".join(self.stages)),
            ("not convertible", self.reason),
        )
        cells = "".join(
            f'<tr><th scope="row" style="text-align:left">{title}</th>'
            f'<td style="text-align:left">{escape(text)}</td></tr>'
            for title, text in rows
            if text
        )
        head = f"<b>{escape(self.name)}</b><br>{escape(self.description.strip())}"
        return f'<table><caption style="text-align:left">{head}</caption><tbody>{cells}</tbody></table>'

    def files_of(self, precision: str | None) -> tuple[Artifact, ...]:
        """The artifacts that one precision needs; all of them when ``precision`` is None."""
        return tuple(a for a in self.artifacts if precision is None or a.precision in {None, precision})


def check_unique_paths(paths: list[str]) -> None:
    """Refuse two paths that some file system would take for one, and a file that is also a folder.

    Raises:
        ValueError: names both paths.
    """
    seen: dict[str, str] = {}
    for path in paths:
        other = seen.get(path.casefold())
        seen[path.casefold()] = path
        if other is not None:
            msg = f"artifacts: path {path!r} is declared twice (the other is {other!r}; case does not count)"
            raise ValueError(msg)
    for path in paths:
        for parent in PurePosixPath(path.casefold()).parents:
            if str(parent) in seen:
                msg = f"artifacts: {seen[str(parent)]!r} is both a file and the folder of {path!r}"
                raise ValueError(msg)


class FileEntry(Noun, frozen=True, kw_only=True):
    """One file of a manifest: where, how long, and the sha256 (hex) of its bytes."""

    path: str
    size: int
    sha256: str


class Event(Noun, frozen=True, kw_only=True):
    """What a progress callable receives; ``--progress json`` prints one a line.

    ``bytes`` counts what is proven to be on disk of ``file`` (or of the model where ``file`` is unset)
    and never goes backwards; ``total`` is the declared size, when there is one.
    """

    event: str
    model: str | None = None
    file: str | None = None
    bytes: int | None = None
    total: int | None = None
    message: str | None = None
    seconds: float | None = None


class FetchedModel(Noun, frozen=True, kw_only=True):
    """A model's files in the cache: the folder, each file by its declared path, and the manifest."""

    model: Model
    directory: Path
    files: dict[str, Path]
    manifest: dict[str, Any]


class ConvertedModel(Noun, frozen=True, kw_only=True):
    """An IR in the cache: the two files, the IR key they are stored under, and the manifest."""

    model: Model
    precision: str
    xml: Path
    bin: Path
    key: str
    manifest: dict[str, Any]

    @property
    def directory(self) -> Path:
        """The folder that holds the IR."""
        return self.xml.parent
