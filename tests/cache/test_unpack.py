"""Archives: nothing leaves the folder, nothing is a link, nothing explodes, nothing half is taken."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_zoo.cache import unpack as module
from model_zoo.cache.unpack import unpack
from model_zoo.errors import CacheFullError, IntegrityError
from model_zoo.schema import Unpack
from tests.cache.made import tree

PACK = {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}
FORMATS = [*PACK, "zip"]
FILES = {"top/a.bin": b"1" * 1000, "top/sub/b.txt": b"2", "top/empty": b""}


def tar_of(*members):
    """Return a tar of ``(name, bytes)`` or ready ``TarInfo`` members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def zip_of(*members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return out.getvalue()


def archive_of(packed, *members):
    return zip_of(*members) if packed == "zip" else PACK[packed](tar_of(*members))


@pytest.fixture
def run(tmp_path):
    """Unpack bytes; return what was made of them."""

    def call(data, packed="tar", strip=0):
        archive, folder = tmp_path / "archive", tmp_path / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        archive.write_bytes(data)
        names = unpack(archive, Unpack(format=packed, strip=strip), folder, "model: file")
        found = tree(folder)
        assert names == sorted(found)
        return found

    return call


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("packed", FORMATS)
def test_whole_archives(run, packed):
    data = archive_of(packed, *FILES.items())
    assert run(data, packed) == FILES
    assert run(data, packed, strip=1) == {name[4:]: content for name, content in FILES.items()}
    assert run(data, packed, strip=2) == {"b.txt": b"2"}
    with pytest.raises(IntegrityError, match="no file below 3 folders"):
        run(data, packed, strip=3)


@pytest.mark.parametrize("packed", FORMATS)
def test_leading_dots_and_folders(run, packed):
    folder = tarfile.TarInfo("./a/")
    folder.type = tarfile.DIRTYPE
    members = (("./a/", b"") if packed == "zip" else folder, ("./a/b", b"1"))
    assert run(archive_of(packed, *members), packed) == {"a/b": b"1"}


@pytest.mark.parametrize("packed", FORMATS)
def test_an_empty_archive_is_not_a_model(run, packed):
    with pytest.raises(IntegrityError, match="contains no file"):
        run(archive_of(packed), packed)


@pytest.mark.parametrize(
    "name",
    [
        "../out",
        "a/../../out",
        "/etc/out",
        "..\\out",
        "a\\..\\..\\out",
        "C:/out",
        "C:out",
        "\\\\host\\share\\out",
        "a/b:stream",
        "nul",
        "a/COM1.txt",
        "trailing.",
        "trailing ",
        "a/.model-zoo.json",
        ".model-zoo.json",
        "x" * 241,
        "new\nline",
        "a\x7fb",
    ],
)
@pytest.mark.parametrize("packed", ["tar", "zip"])
def test_names_that_are_refused(run, tmp_path, name, packed):
    with pytest.raises(IntegrityError, match="was rejected|damaged, or not"):
        run(archive_of(packed, ("good", b"1"), (name, b"bad")), packed)
    assert not list(tmp_path.rglob("*out*"))
    assert {p.name for p in tmp_path.iterdir()} == {"archive", "folder"}


@pytest.mark.parametrize("packed", ["tar", "zip"])
def test_a_refused_name_is_refused_whatever_is_stripped(run, packed):
    with pytest.raises(IntegrityError, match="leads out of the folder"):
        run(archive_of(packed, ("a/../../b/c", b"1")), packed, strip=3)


SAME, BOTH = "same path on case-insensitive file systems", "both a file and the folder"


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("a", "a"), SAME),
        (("a", "A"), SAME),
        (("Stra\u00dfe", "STRASSE"), SAME),
        (("e\u0301", "\u00e9"), SAME),
        (("a", "a/b"), BOTH),
        (("a/b", "A"), BOTH),
        (("a/b/c", "a/B"), BOTH),
    ],
)
@pytest.mark.parametrize("packed", ["tar", "zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_clash(run, names, why, packed):
    with pytest.raises(IntegrityError, match=why):
        run(archive_of(packed, *((name, b"1") for name in names)), packed)


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
@pytest.mark.parametrize("target", ["good", "../../outside", "/etc/passwd"])
def test_links_and_devices_in_a_tar(run, kind, target):
    with pytest.raises(IntegrityError, match="link, a device"):
        run(tar_of(("good", b"1"), link("bad", target, kind)))
    with pytest.raises(IntegrityError, match="link, a device"):
        run(tar_of(link("bad", target, kind), ("bad/file", b"1")))


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666, 0o140777])
def test_links_and_devices_in_a_zip(run, mode):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        info = zipfile.ZipInfo("bad")
        info.create_system, info.external_attr = 3, mode << 16
        file.writestr(info, "/etc/passwd")
    with pytest.raises(IntegrityError, match="link or a device"):
        run(out.getvalue(), "zip")


def test_modes_are_not_taken_over(run, tmp_path):
    info = tarfile.TarInfo("suid")
    info.mode = 0o6777
    run(tar_of(info))
    assert (tmp_path / "folder/suid").stat().st_mode & 0o7111 == 0


# --- bombs


