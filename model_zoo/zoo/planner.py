"""Planning: reference → request → plan. Nothing is transferred, converted or written."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from model_zoo.cache import declaration_of
from model_zoo.catalog import parse_reference, pick_precision
from model_zoo.errors import UnknownModelError, UsageError
from model_zoo.schema import ConvertedModel, FetchedModel, FileEntry
from model_zoo.sources import floating_sources
from model_zoo.zoo.plan import Conversion, FilesPlan, Plan, Request, Tools
from model_zoo.zoo.policy import check_inputs, check_locked, edited_files, locked_ir
from model_zoo.zoo.resolver import Resolver, floating, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from model_zoo.cache import Cache
    from model_zoo.catalog import Catalog
    from model_zoo.catalog.lockfile import Lockfile
    from model_zoo.schema import IrManifest

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Planner:
    """What references come to, on one catalog, one cache and perhaps one lock file.

    ``resolver`` is asked only for URIs, everything else is looked up; ``tools`` says what a conversion would
    run with.
    """

    catalog: Catalog
    cache: Cache
    resolver: Resolver
    tools: Callable[[Request, Conversion], Tools]
    lockfile: Lockfile | None = None

    # --- reference → request

    def request(self, reference: str, precision: str | None = None, *, fresh: bool = False) -> Request:
        """Return the model a reference means, with the precision it or the argument names.

        ``fresh`` asks the sources of a URI again, even where their answer is known.

        Raises:
            UnknownModelError: no catalog has it.
            UnknownPrecisionError: the model does not come in that precision.
            UsageError: the reference is not one, or not in the lock.
            DownloadError: the source that a URI names cannot be asked, or does not have it.
            IntegrityError: the catalog entry is not the locked one.
        """
        parsed = parse_reference(_text(reference))
        if parsed.uri is None or parsed.name in self.catalog.files:
            return self._of_catalog(str(parsed.name), precision or parsed.precision)
        precision = precision or parsed.uri_precision
        request = self._of_uri(parsed.uri, fresh=fresh)
        return replace(request, precision=pick_precision(request.model, precision) if precision else None)

    def expand(
        self, references: Iterable[str], precision: str | None = None, *, fresh: bool = False
    ) -> list[Request]:
        """Return the requests of several references, composites replaced by their stages, no doubles.

        Errors are those of ``request``.
        """
        found: dict[tuple[str, str | None], Request] = {}
        for reference in references:
            request = self.request(reference, precision, fresh=fresh)
            stages = [self._of_stage(request, stage) for stage in request.model.stages]
            for part in stages or [request]:
                found[part.model.name, part.precision] = part
        return list(found.values())

    def _of_stage(self, composite: Request, name: str) -> Request:
        try:
            return self._of_catalog(name, composite.precision)
        except UnknownModelError as error:
            what = f"{composite.model.name}: no catalog has its stage {name!r}"
            raise UnknownModelError(
                what, found=name, hint="add the catalog that has it, or correct stages"
            ) from error

    def _of_catalog(self, name: str, precision: str | None) -> Request:
        model = self.catalog.get(name)
        precision = pick_precision(model, precision) if precision else None
        if self.lockfile is None or model.stages:
            return Request(model, precision, reference=name)
        locked = self.lockfile.model(name)
        return Request(self.lockfile.apply(model, precision), precision, reference=name, locked=locked)

    def _of_uri(self, uri: str, *, fresh: bool) -> Request:
        from model_zoo.catalog.uri import model_from_uri, needed_files, parse_uri  # and kinds of sources

        parsed = parse_uri(uri)
        if self.lockfile is not None:
            model = self.lockfile.model_of_uri(parsed.uri)
            return Request(model, reference=parsed.uri, locked=self.lockfile.model(parsed.uri))
        needed = partial(needed_files, parsed)
        artifacts = self.resolver.resolve_artifacts(
            parsed.artifacts, parsed.uri, parsed.uri, needed, fresh=fresh
        )
        resolution = (key_of(parsed.artifacts), artifacts) if floating(parsed.artifacts) else None
        return Request(model_from_uri(parsed, artifacts), reference=parsed.uri, resolution=resolution)

    # --- request → plan

    def plan_files(self, request: Request) -> FilesPlan:
        """Return where a model's files are, or would be."""
        known = self._known(request)
        if known is None:
            return FilesPlan(request)
        key = declaration_of(known.model, known.artifacts)
        hit = self.cache.find_files(known.model.name, key)
        if hit is None:
            return FilesPlan(known, key)
        directory, manifest = hit
        files = {entry.path: directory / entry.path for entry in manifest.files}
        found = FetchedModel(model=known.model, directory=directory, files=files, manifest=manifest)
        return FilesPlan(known, key, found)

    def plan(self, request: Request, conversion: Conversion | None = None) -> Plan:
        """Return what converting comes to.

        A locked IR that is in the cache counts whatever versions of the tools are installed here.

        Raises:
            UnknownPrecisionError: the model does not come in that precision.
            UsageError: the interpreter or the calibration data does not exist, or the IR is not locked.
            IntegrityError: the recipe is not the locked one.
        """
        conversion = conversion or Conversion()
        request = replace(request, precision=pick_precision(request.model, request.precision))
        locked = self._locked(request, conversion)
        if locked is not None:
            return locked
        tools = self.tools(request, conversion)
        known = self._known(request)
        plan = Plan(known or request, conversion, tools)
        inputs = None if known is None else self._known_inputs(known)
        return plan if inputs is None else self.look_up(plan.with_inputs(inputs))

    def look_up(self, plan: Plan) -> Plan:
        """Return a complete plan with its IR, if that is in the cache."""
        hit = self.cache.find_ir(str(plan.key))
        found = _converted(plan, *hit) if hit is not None else None
        if found is None and plan.tools.stack is not None and not plan.tools.is_built:
            fits = plan.tools.stack.fits
            found = self._newest(plan, lambda manifest: fits(manifest.versions))
        _log.debug("%s: IR %s: %s", plan.label, plan.key, "cached" if found else "not cached")
        return replace(plan, cached=found)

    def with_files(self, plan: Plan, fetched: FetchedModel) -> Plan:
        """Return a plan completed by the model's files, now that they are there."""
        request = self._known(plan.request) or plan.request
        return replace(plan, request=request).with_inputs(fetched.manifest.files)

    def substitute(self, plan: Plan) -> ConvertedModel | None:
        """Return an IR of what a plan asks for that other versions of the tools made, the newest there is."""
        if plan.cached is not None or plan.inputs is None:
            return plan.cached
        return self._newest(plan, lambda _: True)

    def cached_precisions(self, request: Request, conversion: Conversion | None = None) -> list[str]:
        """Return the precisions on offer in which a model's IR is in the cache, by whatever tools."""
        return [p for p, ir in self.cached_irs(request, conversion).items() if ir is not None]

    def cached_irs(
        self, request: Request, conversion: Conversion | None = None
    ) -> dict[str, ConvertedModel | None]:
        """Return the cached IR of every precision on offer, by whatever tools it was made."""
        plans = {p: self.plan(replace(request, precision=p), conversion) for p in request.model.precisions}
        return {precision: self.substitute(plan) for precision, plan in plans.items()}

    def why(self, request: Request, conversion: Conversion) -> list[str]:
        """Say which parts of the IR key differ between what would be made now and what is cached.

        The first line says whether the wanted IR is there.
        """
        if not request.model.convertible:
            return [f"{request.model.name} cannot be converted: {request.model.reason}"]
        plan = self.plan(request, conversion)
        others = self.cache.find_irs_of(request.model.name)
        return [*edited_files(plan.request, self.cache), *plan.explain(others)]

    def _newest(self, plan: Plan, suits: Callable[[IrManifest], bool]) -> ConvertedModel | None:
        for directory, manifest in reversed(self.cache.find_requested(plan.request_key)):
            if suits(manifest):
                return _converted(plan, directory, manifest)
        return None

    def _locked(self, request: Request, conversion: Conversion) -> Plan | None:
        """Return the plan of a locked IR that is in the cache."""
        if request.locked is None:
            return None
        ir = locked_ir(request)
        hit = self.cache.find_ir(ir.key)
        if hit is None:
            return None
        inputs = [FileEntry(path=path, size=0, sha256=digest) for path, digest in ir.parts["inputs"]]
        known = self._known_inputs(request)
        if known is not None:
            check_inputs(request.name, known, inputs)
        plan = Plan(request, conversion, Tools(ir.parts["versions"])).with_inputs(inputs)
        check_locked(request, plan.parts or {})
        return replace(plan, key=ir.key, cached=_converted(plan, *hit))

    def _known(self, request: Request) -> Request | None:
        """Return a request with addresses in place of what floats; None if they are not known."""
        floats = any(floating_sources(artifact) for artifact in request.model.artifacts)
        return self.resolver.known(request) if floats else request

    def _known_inputs(self, request: Request) -> Sequence[FileEntry] | None:
        """Return what a model's files are, without needing the files where digests tell it."""
        artifacts = request.artifacts
        plain = not request.model.replace and all(a.unpack is None for a in artifacts)
        known = [self.cache.sha256_of(a) for a in artifacts] if plain else [None]
        if plain and all(known):
            pairs = sorted(zip(artifacts, known, strict=True), key=lambda pair: pair[0].path)
            return [FileEntry(path=a.path, size=a.size or 0, sha256=str(sha)) for a, sha in pairs]
        key = declaration_of(request.model, artifacts)
        hit = self.cache.find_files(request.model.name, key)
        if hit is not None:
            return hit[1].files
        return self.cache.find_inputs(key)


def _converted(plan: Plan, directory: Path, manifest: IrManifest) -> ConvertedModel:
    return ConvertedModel(
        model=plan.request.model,
        precision=plan.precision,
        directory=directory,
        key=manifest.key,
        manifest=manifest,
    )


def _text(reference: object) -> str:
    """Return a reference as text; a ``Path`` is one too."""
    if isinstance(reference, (str, os.PathLike)):
        return str(os.fspath(reference))
    what = f"{reference!r} is not a model reference"
    raise UsageError(what, expected="a string or a path", hint="to name several models, call once for each")
