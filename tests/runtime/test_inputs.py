"""What people give: pictures, arrays, sounds, bytes; each becomes what the network takes, or one sentence."""

from __future__ import annotations

import io
import struct
import sys
import wave
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_zoo.errors import InputError, MissingExtraError, UsageError
from model_zoo.formats import ports as images
from model_zoo.runtime.inference.audio import read_wav, resample
from model_zoo.runtime.inference.items import Picture, check_source, read_item
from tests.runtime.networks import PIXELS, named, ops, parameter, picture, predictor, same

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = {"inputs": [PIXELS]}


def seen(folder: Path, network: ov.Model, source: Any, info: dict | None = None, **fields: Any) -> np.ndarray:
    """Return what a network saw of an input."""
    found: np.ndarray = predictor(folder / "ir", network, info, **fields)(source).outputs["y"]
    return found


# --- pictures


def test_picture_is_resized_and_laid_out(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    got = seen(tmp_path, same([1, 3, 4, 6]), source, **IMAGE)
    assert got.shape == (1, 3, 4, 6)
    assert got[0, :, 0, 0].tolist() == [200, 100, 50]
    assert got[0, :, 0, 5].tolist() == [0, 0, 0]
    nhwc = seen(tmp_path, same([1, 4, 6, 3], np.uint8), source)
    np.testing.assert_array_equal(nhwc, got.transpose(0, 2, 3, 1))
    stated = seen(tmp_path, same([3, 4, 6], layout="CHW"), source, **IMAGE)
    np.testing.assert_array_equal(stated, got[0])
    declared = seen(tmp_path, same([3, 4, 6]), source, inputs=[{**PIXELS, "layout": "CHW"}])
    np.testing.assert_array_equal(declared, got[0])


def test_every_form_of_a_picture_is_the_same_picture(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    predict = predictor(tmp_path / "ir", same([1, 3, 4, 6]), **IMAGE)
    wanted = predict(source).outputs["y"]
    with Image.open(source) as opened:
        forms = [
            str(source),
            source.read_bytes(),
            opened,
            np.asarray(opened),
            np.asarray(opened.convert("RGBA")),
        ]
        for form in forms:
            np.testing.assert_array_equal(predict(form).outputs["y"], wanted)
        grey = predict(np.asarray(opened.convert("L"))).outputs["y"]
    assert len(set(grey[0, :, 0, 0].tolist())) == 1


def test_picture_stands_upright_as_the_camera_says(tmp_path: Path) -> None:
    with Image.open(picture(tmp_path / "a.png")) as opened:
        turned = opened.rotate(90, expand=True)  # counter-clockwise: the colour is below
        exif = Image.Exif()
        exif[0x0112] = 6  # "turn me clockwise"
        turned.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    item = read_item(tmp_path / "a.jpg")
    assert isinstance(item, Picture)
    assert item.pixels.shape == (10, 20, 3)
    assert item.pixels[5, 2, 0] > 150 > item.pixels[5, 17, 0]


def test_picture_is_normalised_as_declared(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    info = {"mean_values": "100 50 0", "scale_values": "2", "reverse_input_channels": "True"}

    def first(info: dict | None = None, **port: Any) -> list[float]:
        entry = {"inputs": [{"kind": "image", **port}]}
        return seen(tmp_path, same([1, 3, 4, 6]), source, info, **entry)[0, :, 0, 0].tolist()

    assert first(info) == [50, 25, 25]
    assert first({**info, "embedded_processing": "True"}) == [200, 100, 50]
    assert first(color="BGR", range=[0, 255]) == [50, 100, 200]
    assert first(range=[0, 1]) == pytest.approx([200 / 255, 100 / 255, 50 / 255])
    assert first(range=[-1, 1])[2] == pytest.approx(-1 + 100 / 255)
    assert first(range=[0, 255], mean=[100, 50, 0], scale=2) == [50, 25, 25]


def test_grey_pictures_and_open_sizes(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png", (100, 40))
    assert seen(tmp_path, same("[?,1,?,?]"), source, **IMAGE).shape == (1, 1, 32, 96)
    assert seen(tmp_path, same("[?,3,48,?]"), source, **IMAGE).shape == (1, 3, 48, 120)
    assert seen(tmp_path, same("[?,3,?,50]"), source, **IMAGE).shape == (1, 3, 20, 50)
    wide = picture(tmp_path / "b.png", (4000, 100))
    assert seen(tmp_path, same("[?,3,?,?]"), wide, **IMAGE).shape == (1, 3, 32, 1280)
    given = seen(tmp_path, same("[?,3,?,?]"), source, shapes={"x": [1, 3, 8, 16]}, **IMAGE)
    assert given.shape == (1, 3, 8, 16)


@pytest.mark.parametrize("kind", ["stretch", "crop", "fit", "letterbox"])
def test_each_way_of_resizing(tmp_path: Path, kind: str) -> None:
    source = picture(tmp_path / "a.png", (80, 40))
    port = {**PIXELS, "resize": kind, "pad_value": 9}
    got = seen(tmp_path, same([1, 3, 8, 8]), source, inputs=[port])[0, 0]
    row = {"fit": 1, "letterbox": 4}.get(kind, 3)
    assert (got[row] > 100).astype(int).tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    padded = {"fit": [4, 5, 6, 7], "letterbox": [0, 1, 6, 7]}.get(kind, [])
    assert [index for index in range(8) if (got[index] == 9).all()] == padded


def test_only_the_middle_of_a_picture(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[10:30, 30:50] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")

    def white(**port: Any) -> float:
        got = seen(tmp_path, same([1, 3, 8, 8]), tmp_path / "a.png", inputs=[{**PIXELS, **port}])
        return float((got[0, 0] > 128).mean())

    assert white(resize="crop", crop_fraction=0.5, interpolation="nearest") == 1
    assert 0.2 < white(resize="crop") < 0.3
    assert white(resize="stretch", crop_fraction=0.5, interpolation="nearest") == 0.5


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(1, 64), st.integers(1, 64)),
    st.sampled_from(["standard", "crop", "fit_to_window", "fit_to_window_letterbox"]),
)
def test_points_go_back_to_where_they_were(size: tuple[int, int], inner: tuple[int, int], kind: str) -> None:
    image = Image.new("RGB", size)
    info = {"resize_type": kind}
    _, fit = images.image_tensor(image, (1, 3, inner[1], inner[0]), "NCHW", np.dtype(np.float32), info)
    middle = np.array(size) / 2
    seen_at = middle * fit.scale + fit.offset
    np.testing.assert_allclose(fit.to_picture(seen_at), middle, atol=1e-6)
    assert (fit.to_picture(np.array([-1e6, 1e6])) == [0, size[1]]).all()


@given(st.lists(st.sampled_from([None, 1, 3, 4, 8, 16]), max_size=5))
def test_guess_of_a_layout_is_right_or_none(shape: list[int | None]) -> None:
    layout = images.guess_layout(shape)
    if layout:
        assert len(shape) == 4
        assert shape[layout.index("C")] in {1, 3, 4}


def test_picture_without_a_declared_range_is_refused(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    with pytest.raises(InputError, match="which numbers the picture input x takes") as caught:
        seen(tmp_path, same([1, 3, 4, 6]), source)
    assert "range: [0, 255]" in str(caught.value.hint)
    embedded = {"inputs": [{"name": "x", "mean": 127.5, "scale": 127.5}]}
    assert seen(tmp_path, same([1, 3, 4, 6]), source, recipe=embedded)[0, 0, 0, 0] == 200


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"resize_type": "stretch"}, "resize_type 'stretch'"),
        ({"mean_values": "1 2"}, "mean_values has 2 values"),
    ],
)
def test_model_info_that_does_not_fit(tmp_path: Path, info: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match="does not fit the inputs") as caught:
        seen(tmp_path, same([1, 3, 4, 4], layout="NCHW"), picture(tmp_path / "a.png"), info, **IMAGE)
    assert message in str(caught.value.found)


