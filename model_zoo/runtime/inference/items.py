"""What people give as input: pictures, sounds, arrays and bytes, read and checked before all else."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from model_zoo.errors import InputError, MissingExtraError, ModelZooError, UsageError
from model_zoo.files.read import read_bounded
from model_zoo.formats.ports import IMAGE_SUFFIXES, open_image
from model_zoo.runtime.inference.audio import read_wav

if TYPE_CHECKING:
    import PIL.Image

Array: TypeAlias = np.ndarray[Any, Any]
Input: TypeAlias = Union[
    str, "os.PathLike[str]", bytes, Array, "PIL.Image.Image", tuple[Array, int], Mapping[str, Array]
]
"""One input: a path or the bytes of a picture, a .wav, .npy or .npz file, or any other; a picture of Pillow,
or as (height, width, 3) uint8 RGB; an array for the model's first input, or a dict of one for each; samples
with their rate."""
MAX_BYTES = 1 << 30
"""Of one input: of its file, and of an array that is packed in one."""
_UNREAD = {
    ".mp3",
    ".flac",
    ".ogg",
    ".m4a",
    ".aac",
    ".mp4",
    ".avi",
    ".mov",
    ".mkv",
    ".webm",
    ".heic",
    ".pdf",
    ".svg",
}
"""Kinds of files that people mean to be sound, pictures or video, and never raw numbers."""
_TAKEN = "give a picture, a .wav, .npy or .npz file, or a file of raw bytes"


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture: ``pixels`` is (height, width, 3) uint8, RGB."""

    name: str
    pixels: Array


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound: ``samples`` of one channel, float32 between -1 and 1; ``rate`` is None for the model's own."""

    name: str
    samples: Array
    rate: int | None


@dataclass(frozen=True, eq=False)
class Tensors:
    """Arrays by the name of their input; None is the first."""

    name: str
    arrays: dict[str | None, Array]


@dataclass(frozen=True, eq=False)
class Raw:
    """A file of a kind that says nothing: its bytes."""

    name: str
    data: bytes


Item: TypeAlias = Picture | Audio | Tensors | Raw


def read_item(source: Input | Item, *, raw: bool = False) -> Item:
    """Return one input, read, if it is not already; with ``raw``, files and bytes of any kind are bytes.

    Raises:
        UsageError: there is no such file, or it is nothing that can be an input.
        InputError: it is damaged, empty or too large.
        MissingExtraError: pictures need pillow, which is not installed.
    """
    if isinstance(source, (Picture, Audio, Tensors, Raw)):
        return source
    if isinstance(source, Mapping):
        return Tensors("arrays", {str(name): np.asarray(value) for name, value in source.items()})
    if isinstance(source, tuple):
        return _audio(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), "bytes", "" if raw else _sniff(bytes(source[:16])))
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return _from_bytes(_content(path), path.name, "" if raw else path.suffix.lower())
    if hasattr(source, "__array__") and not hasattr(source, "getbands"):
        return _array(np.asarray(source))
    if hasattr(source, "getbands"):
        return Picture("picture", _pixels(source, "picture"))
    what = f"an input cannot be of the type {type(source).__name__}"
    raise UsageError(what, hint="give a path, bytes, a picture of Pillow, an array, or a dict of arrays")


def check_source(source: Input | Item | None, *, raw: bool = False) -> None:
    """Refuse an input by its first bytes; errors as of ``read_item``."""
    if not isinstance(source, (str, os.PathLike)):
        return
    path = Path(source)
    size = _size(path)
    if raw:
        return
    if path.suffix.lower() in IMAGE_SUFFIXES:
        with _opened(path, path.name):
            pass
    elif path.suffix.lower() in _UNREAD:
        raise _unreadable(
            path.name, f"a {path.suffix.lower()} file, which is none of the kinds that are read"
        )
    elif not size and path.suffix.lower() in {".wav", ".npy", ".npz"}:
        raise _unreadable(path.name, "an empty file")


def _size(path: Path) -> int:
    if path.is_dir():
        raise UsageError(f"the input {path} is a folder", hint=f"name the files in it: {path}/*")
    if not path.is_file():
        raise UsageError(f"the input {path} does not exist", hint=_TAKEN)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _unreadable(path.name, f"{size} bytes, at most {MAX_BYTES} are read")
    return size


def _content(path: Path) -> bytes:
    _size(path)
    try:
        return read_bounded(path, MAX_BYTES)[0]
    except (OSError, ValueError) as error:
        raise _unreadable(path.name, str(error)) from error


