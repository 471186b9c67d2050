"""The cache: absent, read-only, full, locked, damaged (exit 6), and the commands that look after it."""

import os
import threading

from model_zoo.cache import Cache
from tests.messages.stage import Group, after, impatient, model, serves, sets, sizes, warm, writes
from tests.tiny import tiny_onnx

BOTH = ("blobs-v1/*/*/*", "files-v1/*/*/m.onnx")
scene = Group("cache", (sizes,))


def read_only(stage):
    """Make the cache one that this user cannot write to; root becomes somebody else for the command."""
    stage.env(MODEL_ZOO_CACHE=stage.tmp / "other")  # what is imported now can be read, later perhaps not
    stage.type_in("model-zoo fetch probe")
    stage.type_in("model-zoo cache info")
    stage.env(MODEL_ZOO_CACHE=stage.cache)
    stage.cache.mkdir(exist_ok=True)
    for path in [stage.cache, *(p for p in stage.cache.rglob("*") if p.is_dir())]:
        path.chmod(0o555)
        stage.closing.callback(path.chmod, 0o755)
    stage.user = 54321


def nobody(stage):
    """Be an account without a home directory."""
    stage.monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    stage.monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def limit(stage):
    """Let no file grow beyond some bytes, as on a full disk."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    stage.closing.callback(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))


def held(stage):
    """Let somebody else use the cache alone."""
    begun, done = threading.Event(), threading.Event()

    def clean():
        with Cache(stage.cache).exclusive():
            begun.set()
            done.wait(60)

    other = threading.Thread(target=clean)
    other.start()
    begun.wait(60)
    stage.closing.callback(other.join)
    stage.closing.callback(done.set)


def link(stage):
    stage.file("elsewhere/x", "")
    stage.cache.mkdir()
    (stage.cache / "blobs-v1").symlink_to(stage.tmp / "elsewhere")


def full_stdout(stage):
    stage.stdout = "/dev/full"


def _files(stage, pattern):
    found = [path for path in stage.cache.glob(pattern) if path.is_file()]
    assert found, f"nothing is at {pattern}"
    for path in found:
        path.chmod(0o644)
        path.parent.chmod(0o755)
    return found


def damage(stage, *patterns):
    for path in [path for pattern in patterns for path in _files(stage, pattern)]:
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def remove(stage, pattern):
    for path in _files(stage, pattern):
        path.unlink()


def write(stage, pattern, text):
    for path in _files(stage, pattern):
        path.write_text(text)


def extra(stage):
    (folder,) = stage.cache.glob("ir-v1/*")
    (folder / "extra.txt").write_text("x")


# cannot be used
scene("a-file-in-the-way", "fetch probe", model(), writes("cache", ""))
scene("read-only", "fetch probe", model(), read_only)
scene("not-mine", "cache info", warm, read_only, keep=r"cannot|writable")
scene("no-home", "fetch probe", model(), sets(MODEL_ZOO_CACHE=None, HOME=None, XDG_CACHE_HOME=None), nobody)
scene("full", "fetch probe", serves(data=tiny_onnx(weights=50_000)), limit)
scene("locked", "fetch probe", impatient, model(), held)
scene("locked-gc", "cache gc", impatient, warm, held)
scene("planted-link", "fetch probe", model(), link)
scene("stdout-full", "list", full_stdout)
scene("output-in-a-file", "fetch -o out/x probe", model(), writes("out", ""))

# info, ls
scene("info-absent", "cache info")
scene("info", "cache info", warm, sets(MODEL_ZOO_LAYERS="{tmp}/low", MODEL_ZOO_MAX_SIZE="20GB"))
scene("info-json", "cache info --json", warm)
scene("ls", "cache ls", warm)
scene("ls-empty", "cache ls")
scene("ls-json", "cache ls --json probe", warm)
scene("ls-no-match", "cache ls zzyzx", warm)

# verify, repair
scene("verify", "cache verify", warm)
scene("verify-empty", "cache verify")
scene("verify-json", "cache verify --json", warm)
scene("verify-blob-damaged", "cache verify", warm, lambda s: damage(s, "blobs-v1/*/*/*"))
scene("verify-ir-damaged", "cache verify", warm, lambda s: damage(s, "ir-v1/*/model.bin"))
scene(
    "verify-several",
    "cache verify",
    warm,
    lambda s: damage(s, "blobs-v1/*/*/*"),
    lambda s: damage(s, "ir-v1/*/model.xml"),
)
scene("verify-foreign", "cache verify", warm, writes("cache/notes.txt", "mine"))
scene("verify-ir-lacks-a-file", "cache verify", warm, lambda s: remove(s, "ir-v1/*/model.bin"))
scene("verify-manifest-broken", "cache verify", warm, lambda s: write(s, "ir-v1/*/manifest.json", "hello"))
scene("verify-manifest-absent", "cache verify", warm, lambda s: remove(s, "ir-v1/*/manifest.json"))
scene(
    "verify-manifest-of-the-future",
    "cache verify",
    warm,
    lambda s: write(s, "ir-v1/*/manifest.json", '{"schema": 99}'),
)
scene(
    "verify-files-manifest-broken", "cache verify", warm, lambda s: write(s, "files-v1/*/*/*.json", "hello")
)
scene("verify-extra-file", "cache verify", warm, extra)
scene("verify-blob-absent", "cache verify", warm, lambda s: remove(s, "blobs-v1/*/*/*"))
scene("repair-nothing", "cache repair", warm)
scene(
    "repair", "cache repair", warm, lambda s: damage(s, "blobs-v1/*/*/*"), writes("cache/notes.txt", "mine")
)
scene("repair-ir", "cache repair", warm, lambda s: damage(s, "ir-v1/*/model.bin"))
scene(
    "repair-dry-run",
    "cache repair --dry-run",
    warm,
    lambda s: damage(s, "blobs-v1/*/*/*"),
    writes("cache/notes.txt", "mine"),
)
scene("repair-json", "cache repair --json", warm, writes("cache/notes.txt", "mine"))
scene("repair-fetches", "cache repair", warm, lambda s: damage(s, *BOTH))
scene(
    "repair-cannot-fetch",
    "cache repair",
    warm,
    lambda s: damage(s, *BOTH),
    lambda s: (s.catalog / "probe.onnx").unlink(),
)
scene(
    "repair-unknown-model",
    "cache repair",
    warm,
    lambda s: damage(s, *BOTH),
    lambda s: (s.catalog / "probe.yaml").unlink(),
)
scene(
    "repair-layer-below",
    "cache repair",
    warm,
    lambda s: damage(s, "blobs-v1/*/*/*"),
    sets(MODEL_ZOO_LAYERS="{tmp}/cache", MODEL_ZOO_CACHE="{tmp}/top"),
)
scene("damaged-when-used", "convert probe@FP16", warm, lambda s: damage(s, "blobs-v1/*/*/*"))

# gc, rm, pins
scene("gc-nothing", "cache gc", warm)
scene("gc-everything", "cache gc --max-size 0", warm)
scene("gc-dry-run", "cache gc --max-size 0 --dry-run", warm)
scene("gc-pinned", "cache gc --max-size 0", warm, after("cache pin probe"))
scene("gc-json", "cache gc --max-size 0 --json", warm)
scene("rm", "cache rm probe", warm)
scene("rm-precision", "cache rm probe@FP32", warm)
scene("rm-dry-run", "cache rm probe --dry-run", warm)
scene("rm-not-cached", "cache rm twin", warm)
scene("rm-precision-not-cached", "cache rm probe@FP16", warm)
scene("rm-pinned", "cache rm probe", warm, after("cache pin probe"))
scene("rm-environment-absent", "cache rm env:torch", warm)
scene("rm-no-cache", "cache rm probe", model(), nobody, sets(MODEL_ZOO_CACHE=None, HOME=None))
scene("pin", "cache pin probe twin@FP16", warm)
scene("pin-again", "cache pin probe", warm, after("cache pin probe"))
scene("pin-json", "cache pin --json probe", warm)
scene("unpin", "cache unpin probe", warm, after("cache pin probe"))
scene("unpin-not-pinned", "cache unpin probe", warm)