def test_pictures_need_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = picture(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match="needs pillow"):
        read_item(source)


# --- arrays


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(4))
    assert seen(tmp_path, same([1, 4]), tmp_path / "a.npy").tolist() == [[0, 1, 2, 3]]
    assert seen(tmp_path, same([1, 4]), (tmp_path / "a.npy").read_bytes()).tolist() == [[0, 1, 2, 3]]
    assert seen(tmp_path, same([1, 4]), np.arange(4.0)).tolist() == [[0, 1, 2, 3]]
    assert seen(tmp_path, same([1, 4]), {"x": [0, 1, 2, 3]}).tolist() == [[0, 1, 2, 3]]
    a, b = parameter([2], name="a"), parameter([2], name="b")
    np.savez(tmp_path / "b.npz", b=np.array([5.0, 6.0]), a=np.array([1.0, 1.0]))
    both = ov.Model([named(ops.subtract(b, a), "y")], [a, b], "m")
    assert seen(tmp_path, both, tmp_path / "b.npz").tolist() == [4, 5]
    assert seen(tmp_path, both, {"a": np.ones(2), "b": np.ones(2)}).tolist() == [0, 0]
    with pytest.raises(InputError, match=r"leaves an input without values: b \[2\] float32"):
        seen(tmp_path, both, {"a": np.ones(2)})
    with pytest.raises(InputError, match="arrays does not fit"):
        seen(tmp_path, both, {"c": np.ones(2)})