@pytest.mark.parametrize("packed", ["tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_a_bomb_of_zeros(run, tmp_path, packed, monkeypatch):
    monkeypatch.setattr(module, "SLACK", 1 << 16)
    with pytest.raises(IntegrityError, match="far more than an archive of its size"):
        run(archive_of(packed, ("zeros", bytes(16 << 20))), packed)
    assert sum(p.stat().st_size for p in (tmp_path / "folder").rglob("*")) == 0, (
        "refused before it is written"
    )


def test_a_bomb_of_many_files(run, monkeypatch):
    monkeypatch.setattr(module, "MAX_MEMBERS", 50)
    with pytest.raises(IntegrityError, match="far more"):
        run(zip_of(*((f"{number}", b"") for number in range(51))), "zip")


def test_a_bomb_in_what_is_stripped(run, monkeypatch):
    monkeypatch.setattr(module, "SLACK", 1 << 16)
    monkeypatch.setattr(module, "MAX_MEMBERS", 10)
    data = gzip.compress(tar_of(("zeros", bytes(16 << 20)), ("a/b", b"1")))
    with pytest.raises(IntegrityError, match="far more"):
        run(data, "tar.gz", strip=1)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_bomb_in_a_header(run, kind):
    info = tarfile.TarInfo("header")
    info.type, info.size = kind, 2 << 20
    data = info.tobuf(tarfile.GNU_FORMAT) + bytes(2 << 20) + tar_of(("a", b"1"))
    with pytest.raises(IntegrityError, match="absurdly large"):
        run(gzip.compress(data), "tar.gz")


def test_a_sparse_file(run):
    info = tarfile.TarInfo("sparse")
    info.size = 512
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000000000\0" + b"00000001000\0"
    header[483:495] = b"77777777777\0"
    header[148:156] = b"        "
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    with pytest.raises(IntegrityError):
        run(bytes(header) + bytes(512) + bytes(1024))


def test_no_room(run, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(CacheFullError, match="not enough space to unpack a"):
        run(tar_of(("a", b"1" * 11)))


# --- damage


@pytest.mark.parametrize("packed", FORMATS)
def test_truncation_anywhere(run, packed):
    data = archive_of(packed, *FILES.items())
    whole = run(data, packed)
    for end in range(0, len(data), max(1, len(data) // 60)):
        try:
            found = run(data[:end], packed)
        except IntegrityError:
            continue
        assert packed == "tar", "compressed forms know their end"
        assert found.items() <= whole.items(), "a tar may lack its end, but no file of it is cut"


@pytest.mark.parametrize("packed", FORMATS)
def test_another_format_than_declared(run, packed):
    for other in FORMATS:
        if other != packed:
            with pytest.raises(IntegrityError, match=f"damaged, or not a {packed} archive|contains no file"):
                run(archive_of(other, *FILES.items()), packed)


def patched_zip(offset_local, offset_central, value, fmt="<I"):
    data = bytearray(zip_of(("a", b"1" * 100), method=zipfile.ZIP_STORED))
    central = data.index(b"PK\1\2")
    struct.pack_into(fmt, data, offset_local, value)
    struct.pack_into(fmt, data, central + offset_central, value)
    return bytes(data)


@pytest.mark.parametrize("size", [0, 99, 101, 1 << 31])
def test_a_zip_with_wrong_sizes(run, size):
    with pytest.raises(IntegrityError):
        run(patched_zip(22, 24, size), "zip")


@pytest.mark.parametrize("method", [99, 9, 97])
def test_a_zip_with_an_unknown_compression(run, method):
    with pytest.raises(IntegrityError, match="damaged, or not a zip"):
        run(patched_zip(8, 10, method, "<H"), "zip")


def test_an_encrypted_zip(run):
    with pytest.raises(IntegrityError, match="encrypted"):
        run(patched_zip(6, 8, 1, "<H"), "zip")


def test_a_zip_with_a_wrong_checksum(run):
    with pytest.raises(IntegrityError, match="CRC"):
        run(patched_zip(14, 16, 12345), "zip")


def test_an_error_of_the_disk_is_not_the_archives_fault(run, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module, "_write", fail)
    with pytest.raises(OSError, match="Input/output"):
        run(tar_of(("a", b"1")))


# --- anything at all

names = st.text(st.sampled_from("aAbB./\\ \u00e9\u0301:"), min_size=1, max_size=8)
quick = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@quick
@given(
    st.lists(st.tuples(names, st.binary(max_size=20)), max_size=5),
    st.sampled_from(FORMATS),
    st.integers(0, 2),
)
def test_any_names(run, tmp_path, members, packed, strip):
    data = archive_of(packed, *members)
    try:
        found = run(data, packed, strip)
    except IntegrityError:
        found = {}
    assert {p.name for p in tmp_path.iterdir()} == {"archive", "folder"}
    assert len({name.casefold() for name in found}) == len(found)
    assert set(found.values()) <= {content for _, content in members}


@quick
@given(st.sampled_from(FORMATS), st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1))
def test_any_damage(run, tmp_path, packed, changes):
    data = bytearray(archive_of(packed, *FILES.items()))
    for position, change in changes:
        data[position % len(data)] ^= change
    try:
        run(bytes(data), packed)
    except IntegrityError as error:
        assert error.exit_code == 5
    assert {p.name for p in tmp_path.iterdir()} == {"archive", "folder"}


@quick
@given(st.sampled_from(FORMATS), st.binary(max_size=300))
def test_any_bytes(run, packed, data):
    wrap = {"tar.gz": gzip.compress, "tar": lambda d: d + bytes(1024)}.get(packed, bytes)
    with pytest.raises(IntegrityError):
        run(wrap(data), packed)
    with pytest.raises(IntegrityError):
        run(b"\x1f\x8b" + zlib.compress(data), packed)
