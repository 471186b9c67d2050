"""One file for a transfer: deterministic going out, distrusted coming in."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile

import pytest

from model_zoo.cache import Layer
from model_zoo.cache.care.verify import verify
from model_zoo.cache.manifest import encode
from model_zoo.cache.notes import Notes
from model_zoo.errors import IntegrityError, UsageError
from model_zoo.export.contents import export_tar, gather, import_tar
from model_zoo.schema import Digest
from model_zoo.settings import Settings
from model_zoo.zoo import Conversion, Zoo


def export(zoo, out, *references, what="both"):
    contents = gather(zoo, zoo.planner.expand(references), what, Conversion(), lambda event: None)
    assert contents.errors == []
    return export_tar(contents, zoo.cache, out, mtime=0)


def other(tmp_path, catalog, name="other"):
    return Zoo(settings=Settings(cache=tmp_path / name, catalogs=(catalog,), offline=True))


def members(path):
    with tarfile.open(path) as archive:
        return [(info, archive.extractfile(info).read() if info.isfile() else b"") for info in archive]


def rewrite(path, change):
    """Write the archive again with every member passed through ``change(name, data) -> data or None``."""
    found = members(path)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in found:
            new = change(info.name, data) if info.isfile() else data
            if new is not None:
                info.size = len(new)
                archive.addfile(info, io.BytesIO(new))


def test_what_one_cache_has_another_gets(zoo, catalog, tmp_path):
    tar = export(zoo, tmp_path / "t.tar", "tiny@FP16", "third")
    assert tar == tmp_path / "t.tar"
    there = other(tmp_path, catalog)
    taken = import_tar(there, tar)
    assert len(taken.irs) == len(taken.files) == len(taken.blobs) == 2
    assert there.convert("tiny@FP16").key == zoo.convert("tiny@FP16").key
    assert there.read("third").inputs[0].get_any_name() == "x"
    assert there.fetch("third").files["m.onnx"].read_bytes() == (catalog / "third.onnx").read_bytes()
    assert verify(there.cache.layers, lambda event: None).problems == []
    (blob,) = [
        p
        for p in there.cache.top.blobs.rglob("*")
        if p.is_file() and p.samefile(there.fetch("third").files["m.onnx"])
    ]
    assert blob.stat().st_mode & 0o222 == 0
    again = import_tar(there, tar)
    assert again == taken
    assert not list(there.cache.top.partials.iterdir())


def test_the_file_is_the_same_from_another_cache(zoo, catalog, tmp_path):
    first = export(zoo, tmp_path / "a.tar", "tiny", "third")
    there = other(tmp_path, catalog)
    import_tar(there, first)
    second = export(there, tmp_path / "b.tar", "third", "tiny")
    assert first.read_bytes() == second.read_bytes()


def test_unpacked_it_is_a_layer(zoo, catalog, tmp_path):
    tar = export(zoo, tmp_path / "t.tar", "tiny", "third")
    (tmp_path / "layer").mkdir()
    subprocess.run(["tar", "-xf", tar, "-C", tmp_path / "layer"], check=True)
    assert verify([Layer(tmp_path / "layer")], lambda event: None).problems == []
    alone = Zoo(settings=Settings(layers=(tmp_path / "layer",), catalogs=(catalog,), offline=True))
    assert alone.read("third").inputs[0].get_any_name() == "x"


def flip(data):
    return bytes([data[0] ^ 1]) + data[1:]


def reseal(change):
    """Change a manifest and give it a seal that fits, as a careful forger would."""

    def changed(name, data):
        if not name.endswith(("/manifest.json", "/.model-zoo.json")):
            return data
        manifest = json.loads(data)
        manifest.pop("seal")
        change(manifest)
        return encode(manifest)

    return changed


def of(suffix, change):
    return lambda name, data: change(data) if name.endswith(suffix) else data


def forge_parts(manifest):
    if "parts" in manifest:
        manifest["parts"]["recipe"] = {"model": "another.onnx"}


def forge_parts_and_key(manifest):
    if "parts" in manifest:
        forge_parts(manifest)
        manifest["key"] = Digest.of_json(manifest["parts"]).hex


def forge_request(manifest):
    if "request" in manifest:
        manifest["request"] = "0" * 64


def forge_outputs(manifest):
    if "outputs" in manifest:
        manifest["outputs"] = manifest["outputs"][:1]


def forge_model(manifest):
    manifest["model"] = "other"


def forge_names(manifest):
    for artifact in manifest.get("artifacts", ()):
        artifact["names"] = ["sha384:" + "0" * 96]


def forge_nobodys_names(manifest):
    for artifact in manifest.get("artifacts", ()):
        artifact.update(sha256="0" * 64, names=["source:" + "0" * 64])


def forge_declaration(manifest):
    if "files" in manifest:
        manifest["declaration"] = "0" * 64


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (of("model.bin", flip), "does not match its digest"),
        (of("model.xml", lambda data: data + b" "), "does not match its digest"),
        (of("model.bin", lambda data: None), "less than its manifest lists"),
        (
            lambda name, data: flip(data) if name.startswith("blobs-v1/") else data,
            "does not match its digest",
        ),
        (of("manifest.json", lambda data: data.replace(b"FP32", b"FP16")), "damaged or changed"),
        (of("manifest.json", lambda data: b"[]"), "damaged or changed"),
        (of("manifest.json", lambda data: None), "without its manifest"),
        (of(".model-zoo.json", lambda data: None), "without its manifest"),
        (reseal(forge_parts), "does not follow from its parts"),
        (reseal(forge_parts_and_key), "does not follow from its parts"),
        (reseal(forge_request), "another request"),
        (reseal(forge_outputs), "more than its manifest lists"),
        (reseal(forge_model), "under another name"),
        (reseal(forge_names), "under a wrong digest"),
        (reseal(forge_nobodys_names), "without the blob"),
        (reseal(forge_declaration), "under another name"),
        (lambda name, data: None if name.startswith(("ir-v1", "files-v1")) else data, "without its manifest"),
    ],
)
def test_damage_and_forgery_are_refused(zoo, catalog, tmp_path, change, why):
    tar = export(zoo, tmp_path / "t.tar", "tiny")
    if change(".", b"{}") == b"{}":
        links = [info.name for info, _ in members(tar) if info.islnk()]
        assert links  # a changed blob changes what hangs on it too
    rewrite(tar, change)
    there = other(tmp_path, catalog)
    with pytest.raises(IntegrityError, match=why) as caught:
        import_tar(there, tar)
    assert "nothing of it was published" in str(caught.value)
    published = [
        p
        for kind in ("blobs-v1", "files-v1", "ir-v1")
        for p in (there.cache.top.root / kind).rglob("*")
        if p.is_file()
    ]
    assert published == []


@pytest.mark.parametrize(
    "name",
    [
        "ir-v1/evil",
        "evil.sh",
        "../up",
        "/etc/cron.d/x",
        "blobs-v1/sha256/zz/x",
        "state-v1/seed.json/../../x",
        "locks-v1/x",
    ],
)
def test_what_is_no_part_of_a_cache_is_refused(zoo, catalog, tmp_path, name):
    tar = export(zoo, tmp_path / "t.tar", "tiny", what="ir")
    with tarfile.open(tar, "a") as archive:
        info = tarfile.TarInfo(name)
        info.size = 4
        archive.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(IntegrityError, match="was rejected"):
        import_tar(other(tmp_path, catalog), tar)
    assert not list(tmp_path.rglob("evil*"))


def test_archive_without_models_is_refused(zoo, catalog, tmp_path):
    tar = export(zoo, tmp_path / "t.tar", "tiny", what="ir")
    rewrite(tar, lambda name, data: None if name.startswith("ir-v1") else data)
    with pytest.raises(IntegrityError, match="no complete model"):
        import_tar(other(tmp_path, catalog), tar)


def test_link_out_of_the_archive_is_refused(zoo, catalog, tmp_path):
    tar = export(zoo, tmp_path / "t.tar", "tiny", what="ir")
    for kind, target in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "/etc/passwd")):
        copy = tmp_path / "copy.tar"
        shutil.copy(tar, copy)
        with tarfile.open(copy, "a") as archive:
            info = tarfile.TarInfo("blobs-v1/sha256/00/" + "0" * 64)
            info.type, info.linkname = kind, target
            archive.addfile(info)
        with pytest.raises(IntegrityError, match="a link or a device"):
            import_tar(other(tmp_path, catalog), copy)


def test_it_cannot_say_what_a_known_declaration_contains(zoo, catalog, tmp_path):
    tar = export(zoo, tmp_path / "t.tar", "tiny")
    there = other(tmp_path, catalog)
    there.cache.writable.prepare()
    (declaration,) = [
        info.name.split("/")[2] for info, _ in members(tar) if info.name.endswith(".model-zoo.json")
    ]
    from model_zoo.schema import FileEntry

    Notes(there.cache.top, writable=True).note_inputs(
        declaration, [FileEntry(path="m.onnx", size=1, sha256="0" * 64)]
    )
    with pytest.raises(IntegrityError, match="other files of a model than were fetched here"):
        import_tar(there, tar)


def test_bomb_is_refused(catalog, tmp_path):
    import gzip

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("x/model.bin")
        info.size = 200 << 20
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    (tmp_path / "bomb.tar").write_bytes(gzip.compress(out.getvalue(), 1)[: 1 << 20])
    out.close()
    (tmp_path / "small.tar").write_bytes((tmp_path / "bomb.tar").read_bytes()[:100_000])
    with pytest.raises(IntegrityError, match="far more than an archive|cut short|damaged, or not a tar"):
        import_tar(other(tmp_path, catalog), tmp_path / "small.tar")


def test_commands_carry_a_model_across(command, catalog, tmp_path):
    done = command("export", "--format", "tar", "-o", "t.tar", "tiny")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 't.tar'}\n"), done.stderr
    env = {"MODEL_ZOO_CACHE": str(tmp_path / "there"), "MODEL_ZOO_OFFLINE": "1"}
    taken = command("import", "t.tar", env=env)
    assert taken.returncode == 0, taken.stderr
    assert taken.stdout.splitlines()[0].endswith("/model.xml")
    assert command("path", "tiny", env=env).stdout.splitlines() == taken.stdout.splitlines()[:1]
    assert command("fetch", "tiny", env=env).stdout.splitlines() == taken.stdout.splitlines()[1:]


def test_a_file_that_is_not_there(zoo, tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        import_tar(zoo, tmp_path / "nonesuch")
