"""Converting: files → IR. Which IR is wanted, is it there, and if not make it in a worker process."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from model_zoo.cache import IR_MANIFEST, declaration_of
from model_zoo.catalog import pick_precision
from model_zoo.conversion import (
    ConversionJob,
    check_reproducible,
    convert,
    differences,
    ir_key,
    key_parts,
    pool,
)
from model_zoo.conversion.requirements import require_packages
from model_zoo.errors import (
    CacheMissError,
    CacheReadOnlyError,
    MissingExtraError,
    ModelZooError,
    OfflineError,
    UnsupportedModelError,
    UsageError,
)
from model_zoo.events import Event, Report, ignore
from model_zoo.schema import ConvertedModel, FetchedModel, FileEntry
from model_zoo.zoo.environments import Environments
from model_zoo.zoo.request import Conversion, Converted, Request
from model_zoo.zoo.resolving import resolution_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from model_zoo.catalog.lockfile import LockedIr
    from model_zoo.registry.remote import Remote
    from model_zoo.zoo.fetcher import Fetching

_MEASURED = 200
"""How many manifests of earlier conversions are looked at for what a conversion may need."""


class Converting:
    """IRs on one cache; the files come through ``Fetching``."""

    def __init__(self, fetching: Fetching) -> None:
        self.fetching = fetching
        self.settings = fetching.settings
        self.cache = fetching.cache
        self.environments = Environments(fetching)

    def convert(self, request: Request, how: Conversion, report: Report = ignore) -> ConvertedModel:
        """Make one IR available, doing only what is missing.

        Raises:
            ModelZooError: one of its subclasses, see ``model_zoo.errors``.
        """
        self.fetching.check_pinned(request)
        request = self._precise(request)
        found = self._find_locked(request, how)
        found = found or self.find(request, how) or self._from_remote(request, how, report)
        if found is not None:
            _hold(request, found.manifest["parts"], found.manifest["outputs"])
            return found
        try:
            with self.fetching.using(report):
                return self._convert(request, how, report)
        except (OfflineError, MissingExtraError, CacheReadOnlyError) as error:
            other = self.find(request, how, any_version=True)
            if other is None or request.locked is not None:
                if others := self.cached_precisions(request, how):
                    names = " or ".join(f"{request.model.name}@{precision}" for precision in others)
                    error.hint = f"{error.hint or ''}; in the cache there is {names}".removeprefix("; ")
                raise
            tools = ", ".join(f"{k} {v}" for k, v in other.manifest["parts"].get("versions", {}).items())
            why = str(error).splitlines()[0]
            note = f"using the cached IR made with {tools}, because it cannot be made again here: {why}"
            report(Event(event="note", model=request.model.name, message=note))
            return other

    def convert_all(
        self, requests: Sequence[Request], how: Conversion, report: Report, *, jobs: int | None
    ) -> list[Converted]:
        """Fetch all files through one pool, then convert as many at once as cores and memory allow.

        A failure of one does not stop the others.
        """
        missing = [r for r in requests if r.model.convertible and self._find_quietly(r, how, report) is None]
        fetched = {
            (f.request.model.name, f.request.precision): f.error
            for f in self.fetching.fetch_all(
                [self._precise(r) for r in missing if self._has_tools(r, how)], report
            )
        }

        def one(request: Request) -> Converted:
            try:
                error = fetched.get((request.model.name, self._precise(request).precision))
                if error is not None and not isinstance(error, OfflineError):
                    raise error
                return Converted(request, result=self.convert(request, how, report))
            except ModelZooError as error:
                report(Event(event="failed", model=request.model.name, message=str(error)))
                return Converted(request, error=error)

        measured = list(islice(self.cache.ir_manifests(), _MEASURED)) if missing else []

        def estimated(request: Request) -> int:
            size = sum(artifact.size or 0 for artifact in request.artifacts)
            return pool.estimate(request.model, str(self._precise(request).precision), size, measured)

        made = dict(zip(map(id, missing), pool.run(missing, one, estimated, workers=jobs), strict=True))
        return [made[id(request)] if id(request) in made else one(request) for request in requests]

    def _find_quietly(self, request: Request, how: Conversion, report: Report) -> ConvertedModel | None:
        try:
            return self.find(request, how) or self._from_remote(request, how, report)
        except ModelZooError:
            return None

    @cached_property
    def _remote(self) -> Remote | None:
        """The registry that IRs are shared through, if one is configured."""
        if self.settings.remote is None or self.settings.offline:
            return None
        from model_zoo.registry.remote import Remote

        return Remote(self.settings, self.cache)

    def _from_remote(self, request: Request, how: Conversion, report: Report) -> ConvertedModel | None:
        """Return an IR that somebody else of the fleet made, without fetching the model's files."""
        request = self._precise(request)
        entries = self._known_inputs(request) if self._remote is not None else None
        if self._remote is None or entries is None:
            return None
        key = ir_key(self._parts(request, entries, how))
        return self.find(request, how) if self._remote.find(key, request.model.name, report) else None

    @staticmethod
    def _precise(request: Request) -> Request:
        return replace(request, precision=pick_precision(request.model, request.precision))

    def _check_tools(self, request: Request, how: Conversion) -> None:
        """Refuse before anything is transferred what nothing here could convert afterwards.

        Offline nothing is transferred, and what is missing of the files is what to say first.

        Raises:
            MissingExtraError: names the packages, and the ways to them.
        """
        if not self.settings.offline and self.environments.stack(request, how) is None:
            request = self._precise(request)
            versions = self.environments.versions(request, how)
            name = request.reference
            require_packages(
                request.model, str(request.precision), versions, python=how.python, reference=name
            )

    def _has_tools(self, request: Request, how: Conversion) -> bool:
        try:
            self._check_tools(request, how)
        except ModelZooError:
            return False
        return True

    def _convert(self, request: Request, how: Conversion, report: Report) -> ConvertedModel:
        model = request.model
        if not model.convertible:
            what = f"{model.name} cannot be converted: {model.reason}"
            raise UnsupportedModelError(what, hint=f"fetch its files with 'model-zoo fetch {model.name}'")
        self._check_tools(request, how)
        fetched = self.fetching.fetch_all([request], report)[0]
        if fetched.result is None:
            assert fetched.error is not None  # noqa: S101 - one of the two is there
            raise fetched.error
        request = self.fetching.resolving.settle(request) or request
        model = request.model
        entries = [FileEntry(**entry) for entry in fetched.result.manifest["files"]]
        how = replace(how, environment=self.environments.require(request, how, report))
        parts = self._parts(request, entries, how)
        _hold(request, parts)
        key = ir_key(parts)
        if self._remote is not None and self.cache.find_ir(key) is None:
            self._remote.find(key, model.name, report)
        with self.fetching.locked(f"ir-{key[:32]}", model.name, report):
            hit = self.cache.find_ir(key)
            made = hit is None
            if hit is None:
                self._run(request, how, fetched.result, entries, parts, report)
                hit = self.cache.find_ir(key)
        if hit is None:
            what = f"{model.name}: its IR left the cache while it was being used"
            raise CacheMissError(what, hint="run the same command again")
        converted = _converted(request, key, *hit)
        if made and self._remote is not None:
            self._remote.keep(converted, report)
        return converted

    def _run(
        self,
        request: Request,
        how: Conversion,
        fetched: FetchedModel,
        entries: Sequence[FileEntry],
        parts: dict[str, Any],
        report: Report,
    ) -> None:
        """Convert in a worker process and publish what it made."""
        model, precision = request.model, str(request.precision)
        key, request_key = ir_key(parts), _request_key(request, entries, how)
        began = time.monotonic()
        report(Event(event="convert_begin", model=model.name, message=precision))
        # As deep below the layer as the final folder: relative links stay right.
        with self.cache.staging("ir") as staged:
            job = ConversionJob(
                model,
                precision,
                fetched.directory,
                parts,
                python=how.environment or how.python,
                isolated=how.environment is not None,
                trust_code=how.trust_code,
                calibration=how.calibration,
                reference=request.name,
            )
            manifest = convert(job, staged, report=report, layer=self.cache.writable.root)
            _hold(request, parts, manifest["outputs"])
            manifest |= {"declaration": declaration_of(model, request.artifacts), "request": request_key}
            manifest |= resolution_of(request)
            self.cache.publish_folder(staged, self.cache.writable.ir(key), manifest, IR_MANIFEST)
        self.cache.note_request(request_key, key)
        seconds = time.monotonic() - began
        report(Event(event="convert_end", model=model.name, message=precision, seconds=seconds))

    def check_reproducible(self, converted: ConvertedModel, how: Conversion, report: Report = ignore) -> None:
        """Convert a cached IR's model once more and compare the bytes; the cache stays as it is.

        Raises:
            ConversionError: another IR came out.
        """
        request = Request(converted.model, converted.precision)
        (fetched,) = self.fetching.fetch_all([request], report)
        if fetched.result is None:
            assert fetched.error is not None  # noqa: S101 - one of the two is there
            raise fetched.error
        with self.fetching.using(report):
            environment = self.environments.require(request, how, report)
            job = ConversionJob(
                converted.model,
                converted.precision,
                fetched.result.directory,
                converted.manifest["parts"],
                python=environment or how.python,
                isolated=environment is not None,
                trust_code=how.trust_code,
                calibration=how.calibration,
            )
            check_reproducible(job, converted.manifest, report=report)

    def find(
        self, request: Request, how: Conversion | None = None, *, any_version: bool = False
    ) -> ConvertedModel | None:
        """Return an IR if it is in the cache; look only, write nothing.

        Args:
            request: model and precision (default: the model's first).
            how: the interpreter whose tool versions count.
            any_version: also accept an IR made by other versions of the tools.
        """
        how = how or Conversion()
        settled = self.fetching.resolving.settle(self._precise(request))
        if settled is None:
            return None
        request = settled
        entries = self._known_inputs(request)
        if entries is None:
            return None
        key = ir_key(self._parts(request, entries, how))
        hit = self.cache.find_ir(key)
        if hit is not None:
            return _converted(request, key, *hit)
        unbuilt = self.environments.unbuilt(request, how)
        if not any_version and unbuilt is None:
            return None
        for folder, manifest in reversed(self.cache.find_requested(_request_key(request, entries, how))):
            if any_version or (unbuilt and unbuilt.fits(manifest["parts"]["versions"])):
                return _converted(request, manifest["key"], folder, manifest)
        return None

    def cached_precisions(self, request: Request, how: Conversion | None = None) -> list[str]:
        """Return the precisions on offer in which a model's IR is in the cache."""
        asked = (replace(request, precision=precision) for precision in request.model.precisions)
        return [str(one.precision) for one in asked if self.find(one, how, any_version=True) is not None]

    def _find_locked(self, request: Request, how: Conversion) -> ConvertedModel | None:
        """Return the locked IR if it is in the cache, whatever versions of the tools are installed here.

        Raises:
            UsageError: no IR of that precision is locked.
            IntegrityError: the recipe is not the locked one.
        """
        if request.locked is None:
            return None
        ir = _locked_ir(request)
        hit = self.cache.find_ir(ir.key)
        if hit is None:
            return None
        entries = [FileEntry(path=path, size=0, sha256=digest) for path, digest in ir.parts["inputs"]]
        _hold(request, _parts(request, entries, how, ir.parts["versions"]))
        return _converted(request, ir.key, *hit)

    def why(self, request: Request, how: Conversion) -> list[str]:
        """Say which parts of the IR key differ between what is wanted now and what is cached.

        Returns:
            Readable lines; the first says whether the wanted IR is there.
        """
        request = self._precise(request)
        request = self.fetching.resolving.settle(request) or request
        model, precision = request.model, str(request.precision)
        if not model.convertible:
            return [f"{model.name} cannot be converted: {model.reason}"]
        entries = self._known_inputs(request)
        if entries is None:
            return [f"{model.name}: its files were never fetched, so their digests are not known yet"]
        parts = self._parts(request, entries, how)
        key = ir_key(parts)
        told = self.environments.describe(request, how)
        if self.cache.find_ir(key) is not None:
            return [f"{model.name}@{precision}: the IR {key} is in the cache; nothing differs", *told]
        found = self.find(request, how)
        if found is not None:
            made = "made with the versions that the environment would have"
            return [f"{model.name}@{precision}: the IR {found.key} is in the cache, {made}", *told]
        lines = [f"{model.name}@{precision}: the IR {key} is not in the cache"]
        for folder, manifest in self.cache.find_irs_of(model.name):
            lines.append(f"{folder.name} ({manifest.get('precision')}) differs:")
            lines += [f"  {line}" for line in differences(parts, manifest.get("parts", {}))]
        if len(lines) == 1:
            lines.append("no other IR of this model is cached either")
        return [*lines, *told]

    def _parts(self, request: Request, entries: Sequence[FileEntry], how: Conversion) -> dict[str, Any]:
        """Return everything that determines the IR, with the tools it would be made with now."""
        return _parts(request, entries, how, self.environments.versions(request, how))

    def _known_inputs(self, request: Request) -> Sequence[FileEntry] | None:
        """Return what a declaration's files are, without needing the files where digests tell it."""
        artifacts = request.artifacts
        plain = not request.model.replace and all(a.unpack is None for a in artifacts)
        known = [self.cache.sha256_of(a) for a in artifacts] if plain else [None]
        if plain and all(known):
            pairs = sorted(zip(artifacts, known, strict=True), key=lambda pair: pair[0].path)
            return [FileEntry(path=a.path, size=a.size or 0, sha256=str(sha)) for a, sha in pairs]
        digest = declaration_of(request.model, artifacts)
        hit = self.cache.find_files(request.model.name, digest)
        if hit is not None:
            return [FileEntry(**entry) for entry in hit[1]["files"]]
        return self.cache.find_inputs(digest)


