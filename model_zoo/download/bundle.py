"""Bundles: one run of the program that fetches something whole serves every artifact taken from it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.errors import ModelZooError, SourceUnavailableError
from model_zoo.files import make_directory, remove_tree
from model_zoo.files.lock import lock
from model_zoo.sources.base import BundleLocation, LocatedSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.download.progress import ProgressReporter
    from model_zoo.download.tasks import DownloadTask
    from model_zoo.settings import Settings

_log = logging.getLogger(__name__)


@dataclass
class _Bundle:
    """One bundle in one call: the members expected, and the files of those that were produced."""

    guard: threading.Lock = field(default_factory=threading.Lock)
    members: set[str] = field(default_factory=set)
    files: dict[str, Path] = field(default_factory=dict)
    produced: bool = False


class Bundles:
    """Every bundle of one call; the unpacked members stay in staging, below ``partials``, until ``close``.

    It gets all tasks of the call, so that one run can serve every member.
    """

    def __init__(
        self, tasks: Sequence[DownloadTask], settings: Settings, partials: Path, locks: Path
    ) -> None:
        self._settings = settings
        self._partials = partials
        self._locks = locks
        self._guard = threading.Lock()
        self._bundles: dict[str, _Bundle] = {}
        self._staged = contextlib.ExitStack()
        for task in tasks:
            self._expect(task)

    def _expect(self, task: DownloadTask) -> None:
        """Note which member will be needed, as far as that can be told without a network."""
        source = task.artifact.sources[0] if task.artifact.sources else None
        if not isinstance(source, LocatedSource) or not source.bundled:
            return
        if self._settings.offline and source.online:
            return
        with contextlib.suppress(ModelZooError):
            location = source.locate(task.artifact, self._settings)
            if isinstance(location, BundleLocation):
                self._bundles.setdefault(location.key, _Bundle()).members.add(location.member)

    def member(self, location: BundleLocation, task: DownloadTask, progress: ProgressReporter) -> Path:
        """Return the file of one member, which stays until ``close``; raises what ``produce`` does."""
        with self._guard:
            bundle = self._bundles.setdefault(location.key, _Bundle())
        with bundle.guard:
            if location.member not in bundle.files:
                self._produce(bundle, location, progress)
            path = bundle.files.get(location.member)
        if path is None or not path.is_file():
            raise SourceUnavailableError(f"{task.label}: no file {location.member} in {location.key}")
        return path

    def _produce(self, bundle: _Bundle, location: BundleLocation, progress: ProgressReporter) -> None:
        """Run the program: for all members at first, and for a single one if that failed."""
        members = {location.member} if bundle.produced else {*bundle.members, location.member}
        bundle.produced = True
        try:
            bundle.files.update(self._run(location, tuple(sorted(members)), progress))
        except ModelZooError:
            if len(members) == 1:
                raise
            bundle.files.update(self._run(location, (location.member,), progress))

    def _run(
        self, location: BundleLocation, members: tuple[str, ...], progress: ProgressReporter
    ) -> dict[str, Path]:
        _log.info("producing %d members of %s", len(members), location.key)
        name = hashlib.sha256(location.key.encode()).hexdigest()[:32]
        path, timeout = self._locks / f"bundle-{name}.lock", self._settings.lock_timeout
        with lock(path, timeout=timeout, on_wait=progress.waiting):
            make_directory(self._partials)
            directory = Path(tempfile.mkdtemp(prefix=f"bundle-{name}-", dir=self._partials))
            self._staged.callback(remove_tree, directory, ignore_errors=True)
            files = location.produce(directory, members, lambda text: progress.message("source", text))
            return {member: Path(file) for member, file in files.items()}

    def close(self) -> None:
        """Remove the staging directories."""
        self._staged.close()
