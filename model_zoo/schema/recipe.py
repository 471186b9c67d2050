"""Recipes: how a model becomes IR, declared instead of programmed."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from msgspec import Meta

from model_zoo.schema.base import Struct, check_model_path, check_precision, check_shape

ElementType = Literal[
    "f32", "f16", "bf16", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "boolean", "string"
]
Numbers = float | tuple[float, ...]
PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_]+")
"""A package in one exact version."""


class Input(Struct, frozen=True, kw_only=True):
    """One input of the network, as the recipe defines it.

    ``shape`` dims are an int, -1 or ``?`` (any), or ``lo..hi`` (bounded, either side may be empty).
    ``mean`` and ``scale`` are per channel in the network's channel order, applied as ``(x - mean) / scale``
    after the channels were reversed.
    """

    name: str | None = None
    shape: tuple[int | str, ...] | None = None
    type: ElementType | None = None
    layout: str | None = None
    mean: Numbers | None = None
    scale: Numbers | None = None
    reverse_channels: bool = False

    def __post_init__(self) -> None:
        """Check the dims, and that nothing divides by zero."""
        check_shape(self.shape)
        scales = self.scale if isinstance(self.scale, tuple) else (self.scale,)
        if any(scale == 0 for scale in scales):
            raise ValueError("scale contains 0, which would divide by zero")


class Cut(Struct, frozen=True, kw_only=True):
    """Where to cut the network: names of tensors, or friendly names of nodes (at their first output)."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class Builder(Struct, frozen=True, kw_only=True):
    """How to build, in Python, a network that is only weights on disk.

    Either ``torchvision`` names a builder of that package, or ``module`` and ``callable`` name code to
    run, which requires trust; so do ``paths``, directories of the model's own files to put on ``sys.path``,
    and ``requirements``. ``weights`` is the artifact loaded into the network. In ``kwargs`` the text
    ``files:PATH`` stands for the location of that file or directory of the model. ``requirements`` are the
    packages, as ``NAME==VERSION``, that the code needs besides its framework; a converter environment
    includes them.
    """

    torchvision: str | None = None
    module: str | None = None
    callable: str | None = None
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it for each
    weights: str | None = None
    paths: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that there is exactly one of the two forms, paths, and that requirements are pinned."""
        if (self.torchvision is None) == (self.module is None):
            raise ValueError("give either {torchvision: NAME} or {module: …, callable: …}")
        if (self.module is None) != (self.callable is None):
            msg = "module needs a callable" if self.callable is None else "callable needs a module"
            raise ValueError(msg)
        check_model_path(self.weights, "weights")
        for path in self.paths:
            check_model_path(path, "paths")
        for name, value in self.kwargs.items():
            if isinstance(value, str) and value.startswith("files:"):
                check_model_path(value.removeprefix("files:"), f"kwargs.{name}")
        for requirement in self.requirements:
            if not PIN.fullmatch(requirement):
                raise ValueError(f"requirements: {requirement!r} is not pinned as NAME==VERSION")


class Compress(Struct, frozen=True, kw_only=True):
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
    group_size_fallback: Literal["error", "ignore", "adjust"] | None = None
    dataset: str | None = None
    subset_size: Annotated[int, Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        """Check the path."""
        check_model_path(self.dataset, "dataset")


class Quantize(Struct, frozen=True, kw_only=True):
    """Post-training quantisation by NNCF (``nncf.quantize``); unset options keep NNCF's defaults."""

    dataset: str | None = None
    subset_size: Annotated[int, Meta(ge=1)] | None = None
    preset: Literal["performance", "mixed"] | None = None
    target_device: str | None = None
    fast_bias_correction: bool | None = None
    model_type: Literal["transformer"] | None = None
    ignored_scope: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the path."""
        check_model_path(self.dataset, "dataset")


class Export(Struct, frozen=True, kw_only=True):
    """How optimum-intel exports a folder model, in its own terms; what is unset is detected from the files.

    ``task`` is one of its tasks, such as ``text-generation-with-past`` or ``fill-mask``. ``stateful``
    keeps a decoder's cache inside the IR, ``convert_tokenizer`` adds tokenizer and detokenizer as IRs,
    ``variant`` selects weight files (``fp16``), and ``model_kwargs`` go to the network's constructor.
    """

    task: str | None = None
    stateful: bool = True
    convert_tokenizer: bool = True
    variant: str | None = None
    pad_token_id: int | None = None
    model_kwargs: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it for each


class Recipe(Struct, frozen=True, kw_only=True):
    """Declarative conversion parameters of a model; the first precision is the default.

    A precision is ``FP32``, ``FP16``, ``FP32-INT8`` or ``FP16-INT8`` (quantised), or a mode of NNCF's weight
    compression: ``INT8``, ``INT4``, ``NF4``, ``MXFP4``, ``INT4-ASYM``, ``FP8-E4M3`` and so on. Ready-made
    files may have others, such as ``BF16`` and ``FP32-INT1``.
    """

    model: str | None = None
    inputs: tuple[Input, ...] = ()
    outputs: tuple[str, ...] = ()
    cut: Cut | None = None
    builder: Builder | None = None
    export: Export | None = None
    example: dict[str, Any] | None = None
    dynamo: bool = False
    extensions: tuple[str, ...] = ()
    preprocess: Literal["embed", "declare"] = "embed"
    precisions: tuple[str, ...] = ("FP32", "FP16")
    compress: Compress | None = None
    quantize: Quantize | None = None

    def __post_init__(self) -> None:
        """Check precisions, names and paths."""
        if not self.precisions:
            raise ValueError("precisions is empty; give at least one")
        for index, precision in enumerate(self.precisions):
            check_precision(precision, f"precisions[{index}]")
        if len(set(self.precisions)) != len(self.precisions):
            twice = next(name for name in self.precisions if self.precisions.count(name) > 1)
            raise ValueError(f"precisions contains {twice} twice")
        names = [i.name for i in self.inputs]
        if len(names) > 1 and (None in names or len(set(names)) != len(names)):
            raise ValueError("inputs: each of several inputs needs a name of its own")
        check_model_path(self.model, "model")
        for path in self.extensions:
            check_model_path(path, "extensions")
