"""What is known about a model beside its files: licence, origin, quality, what it takes and what it gives."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from model_zoo.schema.base import Struct, check_shape
from model_zoo.schema.decoding import OWN_TYPES, PARAMETERS
from model_zoo.schema.recipe import ElementType, Numbers
from model_zoo.text import near_names

Address = Annotated[str, Meta(pattern=r"^https?://[^\s]+$")]
UNSPECIFIED = "unspecified"
"""The licence of a model that states none, such as a local file."""
_EXPRESSION = re.compile(r"\(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*(?: (?:AND|OR|WITH) \(*[A-Za-z0-9.+-]+\)*)*")

InputKind = Literal["image", "audio", "tokens", "text", "points", "file", "tensor"]
OutputKind = Literal[
    "class_scores",
    "detections",
    "boxes",
    "keypoints",
    "heatmap",
    "embedding",
    "mask",
    "text_logits",
    "waveform",
    "tensor",
]
Resize = Literal["stretch", "crop", "fit", "letterbox"]
RESIZE_TYPES = {
    "stretch": "standard",
    "crop": "crop",
    "fit": "fit_to_window",
    "letterbox": "fit_to_window_letterbox",
}
"""What openvino-model-api calls each way of resizing."""


class License(Struct, frozen=True, kw_only=True):
    """The terms of a model: an SPDX expression, the text's address, whether they must be agreed to first.

    ``spdx`` is None where the terms are none of SPDX's, or nobody has read them.
    """

    spdx: str | None = None
    url: Address | None = None
    gated: bool = False

    def __post_init__(self) -> None:
        """Check the form of the expression; whether SPDX knows its names is for ``catalog validate``."""
        if self.spdx is not None and not _EXPRESSION.fullmatch(self.spdx):
            raise ValueError(
                f"spdx {self.spdx!r} is not an SPDX expression, such as Apache-2.0 or MIT OR GPL-2.0-only"
            )

    @classmethod
    def parse(cls, text: str) -> License:
        """Read the plain form: an SPDX expression, or an address.

        Raises:
            ValueError: it is neither.
        """
        if text in {"", UNSPECIFIED}:
            return cls()
        if text.startswith(("http://", "https://")):
            return cls(url=text)
        if not _EXPRESSION.fullmatch(text):
            raise ValueError(
                f"license {text!r} is neither an SPDX expression, such as Apache-2.0, nor an address"
            )
        return cls(spdx=text)

    def __str__(self) -> str:
        """Return the SPDX expression, else the address, else ``unspecified``."""
        return self.spdx or self.url or UNSPECIFIED


class Upstream(Struct, frozen=True, kw_only=True):
    """Where a model comes from: its authors' code, the paper, and the page that describes it."""

    repository: Address | None = None
    paper: Address | None = None
    card: Address | None = None


class Metric(Struct, frozen=True, kw_only=True):
    """One measured figure: ``of`` is ``original`` for the authors' model, or a precision of the IR."""

    name: str
    value: float
    unit: str | None = None
    dataset: str | None = None
    of: str = "original"


class Complexity(Struct, frozen=True, kw_only=True):
    """Cost of one inference: billions of floating-point operations, millions of parameters."""

    gflops: Annotated[float, Meta(ge=0)] | None = None
    mparams: Annotated[float, Meta(ge=0)] | None = None


class ModelInput(Struct, frozen=True, kw_only=True):
    """What a caller feeds to one input of the IR, after everything that the IR does itself.

    Attributes:
        name: the tensor's; None where the model has one input, whatever it is called.
        shape: dims as in a recipe: an int, -1 or ``?`` (any), or ``lo..hi``.
        type: the element type, where it is not plain from the kind.
        layout: one letter a dimension, such as NCHW.
        kind: what the numbers are.
        color: order of the channels of an image.
        range: lowest and highest value, before ``mean`` and ``scale``.
        resize: how an image of another shape is brought to this one: ``stretch``; ``crop`` (the middle part
            of the right shape); ``fit`` and ``letterbox`` (whole, padded at the lower right or all around).
        crop_fraction: for ``crop`` and ``stretch``, the part of each side around the middle that is kept at
            all. A picture whose shorter side is brought to 256 pixels before 224 x 224 are cut out has 0.875.
        interpolation: of the resizing.
        pad_value: what is added around an image.
        mean: what the caller subtracts, per channel or for all, in the order of ``color``.
        scale: what the caller divides by, then.
        rate: samples a second, of audio.
        format: what the numbers mean where the kind does not tell, in a few words.
    """

    name: str | None = None
    shape: tuple[int | str, ...] | None = None
    type: ElementType | None = None
    layout: str | None = None
    kind: InputKind
    color: Literal["RGB", "BGR", "GRAY"] | None = None
    range: tuple[int | float, int | float] | None = None
    resize: Resize | None = None
    crop_fraction: Annotated[float, Meta(gt=0, le=1)] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "area", "lanczos"] | None = None
    pad_value: Annotated[int, Meta(ge=0, le=255)] | None = None
    mean: Numbers | None = None
    scale: Numbers | None = None
    rate: Annotated[int, Meta(ge=1)] | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        """Check what goes with what."""
        check_shape(self.shape)
        given = [name for name in _OF_IMAGES if getattr(self, name) is not None]
        if given and self.kind != "image":
            raise ValueError(f"{given[0]} is for inputs of the kind image, not {self.kind}")
        if self.rate is not None and self.kind != "audio":
            raise ValueError(f"rate is for inputs of the kind audio, not {self.kind}")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError("range needs its lower end first")
        if self.crop_fraction is not None and self.resize not in {"crop", "stretch"}:
            raise ValueError("crop_fraction goes with resize: crop or stretch")
        if self.shape and self.layout and "." not in self.layout and len(self.shape) != len(self.layout):
            raise ValueError(
                f"layout {self.layout} has {len(self.layout)} letters for {len(self.shape)} dimensions"
            )
        scales = self.scale if isinstance(self.scale, tuple) else (self.scale,)
        if 0 in scales:
            raise ValueError("scale contains 0, which would divide by zero")

    def size_of(self, letter: str) -> int | None:
        """Return the size of the dimension with this letter in the layout; None if it is open or unknown."""
        if not self.shape or not self.layout or letter not in self.layout or "." in self.layout:
            return None
        size = self.shape[self.layout.index(letter)]
        return size if isinstance(size, int) and size > 0 else None


