"""What a person has (a picture, an array, a sound, bytes, nothing) as the inputs of a network."""

from __future__ import annotations

import sys
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model_zoo.errors import LoadError, MissingExtraError, UsageError
from model_zoo.formats import images

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Array = np.ndarray[Any, Any]
_OPEN = 32
"""The size of zeros where the network leaves one open, the batch excepted, and nothing bounds it."""


@dataclass(frozen=True)
class Port:
    """One input of a network: its name, its sizes (None for any), its element type and layout."""

    name: str
    shape: tuple[int | None, ...]
    zeros: tuple[int, ...]
    dtype: np.dtype[Any]
    layout: str | None

    def accepts(self, shape: Sequence[int]) -> bool:
        """Whether an array of this shape fits."""
        return len(shape) == len(self.shape) and all(
            wanted in {None, got} for wanted, got in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        """Return name, shape and type for messages."""
        sizes = ",".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} [{sizes}] {self.dtype}"


@dataclass(frozen=True)
class Feed:
    """The arrays of one inference, by input name, and what they came from.

    For a picture also its file, and the width and height it has in the network.
    """

    source: str
    arrays: dict[str, Array]
    picture: Path | None = None
    fitted: tuple[int, int] = (0, 0)


def ports_of(compiled: Any) -> list[Port]:  # noqa: ANN401 - openvino has no types here
    """Return the inputs of a compiled model (or of an ``openvino.Model``)."""
    return [_port(port) for port in compiled.inputs]


def name_of(port: Any) -> str:  # noqa: ANN401
    """Return the name people know a port by: its tensor's, else its node's.

    A device may add names when it compiles; the result's own name then tells which was there before.
    """
    names, own = port.get_names(), port.get_node().get_friendly_name()
    for known in (own, own.rpartition("/")[0]):
        if known in names:
            return str(known)
    return str(min(names, default=own))


def _port(port: Any) -> Port:  # noqa: ANN401
    dims = list(port.get_partial_shape())
    shape = tuple(dim.get_length() if dim.is_static else None for dim in dims)
    layout = port.get_node().layout.to_string().strip("[]").replace(",", "")
    if not layout or "." in layout or len(layout) != len(shape) or not set("HW") <= set(layout):
        layout = images.guess_layout(shape) or ""
    dtype = np.dtype(port.get_element_type().to_dtype())
    return Port(name_of(port), shape, tuple(_size(*pair) for pair in enumerate(dims)), dtype, layout or None)


def _size(axis: int, dim: Any) -> int:  # noqa: ANN401 - an openvino.Dimension
    if dim.is_static:
        return int(dim.get_length())
    low, high = dim.get_min_length(), dim.get_max_length()
    size = max(1 if axis == 0 else _OPEN, low)
    return int(size if high < 0 else min(size, high))


def feeds_of(source: str | Path | None, ports: Sequence[Port], info: Mapping[str, str]) -> Iterator[Feed]:
    """Yield the inferences that one input stands for: a sound is several where the network takes windows.

    Args:
        source: a picture, ``.npy``, ``.npz``, ``.wav``, any other file as raw bytes; None for zeros.
        ports: the network's inputs; those the source says nothing of are zeros.
        info: ``model_info`` as text.

    Raises:
        UsageError: the file does not exist.
        LoadError: it does not fit the network.
        MissingExtraError: pictures need pillow.
    """
    zeros = {port.name: np.zeros(port.zeros, port.dtype) for port in ports}
    if source is None:
        yield Feed("zeros", zeros)
        return
    path = Path(source)
    if not path.is_file():
        what = f"the input {source} does not exist"
        raise UsageError(what, hint="give a picture, a .npy, .npz or .wav file, or raw bytes")
    read = {".npy": _npy, ".npz": _npz, ".wav": _wav}.get(path.suffix.lower(), _raw)
    try:
        if path.suffix.lower() in images.SUFFIXES:
            yield _picture(path, ports, info, zeros)
            return
        windows = read(path, ports)
    except (OSError, ValueError, EOFError, wave.Error) as error:
        raise _unfit(path, ports, str(error)) from error
    for index, arrays in enumerate(windows):
        label = path.name if len(windows) == 1 else f"{path.name}[{index}]"
        yield Feed(label, zeros | arrays)


