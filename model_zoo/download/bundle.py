"""Bundles: one run of the program that fetches something whole serves every artifact taken out of it."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.errors import ModelZooError, SourceUnavailableError
from model_zoo.files import make_directory
from model_zoo.files.lock import lock
from model_zoo.sources.base import BundleLocation, LocatedSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model_zoo.download.progress import Tally
    from model_zoo.download.tasks import Wanted
    from model_zoo.settings import Settings


class _Bundle:
    """One bundle in one call."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.members: set[str] = set()
        self.files: dict[str, Path] = {}
        self.runs = 0


class Bundles:
    """Every bundle of one call; the unpacked members stay in staging until ``close``.

    Args:
        wanted: everything that is wanted, so that one run can serve all of it.
        settings: for the sources, and the lock's timeout.
        partials: where staging folders are made.
        locks: where locks are.
    """

    def __init__(self, wanted: Sequence[Wanted], settings: Settings, partials: Path, locks: Path) -> None:
        self._settings = settings
        self._partials = partials
        self._locks = locks
        self._guard = threading.Lock()
        self._bundles: dict[str, _Bundle] = {}
        self._folders: list[Path] = []
        for one in wanted:
            self._expect(one)

    def _expect(self, wanted: Wanted) -> None:
        """Note which member will be asked for, as far as that can be told without a network."""
        source = wanted.artifact.sources[0] if wanted.artifact.sources else None
        if not isinstance(source, LocatedSource) or not source.bundled:
            return
        if self._settings.offline and source.online:
            return
        with contextlib.suppress(ModelZooError):
            location = source.locate(wanted.artifact, self._settings)
            if isinstance(location, BundleLocation):
                self._bundles.setdefault(location.key, _Bundle()).members.add(location.member)

    @contextlib.contextmanager
    def member(self, location: BundleLocation, wanted: Wanted, tally: Tally) -> Iterator[Path]:
        """Hold the file of one member.

        Raises:
            DownloadError: the bundle cannot be obtained, or has no such member.
            IntegrityError: it contradicts its own record.
        """
        with self._guard:
            bundle = self._bundles.setdefault(location.key, _Bundle())
        with bundle.guard:
            if location.member not in bundle.files:
                self._produce(bundle, location, tally)
            path = bundle.files.get(location.member)
        if path is None or not path.is_file():
            what = f"{wanted.label}: {location.key} has no file {location.member}"
            raise SourceUnavailableError(what)
        yield path

    def _produce(self, bundle: _Bundle, location: BundleLocation, tally: Tally) -> None:
        """Run the program: for everybody at first, and for one member alone when that failed."""
        together = {*bundle.members, location.member} if not bundle.runs else {location.member}
        try:
            bundle.files.update(self._run(bundle, location, tuple(sorted(together)), tally))
        except ModelZooError:
            if len(together) == 1:
                raise
            alone = self._run(bundle, location, (location.member,), tally)
            bundle.files.update(alone)

    def _run(
        self, bundle: _Bundle, location: BundleLocation, members: tuple[str, ...], tally: Tally
    ) -> dict[str, Path]:
        bundle.runs += 1
        name = hashlib.sha256(location.key.encode()).hexdigest()[:32]

        def waiting(owner: str) -> None:
            tally.say("wait", f"waiting for {owner}")

        path = self._locks / f"bundle-{name}.lock"
        with lock(path, timeout=self._settings.lock_timeout, on_wait=waiting):
            folder = self._staging(name)
            made = location.produce(folder, members, lambda text: tally.say("source", text))
            return {member: Path(file) for member, file in made.items()}

    def _staging(self, name: str) -> Path:
        import tempfile  # only bundles need it

        make_directory(self._partials)
        folder = Path(tempfile.mkdtemp(prefix=f"bundle-{name}-", dir=self._partials))
        with self._guard:
            self._folders.append(folder)
        return folder

    def close(self) -> None:
        """Remove the staging folders."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
