"""IRs in a registry: push an image, pull one into the cache, and the registry as a fleet's shared cache."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from model_zoo.cache.intake import Imported, import_layer
from model_zoo.errors import ModelZooError, OfflineError, SourceUnavailableError
from model_zoo.events import Event, Report, ignore
from model_zoo.files import as_cache_error
from model_zoo.files.lock import lock
from model_zoo.registry.image import (
    KEY_ANNOTATION,
    LAYER_TYPE,
    LICENSES_ANNOTATION,
    PACK_FILE_TYPE,
    PACK_PATH,
    PACK_WEIGHT_TYPE,
    OciImage,
    build_image,
)
from model_zoo.schema import Artifact
from model_zoo.schema.knowledge import UNSPECIFIED
from model_zoo.sources.oci import OCI_MANIFEST
from model_zoo.sources.oci.reference import OciReference, oci_reference
from model_zoo.systems import system
from model_zoo.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from model_zoo.cache import Cache
    from model_zoo.schema import ConvertedModel
    from model_zoo.settings import Settings
    from model_zoo.sources.oci.answers import Descriptor, ManifestContent
    from model_zoo.sources.oci.client import Registry


class NoImageError(SourceUnavailableError):
    """The registry has no image of that name."""


_log = logging.getLogger(__name__)
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_TARS = {t + packed for t in (LAYER_TYPE, PACK_WEIGHT_TYPE) for packed in ("", "+gzip")}
_TARS |= {_DOCKER_LAYER, f"{_DOCKER_LAYER}.gzip"}


def push(target: OciReference, image: OciImage, settings: Settings, report: Report = ignore) -> int:
    """Send an image to a registry under the target's tag, or ``latest``; return how many blobs were sent.

    Those that it has already are not; each that is sent gives a ``push_blob`` event.

    Raises:
        SourceUnavailableError: the registry refuses.
        TransferInterruptedError: it cannot be reached.
        CacheDamagedError: a file of the cache is not what it was.
    """
    sent = 0
    with _connection(target, settings) as registry:
        for blob in image.blobs:
            if registry.put_blob(blob.digest, blob.size, blob.chunks):
                sent += 1
                report(Event(event="push_blob", model=str(target), file=blob.digest, bytes=blob.size))
        for name in dict.fromkeys((target.tag or "latest", image.digest)):
            registry.put_manifest(name, image.manifest, OCI_MANIFEST)
    return sent


def pull(
    target: OciReference,
    cache: Cache,
    settings: Settings,
    report: Report = ignore,
    check: Callable[[str], None] = lambda _: None,
) -> Imported:
    """Put the IRs of an image into the cache; those already there are not transferred.

    An interrupted pull is resumed. ``check`` is called, before anything is transferred, with the licence that
    the image states.

    Raises:
        SourceUnavailableError: there is no such image, or it contains no IRs of ours.
        IntegrityError: something does not match its digest; nothing of it was published.
        CacheError: the writable layer cannot be written.
    """
    with _connection(target, settings) as registry:
        manifest, digest = _manifest(registry)
    check((manifest.annotations or {}).get(LICENSES_ANNOTATION, UNSPECIFIED))
    layers = [OciLayer(descriptor, target) for descriptor in manifest.layers]
    known = {layer.key for layer in layers if layer.key and cache.find_ir(layer.key) is not None}
    missing = [layer for layer in layers if layer.key not in known]
    _log.info("%s: %d of %d layers are not in the cache", target, len(missing), len(layers))
    writable = cache.writable
    staging = writable.check_own(writable.partials) / f"pull-{digest.removeprefix('sha256:')[:32]}"
    with lock(writable.locks / f"{staging.name}.lock", timeout=settings.lock_timeout):
        with as_cache_error(staging):
            staging.mkdir(parents=True, exist_ok=True)
        if missing:
            _transfer(missing, staging, cache, settings, report)
            found = {layer.path: staging / layer.digest for layer in missing}
            imported = import_layer(cache, found, str(target), timeout=settings.lock_timeout)
        else:
            imported = Imported()
        shutil.rmtree(staging, ignore_errors=True)
    imported.irs += sorted(known)
    if not (imported.irs or imported.files):
        raise _nothing_in(target)
    return imported


def _nothing_in(target: OciReference) -> SourceUnavailableError:
    what = f"{target}: the image contains no IRs"
    return SourceUnavailableError(what, hint="pull an image made by 'model-zoo push' or 'export'")


def _connection(target: OciReference, settings: Settings) -> Registry:
    """Return a client for the registry; offline, its mere import would open a socket to try IPv6."""
    if settings.offline:
        what = f"cannot reach {target}: this run is offline"
        raise OfflineError(what, hint="run it without --offline (MODEL_ZOO_OFFLINE)")
    from model_zoo.sources.oci.client import Registry  # brings requests along

    return Registry(target, settings)


def _manifest(registry: Registry) -> tuple[ManifestContent, str]:
    """Return the image's manifest and its digest, through an index if that names a single image."""
    found = registry.manifest()
    if found is None:
        what = f"{registry.reference}: no such image"
        raise NoImageError(what, hint="check the reference, or push it first")
    content = found.content()
    if content.manifests is not None:
        if len(content.manifests) != 1:
            what = f"{registry.reference} is an index of {counted(len(content.manifests), 'image')}"
            raise SourceUnavailableError(what, hint="choose one of them by its digest")
        found = registry.manifest(content.manifests[0].digest)
        if found is None:
            what = f"{registry.reference}: its index names an image that does not exist"
            raise SourceUnavailableError(what, hint="push it again, or choose another")
        content = found.content()
    if not content.layers:
        raise _nothing_in(registry.reference)
    return content, found.digest