def _unfit(path: Path, ports: Sequence[Port], why: str) -> LoadError:
    return LoadError(
        f"{path.name} cannot be the input of this network",
        expected="; ".join(str(port) for port in ports),
        found=why,
        hint="give a file that fits the network's inputs",
    )


def _picture(path: Path, ports: Sequence[Port], info: Mapping[str, str], zeros: dict[str, Array]) -> Feed:
    port = next((one for one in ports if one.layout and {"H", "W", "C"} <= set(one.layout)), None)
    if port is None or port.layout is None:
        msg = "it is a picture, and no input of the network looks like one"
        raise ValueError(msg)
    try:
        tensor = images.picture_tensor(path, port.shape, port.layout, port.dtype, info)
    except ImportError as error:
        what = "reading pictures needs pillow, which is not installed"
        raise MissingExtraError(what, hint="pip install pillow, or give a .npy file") from error
    sizes = dict(zip(port.layout, tensor.shape, strict=True))
    return Feed(path.name, zeros | {port.name: tensor}, path, (sizes["W"], sizes["H"]))


def _npy(path: Path, ports: Sequence[Port]) -> list[dict[str, Array]]:
    return [{ports[0].name: _fitted(np.load(path), ports[0])}]


def _npz(path: Path, ports: Sequence[Port]) -> list[dict[str, Array]]:
    by_name = {port.name: port for port in ports}
    with np.load(path) as arrays:
        unknown = sorted(set(arrays.files) - set(by_name))
        if unknown or not arrays.files:
            msg = f"it has arrays for {', '.join(unknown) or 'nothing'}"
            raise ValueError(msg)
        return [{name: _fitted(arrays[name], by_name[name]) for name in arrays.files}]


def _fitted(array: Array, port: Port) -> Array:
    """Return the array in the port's type; a missing batch of one is added."""
    if not port.accepts(array.shape) and port.accepts((1, *array.shape)):
        array = array[None]
    if not port.accepts(array.shape):
        msg = f"an array of shape {list(array.shape)}"
        raise ValueError(msg)
    return np.ascontiguousarray(array, dtype=port.dtype)


def _wav(path: Path, ports: Sequence[Port]) -> list[dict[str, Array]]:
    """Return the sound, mixed to one channel, -1 to 1, in windows of the length the network takes."""
    port = ports[0]
    samples = read_wav(path)
    if port.dtype.kind != "f":
        msg = f"a sound is real numbers, and {port.name} holds {port.dtype}"
        raise ValueError(msg)
    axis = _time_axis(port)
    length = port.shape[axis] or max(len(samples), 1)
    shape = [1 if axis != one else length for one in range(len(port.shape))]
    if not port.accepts(shape):
        msg = f"a sound of {len(samples)} samples"
        raise ValueError(msg)
    count = max(1, -(-len(samples) // length))
    padded = np.zeros(count * length, port.dtype)
    padded[: len(samples)] = samples
    return [{port.name: window.reshape(shape)} for window in padded.reshape(count, length)]


def _time_axis(port: Port) -> int:
    """Return the dimension a sound runs along: the longest or an open one, but the batch."""
    axes = range(1 if len(port.shape) > 1 else 0, len(port.shape))
    return max(axes, key=lambda axis: port.shape[axis] or sys.maxsize)


def read_wav(path: Path) -> Array:
    """Return a PCM ``.wav`` file as float32 samples between -1 and 1, its channels averaged.

    Raises:
        wave.Error: it is not a PCM sound of 8, 16, 24 or 32 bits a sample.
    """
    with wave.open(str(path)) as sound:
        width, channels = sound.getsampwidth(), sound.getnchannels()
        data = sound.readframes(sound.getnframes())
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


def _raw(path: Path, ports: Sequence[Port]) -> list[dict[str, Array]]:
    """Return a file's bytes as the first input, whose shape must then be fixed but for one dimension."""
    port = ports[0]
    data = path.read_bytes()
    if len(data) % port.dtype.itemsize:
        msg = f"{len(data)} bytes, which is no whole number of {port.dtype}"
        raise ValueError(msg)
    values = np.frombuffer(data, port.dtype)
    shape = [1 if size is None and axis == 0 else size for axis, size in enumerate(port.shape)]
    try:
        return [{port.name: values.reshape([-1 if size is None else size for size in shape])}]
    except ValueError as error:
        msg = f"{len(data)} bytes, {len(values)} values of {port.dtype}"
        raise ValueError(msg) from error
