"""Files (images, arrays, audio, raw bytes), or zeros, as the inputs of a network."""

from __future__ import annotations

import io
import sys
import wave
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model_zoo.errors import LoadError, MissingExtraError, ModelZooError, UsageError
from model_zoo.formats.ports import (
    IMAGE_SUFFIXES,
    choose_shape,
    image_layout,
    image_tensor,
    port_name,
    port_sizes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import openvino

    from model_zoo.formats.ports import Array

MAX_BYTES = 1 << 30
"""Of one input: of its file, and of an array that is packed in one."""


@dataclass(frozen=True)
class InputPort:
    """One input of a network.

    Attributes:
        shape: its sizes; None for a dynamic one.
        example_shape: a shape that it accepts.
        layout: of an image, such as NCHW; None if it takes none.
    """

    name: str
    shape: tuple[int | None, ...]
    example_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    layout: str | None

    def accepts(self, shape: Sequence[int]) -> bool:
        """Whether an array of this shape fits."""
        return len(shape) == len(self.shape) and all(
            expected in {None, size} for expected, size in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        """Return name, shape and type for messages."""
        sizes = ",".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} [{sizes}] {self.dtype}"


@dataclass(frozen=True)
class Feed:
    """The arrays of one inference, by input name, and where they came from.

    For an image also its file, and the width and height that it has in the network.
    """

    source: str
    arrays: dict[str, Array]
    image: Path | None = None
    network_size: tuple[int, int] = (0, 0)


def input_ports(model: openvino.Model | openvino.CompiledModel) -> list[InputPort]:
    """Return the inputs of a model."""
    return [
        InputPort(
            name=port_name(port),
            shape=port_sizes(port),
            example_shape=choose_shape(port.get_partial_shape()),
            dtype=np.dtype(port.get_element_type().to_dtype()),
            layout=image_layout(port),
        )
        for port in model.inputs
    ]


def read_feeds(
    source: str | Path | None, ports: Sequence[InputPort], info: Mapping[str, str]
) -> Iterator[Feed]:
    """Yield the inferences for one source: audio makes several if the network takes windows of it.

    The source is an image, a ``.npy``, ``.npz`` or ``.wav`` file, or any other file as raw bytes; None means
    zeros, which inputs without a source of their own get too.

    Raises:
        UsageError: the file does not exist.
        LoadError: it does not fit the network.
        MissingExtraError: images need pillow, which is not installed.
    """
    zeros = {port.name: np.zeros(port.example_shape, port.dtype) for port in ports}
    if source is None:
        yield Feed("zeros", zeros)
        return
    path = Path(source)
    if not path.is_file():
        what = f"the input {source} does not exist"
        raise UsageError(what, hint="give an image, a .npy, .npz or .wav file, or a file of raw bytes")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _not_accepted(path, ports, f"{size} bytes, at most {MAX_BYTES} are read")
    read = {".npy": _npy, ".npz": _npz, ".wav": _wav}.get(path.suffix.lower(), _raw)
    try:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            yield _image_feed(path, ports, info, zeros)
            return
        windows = read(path, ports)
    except ModelZooError:
        raise
    except Exception as error:  # numpy, wave and pillow raise what they like on a damaged file
        raise _not_accepted(path, ports, str(error) or f"a damaged file ({type(error).__name__})") from error
    for index, arrays in enumerate(windows):
        label = path.name if len(windows) == 1 else f"{path.name}[{index}]"
        yield Feed(label, zeros | arrays)


def _not_accepted(path: Path, ports: Sequence[InputPort], reason: str) -> LoadError:
    return LoadError(
        f"{path.name} does not fit the inputs of this network",
        expected="; ".join(str(port) for port in ports),
        found=reason,
        hint="give a file that fits one of the inputs above",
    )


def _image_feed(
    path: Path, ports: Sequence[InputPort], info: Mapping[str, str], zeros: dict[str, Array]
) -> Feed:
    port = next((port for port in ports if port.layout and {"H", "W", "C"} <= set(port.layout)), None)
    if port is None or port.layout is None:
        raise ValueError("an image, but no input of the network takes one")
    try:
        tensor = image_tensor(path, port.shape, port.layout, port.dtype, info)
    except ImportError as error:
        what = "reading images needs pillow, which is not installed"
        raise MissingExtraError(what, hint="pip install pillow, or give a .npy file") from error
    sizes = dict(zip(port.layout, tensor.shape, strict=True))
    return Feed(path.name, zeros | {port.name: tensor}, path, (sizes["W"], sizes["H"]))


def _npy(path: Path, ports: Sequence[InputPort]) -> list[dict[str, Array]]:
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # so no more is allocated than the file has
    except (ValueError, EOFError) as error:  # whose own advice is to load pickled objects
        raise ValueError("not an array of numbers in the .npy format") from error
    return [{ports[0].name: _fitted(mapped, ports[0])}]


def _npz(path: Path, ports: Sequence[InputPort]) -> list[dict[str, Array]]:
    by_name = {port.name: port for port in ports}
    with zipfile.ZipFile(path) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        unknown = sorted(set(members) - set(by_name))
        if unknown or not members:
            raise ValueError(f"it has arrays for {', '.join(unknown) or 'nothing'}")
        packed = sum(member.file_size for member in members.values())
        if packed > MAX_BYTES:
            raise ValueError(f"arrays of {packed} bytes, at most {MAX_BYTES} are read")
        arrays = {
            name: np.load(io.BytesIO(archive.read(member)), allow_pickle=False)
            for name, member in members.items()
        }
        return [{name: _fitted(array, by_name[name]) for name, array in arrays.items()}]


def _fitted(array: Array, port: InputPort) -> Array:
    """Return the array in the port's type; a missing batch of one is added."""
    if not port.accepts(array.shape) and port.accepts((1, *array.shape)):
        array = array[None]
    if not port.accepts(array.shape):
        raise ValueError(f"an array of shape {list(array.shape)}")
    return np.ascontiguousarray(array, dtype=port.dtype)


def _wav(path: Path, ports: Sequence[InputPort]) -> list[dict[str, Array]]:
    """Return audio, mixed to one channel, -1 to 1, in windows of the length that the network takes."""
    port = ports[0]
    samples = read_wav(path)
    if port.dtype.kind != "f":
        raise ValueError(f"audio, which is real numbers, but {port.name} takes {port.dtype}")
    # The samples go along a dynamic dimension or the longest, the batch excepted.
    axes = range(1 if len(port.shape) > 1 else 0, len(port.shape))
    axis = max(axes, key=lambda axis: port.shape[axis] or sys.maxsize)
    length = port.shape[axis] or max(len(samples), 1)
    shape = [length if index == axis else 1 for index in range(len(port.shape))]
    if not port.accepts(shape):
        raise ValueError(f"audio of {len(samples)} samples")
    count = max(1, -(-len(samples) // length))
    padded = np.zeros(count * length, port.dtype)
    padded[: len(samples)] = samples
    return [{port.name: window.reshape(shape)} for window in padded.reshape(count, length)]


def read_wav(path: Path) -> Array:
    """Return a PCM ``.wav`` file as float32 samples between -1 and 1, its channels averaged.

    wave.Error if it is not PCM audio of 8, 16, 24 or 32 bits per sample.
    """
    with wave.open(str(path)) as audio:
        width, channels = audio.getsampwidth(), audio.getnchannels()
        data = audio.readframes(audio.getnframes())
    if width == 1:
        samples = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    elif width == 3:  # noqa: PLR2004 - bytes; widened to four by a zero below
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = wide.reshape(-1).view("<i4").astype(np.float32) / 2**31
    else:
        samples = np.frombuffer(data, f"<i{width}").astype(np.float32) / 2 ** (8 * width - 1)
    mixed: Array = samples.reshape(-1, channels).mean(axis=1)
    return mixed


def _raw(path: Path, ports: Sequence[InputPort]) -> list[dict[str, Array]]:
    """Return a file's bytes as the first input, of which at most one dimension may be dynamic."""
    port = ports[0]
    data = path.read_bytes()
    if len(data) % port.dtype.itemsize:
        raise ValueError(f"{len(data)} bytes, which is not a whole number of {port.dtype} values")
    values = np.frombuffer(data, port.dtype)
    shape = [1 if size is None and axis == 0 else size for axis, size in enumerate(port.shape)]
    try:
        return [{port.name: values.reshape([-1 if size is None else size for size in shape])}]
    except ValueError as error:
        raise ValueError(f"{len(data)} bytes, {len(values)} values of {port.dtype}") from error