def _locked_ir(request: Request) -> LockedIr:
    assert request.locked is not None  # noqa: S101 - callers have looked
    found = request.locked.ir.get(str(request.precision))
    if found is None:
        what = f"the lock has no IR of {request.name} in {request.precision}"
        hint = f"lock it too: 'model-zoo lock {request.name}@{request.precision} …'"
        raise UsageError(what, found=", ".join(sorted(request.locked.ir)) or "files only", hint=hint)
    return found


def _hold(
    request: Request, parts: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]] | None = None
) -> None:
    """Refuse what is not as it was locked, where there is a lock.

    Raises:
        IntegrityError: says what differs.
    """
    if request.locked is None:
        return
    from model_zoo.catalog.lockfile import refuse_other_outputs, refuse_other_parts

    locked = _locked_ir(request)
    refuse_other_parts(request.name, differences(parts, locked.parts, label="locked"))
    if outputs is not None:
        refuse_other_outputs(request.name, outputs, locked)


def _parts(
    request: Request,
    entries: Sequence[FileEntry],
    how: Conversion,
    versions: Mapping[str, str | None],
) -> dict[str, Any]:
    """Return everything that determines the IR, made with tools of these versions."""
    return key_parts(request.model, str(request.precision), entries, versions, calibration=how.calibration)


def _request_key(request: Request, entries: Sequence[FileEntry], how: Conversion) -> str:
    """Return the digest of what was asked for, whatever versions of the tools answer it."""
    return ir_key(_parts(request, entries, how, {}))


def _converted(request: Request, key: str, folder: Path, manifest: dict[str, Any]) -> ConvertedModel:
    return ConvertedModel(
        model=request.model,
        precision=str(request.precision),
        directory=folder,
        key=key,
        manifest=manifest,
    )