def test_scalars_stay_scalars(tmp_path: Path) -> None:
    x, rate = parameter([1, 2]), parameter([], np.int64, "rate")
    network = ov.Model([named(ops.multiply(x, ops.convert(rate, "f32")), "y")], [x, rate], "m")
    assert seen(tmp_path, network, {"x": np.ones((1, 2)), "rate": 3}).tolist() == [[3, 3]]
    assert seen(tmp_path, network, None).tolist() == [[0, 0]]


# --- sound


def sound(path: Path, samples: np.ndarray, width: int = 2, channels: int = 1, rate: int = 16000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        if width == 1:
            data = (samples * 127 + 128).astype(np.uint8).tobytes()
        elif width == 3:
            data = b"".join(struct.pack("<i", int(s * (2**31 - 1)))[1:] for s in samples)
        else:
            data = (samples * (2 ** (8 * width - 1) - 1)).astype(f"<i{width}").tobytes()
        file.writeframes(data)
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_sounds_of_every_width(tmp_path: Path, width: int) -> None:
    samples = np.array([0, 0.5, -0.5, 1.0])
    got, rate = read_wav(sound(tmp_path / "a.wav", samples, width).read_bytes())
    np.testing.assert_allclose(got, samples, atol=0.02)
    assert rate == 16000
    stereo, _ = read_wav(sound(tmp_path / "b.wav", samples, width, 2).read_bytes())
    np.testing.assert_allclose(stereo, [0.25, 0.25], atol=0.02)


def test_sound_is_cut_into_windows(tmp_path: Path) -> None:
    source = sound(tmp_path / "a.wav", np.linspace(0, 1, 10))
    got = seen(tmp_path, same([1, 4]), source)
    assert got.shape == (3, 4)
    assert got[2, 2:].tolist() == [0, 0]
    assert seen(tmp_path, same("[1,?]"), source).shape == (1, 10)
    with pytest.raises(InputError, match="does not fit") as caught:
        seen(tmp_path, same("[?]"), sound(tmp_path / "b.wav", np.zeros(0)))
    assert "without a single sample" in str(caught.value.found)


@pytest.mark.parametrize(("rate", "wanted"), [(44100, 16000), (8000, 16000), (16000, 16000)])
def test_sound_at_another_rate_sounds_the_same(rate: int, wanted: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    got = resample(tone, rate, wanted)
    truth = np.sin(2 * np.pi * 440 * np.arange(wanted) / wanted)
    np.testing.assert_allclose(got, truth, atol=1e-3)
    hiss = np.sin(2 * np.pi * 0.45 * rate * np.arange(rate) / rate).astype(np.float32)
    if wanted < rate:
        assert np.abs(resample(hiss, rate, wanted)).max() < 1e-2  # not folded back as another tone


def test_samples_as_an_array(tmp_path: Path) -> None:
    port = {"inputs": [{"kind": "audio", "rate": 16000}]}
    whole = np.full(32000, 1 << 14, np.int16)
    got = seen(tmp_path, same("[1,?]"), whole, **port)
    assert got.shape == (1, 32000)
    assert got[0, 0] == 0.5
    assert seen(tmp_path, same("[1,?]"), (whole, 32000), **port).shape == (1, 16000)
    with pytest.raises(InputError, match="one dimension"):
        read_item((np.zeros((2, 5)), 16000))


# --- bytes, and what cannot be read


def test_raw_bytes(tmp_path: Path) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(struct.pack("<4f", 1, 2, 3, 4))
    assert seen(tmp_path, same([2, 2]), source).tolist() == [[1, 2], [3, 4]]
    assert seen(tmp_path, same("[?,2,?]"), source).tolist() == [[[1, 2], [3, 4]]]


def npy(shape: str, values: int = 0) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(4 * values)


def zipped(content: bytes, method: int | None = None, size: int | None = None) -> bytes:
    """Return an archive of the array "x" that lies about how it is packed, or how large it is."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
    data = bytearray(made.getvalue())
    if method is not None:
        for signature, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
            struct.pack_into("<H", data, data.find(signature) + offset, method)
    if size is not None:
        struct.pack_into("<I", data, data.find(b"PK\1\2") + 24, size)
    return bytes(data)


def png(width: int, height: int) -> bytes:
    """Return a picture that says how large it is, with the data of one of 64 x 64."""
    made = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(made, "PNG")
    data = bytearray(made.getvalue())
    struct.pack_into(">II", data, 16, width, height)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "content", "shape", "kind"),
    [
        ("a.npy", np.ones((3, 3)), [1, 4], np.float32),
        ("a.npz", {"z": np.ones(4)}, [1, 4], np.float32),
        ("a.wav", np.zeros(4), [1, 4], np.int32),
        ("a.wav", np.zeros(4), [2, 4], np.float32),
        ("a.bin", b"12345", [1, 4], np.float32),
        ("a.bin", b"12345678", [1, 4], np.float32),
        ("a.png", None, [1, 4], np.float32),
    ],
)
def test_input_that_does_not_fit_says_what_would(
    tmp_path: Path, name: str, content: Any, shape: list[int], kind: Any
) -> None:
    path = tmp_path / name
    if content is None:
        picture(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif name.endswith("wav"):
        sound(path, content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    with pytest.raises(InputError, match=f"{name} does not fit the inputs of this network") as caught:
        seen(tmp_path, same(shape, kind), path)
    assert caught.value.exit_code == 8
    assert caught.value.found
    assert str(caught.value.expected).startswith("x [")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", b"broken"),
        ("a.npy", b""),
        ("a.npy", npy("(100000000000,)")),
        ("a.npy", npy("(4,", 4)),
        ("a.npz", b"PK\3\4broken"),
        ("a.npz", zipped(b"broken")),
        ("a.npz", zipped(npy("(100000000000,)"))),
        ("a.npz", zipped(b"", size=1 << 31)),
        ("a.npz", zipped(npy("(4,)", 4), method=99)),
        ("a.wav", b"broken"),
        ("a.wav", b""),
        ("a.mp3", b"ID3"),
        ("a.heic", b"any"),
        ("a.png", b"broken"),
        ("a.png", b""),
        ("a.png", png(64, 64)[:-40]),
        ("a.png", png(60_000, 60_000)),
        ("a.png", png(10_000, 10_000)),
    ],
)
def test_damaged_input_is_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{name} (cannot be read|is too large)") as caught:
        read_item(path)
    assert caught.value.exit_code == 8
    assert caught.value.found


def test_what_the_first_bytes_show_is_found_without_reading_the_rest(tmp_path: Path) -> None:
    check_source(picture(tmp_path / "a.png"))
    check_source(np.zeros(3))
    (tmp_path / "b.png").write_bytes(b"broken")
    (tmp_path / "b.wav").write_bytes(b"")
    (tmp_path / "b.mp3").write_bytes(b"ID3")
    for name in ("b.png", "b.wav", "b.mp3"):
        with pytest.raises(InputError, match=name):
            check_source(tmp_path / name)
    for path, message in ((tmp_path / "none.png", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(UsageError, match=message):
            check_source(path)
        with pytest.raises(UsageError, match=message):
            read_item(path)


def test_what_is_no_input_at_all() -> None:
    with pytest.raises(UsageError, match="cannot be of the type int"):
        read_item(3)  # type: ignore[arg-type]
