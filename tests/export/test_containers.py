"""The recipes of docs/containers.md, run: an image built by buildah, started with nothing but itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.export.conftest import environment
from tests.rootfs import ENVIRONMENT, make_rootfs
from tests.tools import require_root, require_tool

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")

# mounts: the image read-only, /proc, and two devices; a network namespace with loopback only; another user
ALONE = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1"
mount -t proc proc "$1/proc"
mount --bind /dev/null "$1/dev/null"
mount --bind /dev/urandom "$1/dev/urandom"
root=$1
shift
PATH=$PATH:/usr/sbin:/sbin
exec chroot --userspec=12345:12345 "$root" "$@"
"""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


class Buildah:
    def __init__(self, folder: Path) -> None:
        self.program = require_tool("buildah")
        self.roots = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        (folder / "tmp").mkdir()
        self.env = environment(BUILDAH_ISOLATION="chroot", HOME=str(folder), TMPDIR=str(folder / "tmp"))
        try:
            self("rm", self("from", "scratch"))
        except AssertionError:  # a file system that overlays do not work on
            self.roots = ["--storage-driver", "vfs", *self.roots]

    def __call__(self, *arguments: object) -> str:
        argv = [self.program, *self.roots, *map(str, arguments)]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()


@pytest.fixture(scope="module")
def image(tmp_path_factory, catalog):
    """Build the page's Dockerfile, and return the mounted image and its configuration."""
    require_root()
    for tool in ("unshare", "chroot", "ldd"):
        require_tool(tool)
    folder = tmp_path_factory.mktemp("containers")
    buildah = Buildah(folder)
    base = buildah("from", "scratch")
    make_rootfs(Path(buildah("mount", base)))
    stated = [word for name, value in ENVIRONMENT.items() for word in ("--env", f"{name}={value}")]
    buildah("config", *stated, base)
    buildah("commit", "--rm", base, "localhost/base")
    context = folder / "context"
    shutil.copytree(catalog, context / "catalog")
    wheel = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        str(context / "wheels"),
        str(ROOT),
    ]
    subprocess.run(wheel, check=True, capture_output=True)
    (context / "Dockerfile").write_text(blocks("Dockerfile")[0])
    lock(context, folder)
    arguments = ("--build-arg", "BASE=localhost/base", "--build-arg", "MODELS=tiny third tiny@FP16")
    buildah("build", "--format", "docker", *arguments, "-t", "vad", context)
    container = buildah("from", "--pull-never", "localhost/vad")
    config = json.loads(buildah("inspect", "--type", "image", "localhost/vad"))["OCIv1"]["config"]
    health = json.loads(buildah("inspect", "--type", "image", "localhost/vad"))["Docker"]["config"][
        "Healthcheck"
    ]
    yield Path(buildah("mount", container)), config, health
    buildah("rm", container)


def lock(context: Path, folder: Path) -> None:
    env = environment(MODEL_ZOO_CACHE=str(folder / "cache"), MODEL_ZOO_CATALOG=str(context / "catalog"))
    argv = [
        sys.executable,
        "-c",
        "from model_zoo.cli.main import main; main()",
        "lock",
        "tiny",
        "third",
        "tiny@FP16",
    ]
    argv += ["-o", str(context / "model-zoo.lock")]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def alone(image, *arguments):
    """Run the image's program in it: read-only, uid 12345, nothing writable, no network."""
    root, config, _ = image
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-c", ALONE, "sh", str(root), *arguments]
    env = dict(pair.split("=", 1) for pair in config["Env"])
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=100)


@pytest.mark.system
@pytest.mark.timeout(600)
def test_image_of_the_page_runs_with_nothing_but_itself(image):
    _, config, health = image
    assert config["User"] == "12345:12345"
    listed = alone(image, *config["Entrypoint"], *config["Cmd"])
    assert (listed.returncode, listed.stdout.split()) == (0, ["third", "tiny"]), listed.stderr
    for reference in ("tiny@FP16", "third"):
        done = alone(image, *config["Entrypoint"], "infer", reference, "--device", "CPU", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)
    healthy = alone(image, *health["Test"][1:])
    assert healthy.returncode == 0, healthy.stderr
    probe = (
        "import os, socket, sys\n"
        "assert os.getuid() == 12345\n"
        "writable = [d for d, _, _ in os.walk('/') if not d.startswith('/proc') and os.access(d, os.W_OK)]\n"
        "assert not writable, writable\n"
        "assert [name for _, name in socket.if_nameindex()] == ['lo']\n"
    )
    assert alone(image, "python3", "-c", probe).returncode == 0


@pytest.mark.system
@pytest.mark.timeout(600)
def test_image_holds_the_seed_and_no_cache(image):
    root, _, _ = image
    assert sorted(p.name for p in (root / "models").iterdir()) == ["CACHEDIR.TAG", "ir-v1", "state-v1"]
    assert len(list((root / "models" / "ir-v1").iterdir())) == 3
    assert not list((root / "var/cache").rglob("ir-v1"))


@pytest.mark.system
@pytest.mark.timeout(600)
def test_seed_runs_for_another_user_from_a_read_only_mount(image, command, tmp_path):
    """A layer that was not made in the image: mounted over the image's own, at another path."""
    root, _, _ = image
    seeded = command("seed", tmp_path / "seed", "other")
    assert seeded.returncode == 0, seeded.stderr
    (root / "mnt").mkdir(exist_ok=True)
    script = ALONE.replace("root=$1", f'mount --bind "{tmp_path}/seed" "$1/mnt"\nroot=$1')
    env = {
        **ENVIRONMENT,
        "MODEL_ZOO_LAYERS": "/mnt",
        "MODEL_ZOO_OFFLINE": "1",
        "MODEL_ZOO_CATALOG": "/catalog",
    }
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-c", script, "sh", str(root)]
    argv += ["model-zoo", "infer", "other", "--device", "CPU"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr


def test_yaml_of_the_page_is_yaml():
    documents = [yaml.safe_load(block) for block in blocks("yaml")]
    assert [document["kind"] for document in documents] == ["Pod", "InferenceService"]