def _from_bytes(data: bytes, name: str, suffix: str) -> Item:
    """Return what the bytes of a file hold, by the suffix of its name."""
    known = suffix in IMAGE_SUFFIXES or suffix in {".wav", ".npy", ".npz"}
    if known and not data:
        raise _unreadable(name, "an empty file")
    try:
        if suffix in IMAGE_SUFFIXES:
            with _opened(io.BytesIO(data), name) as image:
                return Picture(name, _pixels(image, name))
        if suffix == ".wav":
            return Audio(name, *read_wav(data))
        if suffix == ".npy":
            return Tensors(name, {None: _npy(data)})
        if suffix == ".npz":
            return Tensors(name, _npz(data))
    except ModelZooError:
        raise
    except Exception as error:  # numpy, wave and pillow raise what they like on a damaged file
        raise _unreadable(name, str(error) or f"a damaged file ({type(error).__name__})") from error
    if suffix in _UNREAD:
        raise _unreadable(name, f"a {suffix} file, which is none of the kinds that are read")
    return Raw(name, data)


def _sniff(head: bytes) -> str:
    """Return the suffix of what begins with these bytes; empty for what is none of ours."""
    signs = {
        b"\x89PNG": ".png",
        b"\xff\xd8\xff": ".jpg",
        b"GIF8": ".gif",
        b"BM": ".bmp",
        b"II*\0": ".tif",
        b"MM\0*": ".tif",
        b"\x93NUMPY": ".npy",
        b"PK\3\4": ".npz",
    }
    if head[:4] == b"RIFF":
        return {b"WAVE": ".wav", b"WEBP": ".webp"}.get(head[8:12], "")
    return next((suffix for sign, suffix in signs.items() if head.startswith(sign)), "")


def _opened(file: Path | io.BytesIO, name: str) -> PIL.Image.Image:
    """Open a picture, of which only the header is read."""
    try:
        from PIL import Image
    except ImportError as error:
        what = "reading pictures needs pillow, which is not installed"
        raise MissingExtraError(what, hint="pip install 'model-zoo[vision]', or give an array") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = open_image(file)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        largest = (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        what = f"{name} is too large a picture"
        found = str(error).partition(" exceeds")[0].removeprefix("Image size ").strip("()")
        raise InputError(
            what, expected=f"at most {largest} megapixels", found=found, hint="make it smaller"
        ) from error
    except Exception as error:
        raise _unreadable(name, "not a picture, or a damaged one") from error
    return image


def _pixels(image: Any, name: str) -> Array:  # noqa: ANN401 - of pillow
    """Return a picture's pixels, upright as the camera says."""
    from PIL import ImageOps

    try:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception as error:
        raise _unreadable(name, f"a damaged picture: {error}") from error


def _array(array: Array) -> Item:
    """Return a picture if the array looks like one, else the first input's values."""
    if array.dtype == np.uint8:
        if array.ndim == 2:  # noqa: PLR2004 - grey
            return Picture("picture", np.repeat(array[:, :, None], 3, axis=2))
        if array.ndim == 3 and array.shape[2] in {1, 3, 4}:  # noqa: PLR2004 - grey, colour, colour and alpha
            return Picture("picture", np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[:, :, :3])
    return Tensors("array", {None: array})


def _audio(source: tuple[Array, int]) -> Audio:
    samples, rate = source
    return Audio("audio", as_samples(np.asarray(samples)), int(rate))


def as_samples(array: Array) -> Array:
    """Return sound as float32 between -1 and 1; integers are scaled by what their type holds.

    Raises:
        InputError: it has more than one channel.
    """
    if array.ndim != 1:
        what = "sound is an array of one dimension, the samples"
        raise InputError(what, found=f"shape {list(array.shape)}", hint="mix the channels first")
    if array.dtype.kind == "i":
        return np.asarray(array / float(np.iinfo(array.dtype).max + 1), np.float32)
    return np.asarray(array, np.float32)


def _npy(data: bytes) -> Array:
    try:
        return _load(io.BytesIO(data), len(data))
    except (ValueError, EOFError) as error:  # whose own advice is to load pickled objects
        raise ValueError("not an array of numbers in the .npy format") from error


def _npz(data: bytes) -> dict[str | None, Array]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if not members:
            raise ValueError("it has no array")
        packed = sum(member.file_size for member in members)
        if packed > MAX_BYTES:
            raise ValueError(f"arrays of {packed} bytes, at most {MAX_BYTES} are read")
        return {
            member.filename.removesuffix(".npy"): _load(io.BytesIO(archive.read(member)), member.file_size)
            for member in members
        }


def _load(stream: io.BytesIO, size: int) -> Array:
    """Return an array, of which no more is allocated than the data can hold."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject or dtype.itemsize * int(np.prod(shape, dtype=object)) > size:
        raise ValueError("not an array of numbers, or less data than its header says")
    stream.seek(0)
    return np.asarray(np.load(stream, allow_pickle=False))


def _unreadable(name: str, reason: str) -> InputError:
    return InputError(f"the input {name} cannot be read", found=reason, hint=_TAKEN)