class OciLayer:
    """One layer of a manifest, as far as we use it."""

    def __init__(self, descriptor: Descriptor, target: OciReference) -> None:
        annotations = descriptor.annotations or {}
        kind, self.size = descriptor.media_type, descriptor.size
        self.digest = descriptor.sha256 or ""
        if (kind not in _TARS and kind != PACK_FILE_TYPE) or not self.digest:
            what = f"{target}: unexpected layer type {kind}; not an image that model-zoo pushed"
            raise SourceUnavailableError(what, hint="pull an image made by 'model-zoo push' or 'export'")
        self.key = annotations.get(KEY_ANNOTATION, "")
        is_file = kind == PACK_FILE_TYPE and PACK_PATH in annotations
        self.path = annotations[PACK_PATH] if is_file else f"{self.digest}/"
        self.oci = f"{target.scheme}://{target.host}/{target.repository}"


def _transfer(
    layers: Sequence[OciLayer], directory: Path, cache: Cache, settings: Settings, report: Report
) -> None:
    """Download layers into a directory."""
    from model_zoo.download import Download, DownloadTask, download
    from model_zoo.sources.oci.source import OciSource

    tasks = []
    for layer in layers:
        source = OciSource(oci=layer.oci, blob=f"sha256:{layer.digest}")
        artifact = Artifact(path=layer.digest, size=layer.size, sha256=layer.digest, sources=(source,))
        tasks.append(DownloadTask(layer.oci.partition("://")[2], artifact))

    def publish(result: Download) -> None:
        with as_cache_error(directory):
            system.replace(result.path, directory / result.sha256)

    outcomes = download(
        tasks,
        settings=settings,
        partials=cache.writable.partials,
        locks=cache.writable.locks,
        present=lambda task: (directory / task.artifact.path).is_file(),
        publish=publish,
        report=report,
    )
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error


class Remote:
    """The registry through which a fleet shares its IRs, each under the tag ``ir-KEY``.

    It is a convenience that never gets in the way: if it fails, that is reported and the model is converted
    here. Whoever may write to it decides what its readers run.
    """

    def __init__(self, settings: Settings, cache: Cache) -> None:
        self._settings = settings
        self._cache = cache
        self._is_used = settings.remote is not None and not settings.offline
        self._missing: set[str] = set()
        self._warned: set[str] = set()

    def _target(self, key: str) -> OciReference:
        repository = oci_reference(str(self._settings.remote))
        return replace(repository, tag=f"ir-{key}", digest=None)

    def find(self, key: str, model: str, report: Report) -> bool:
        """Bring an IR into the cache if the registry has it; it is looked for once in a run."""
        if not self._is_used or key in self._missing:
            return False
        target = self._target(key)
        self._missing.add(key)  # until it is found
        try:
            imported = pull(target, self._cache, self._settings, report)
        except NoImageError:
            return False
        except ModelZooError as error:
            self._warn(error, model, report)
            return False
        if key not in imported.irs:
            return False
        self._missing.discard(key)
        report(Event(event="note", model=model, message=f"IR downloaded from {self._settings.remote}"))
        return True

    def keep(self, ir: ConvertedModel, report: Report) -> None:
        """Publish an IR that was made here."""
        if not self._is_used:
            return
        try:
            push(self._target(ir.key), build_image([ir], "modelpack"), self._settings, report)
        except ModelZooError as error:
            self._warn(error, ir.model.name, report)

    def _warn(self, error: ModelZooError, model: str, report: Report) -> None:
        registry, _, rest = error.what.partition(":ir-")
        message = f"the remote cache of IRs was not used: {error.what}"
        if reason := rest.partition(": ")[2]:  # without the key, which differs for each IR
            message = f"the remote cache {registry} was not used: {reason}"
        if message not in self._warned:
            self._warned.add(message)
            report(Event(event="note", model=model, message=message))