_OF_IMAGES = ("color", "resize", "crop_fraction", "interpolation", "pad_value")


class ModelOutput(Struct, frozen=True, kw_only=True):
    """What one output of the IR holds; ``format`` says in a few words what its numbers are.

    ``labels`` are this output's own, where several outputs have classes. An output without a name is the
    one at its place in the order.
    """

    name: str | None = None
    shape: tuple[int | str, ...] | None = None
    layout: str | None = None
    kind: OutputKind
    format: str | None = None
    labels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check the dims."""
        check_shape(self.shape)


class Decode(Struct, frozen=True, kw_only=True):
    """What turns outputs into answers.

    ``type`` is one of openvino-model-api's model types, or one of ours; ``model_zoo.schema.decoding`` has
    both, and which of the other fields each takes.
    """

    type: str
    confidence_threshold: float | None = None
    iou_threshold: float | None = None
    agnostic_nms: bool | None = None
    nms_execute: bool | None = None
    nms_max_predictions: int | None = None
    multilabel: bool | None = None
    output_raw_scores: bool | None = None
    topk: int | None = None
    anchors: tuple[int | float, ...] | None = None
    masks: tuple[int, ...] | None = None
    soft_threshold: float | None = None
    return_soft_prediction: bool | None = None
    blur_strength: int | None = None
    postprocess_semantic_masks: bool | None = None
    apply_softmax: bool | None = None
    image_threshold: float | None = None
    pixel_threshold: float | None = None
    normalization_scale: float | None = None
    threshold: float | None = None
    box_threshold: float | None = None
    unclip_ratio: float | None = None
    blank: int | None = None
    strides: tuple[int, ...] | None = None
    anchors_per_cell: tuple[int, ...] | None = None
    keypoints: int | None = None
    activation: Literal["none", "sigmoid", "softmax"] | None = None
    pooling: Literal["none", "mean", "cls", "last"] | None = None
    normalize: bool | None = None
    pixels: bool | None = None
    corners: Literal["xyxy", "yxyx"] | None = None

    def __post_init__(self) -> None:
        """Check the type, bring its spelling to Model API's, and refuse parameters of other types."""
        known = {name.casefold(): name for name in PARAMETERS}
        if (name := known.get(self.type.casefold())) is None:
            near = near_names(self.type, PARAMETERS)
            meant = (
                f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(PARAMETERS))}"
            )
            raise ValueError(f"type {self.type!r} is not a way of decoding; {meant}")
        force_setattr(self, "type", name)
        foreign = [field for field in self.parameters if field not in PARAMETERS[name]]
        if foreign:
            allowed = ", ".join(sorted(PARAMETERS[name])) or "none"
            raise ValueError(f"{foreign[0]} is no parameter of {name}; it takes {allowed}")

    @property
    def parameters(self) -> dict[str, object]:
        """The fields that are given, apart from the type."""
        given = msgspec.structs.asdict(self)
        return {name: value for name, value in given.items() if name != "type" and value is not None}

    @property
    def by_model_api(self) -> bool:
        """Whether openvino-model-api decodes it, so that the IR says so in its run-time information."""
        return self.type not in OWN_TYPES


def image_info(image: ModelInput, *, declared: bool) -> dict[str, object]:
    """Return how to make the tensor of a picture, in the words of openvino-model-api.

    Args:
        image: the input.
        declared: the conversion itself states mean and scale.
    """
    info: dict[str, Any] = {}
    if image.resize is not None:
        info["resize_type"] = RESIZE_TYPES[image.resize]
    if image.pad_value is not None:
        info["pad_value"] = image.pad_value
    if image.color == "RGB":  # readers take pictures to be BGR, as OpenCV has them
        info["reverse_input_channels"] = True
    elif image.color == "BGR":
        info["color_order"] = "BGR"  # what our own readers, whose pictures are RGB, go by
    if not declared:
        for name, values in (("mean_values", image.mean), ("scale_values", image.scale)):
            if values is not None:
                info[name] = values if isinstance(values, tuple) else (values,) * (image.size_of("C") or 3)
    return info


def check_port_names(
    ports: tuple[ModelInput, ...] | tuple[ModelOutput, ...], field: str, *, required: bool = True
) -> None:
    """Refuse several inputs of which one has no name of its own; outputs may go by their order.

    Raises:
        ValueError: names the field.
    """
    names = [port.name for port in ports if required or port.name is not None]
    if len(names) > 1 and (None in names or len(set(names)) != len(names)):
        raise ValueError(f"{field}: each of several {field} needs a name of its own")
