"""The pipeline: plan, fetch, convert, for one model or for several at once."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from model_zoo.conversion.key import toolchain
from model_zoo.conversion.trust import require_trust
from model_zoo.errors import (
    CacheReadOnlyError,
    MissingExtraError,
    ModelZooError,
    OfflineError,
    UntrustedCodeError,
)
from model_zoo.events import Event, ignore
from model_zoo.outcome import Outcome, attempt
from model_zoo.settings import ALLOW_ALL
from model_zoo.zoo.plan import Request, Tools
from model_zoo.zoo.planner import Planner
from model_zoo.zoo.policy import check_bytes, check_locked, check_request, with_trust
from model_zoo.zoo.resolver import Resolver
from model_zoo.zoo.waiting import using_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_zoo.cache import Cache
    from model_zoo.catalog import Catalog
    from model_zoo.catalog.lockfile import Lockfile
    from model_zoo.events import Report
    from model_zoo.schema import ConvertedModel, FetchedModel
    from model_zoo.settings import Settings
    from model_zoo.zoo.converter import Converter
    from model_zoo.zoo.environments import Environments
    from model_zoo.zoo.fetcher import Fetcher
    from model_zoo.zoo.plan import Conversion, Plan

_MEASURED = 200
"""How many manifests of earlier conversions are read to estimate the memory a conversion may need."""


class Pipeline:
    """Planner, fetcher and converter on one cache, with one set of settings."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        cache: Cache,
        lockfile: Lockfile | None,
        *,
        require_pinned: bool,
    ) -> None:
        self.settings = settings
        self.cache = cache
        self.require_pinned = require_pinned
        self.resolver = Resolver(settings, cache)
        self.planner = Planner(catalog, cache, self.resolver, self._tools, lockfile)

    # Each is imported when it is needed: naming models needs none of them.

    @cached_property
    def fetcher(self) -> Fetcher:
        """Brings models' files into the cache."""
        from model_zoo.zoo.fetcher import Fetcher

        pinned = self.require_pinned
        plan = self.planner.plan_files
        return Fetcher(self.settings, self.cache, self.resolver, plan, require_pinned=pinned)

    @cached_property
    def environments(self) -> Environments:
        """What conversions run in."""
        from model_zoo.zoo.environments import Environments

        return Environments(self.settings, self.cache)

    @cached_property
    def converter(self) -> Converter:
        """Makes IRs in the cache."""
        from model_zoo.zoo.converter import Converter

        return Converter(self.settings, self.cache, self.environments, self.planner)

    def _tools(self, request: Request, conversion: Conversion) -> Tools:
        """Return what a conversion would run with; a named interpreter wins over an environment."""
        model, precision = request.model, str(request.precision)
        isolate = self.settings.isolate if conversion.isolate is None else conversion.isolate
        if isolate and conversion.python is None:
            return self.environments.tools(model, precision)
        return Tools(toolchain(model, precision, python=conversion.python))

    def fetch(self, request: Request, report: Report = ignore) -> FetchedModel:
        """Make one model's files available, doing only what is missing."""
        (outcome,) = self.fetcher.fetch_all([request], report)
        return outcome.unwrap()

    def convert(self, request: Request, conversion: Conversion, report: Report = ignore) -> ConvertedModel:
        """Make one IR available, doing only what is missing."""
        return self.carry_out(self._plan(request, conversion, report), report)

    def require_trust(self, request: Request, conversion: Conversion) -> None:
        """Refuse a conversion that is still to be done and would run code of others that is not trusted."""
        plan = self._plan(request, conversion)
        if plan.cached is None:
            require_trust(request.model, trusted=plan.conversion.trust_code, name=request.name)

    def carry_out(self, plan: Plan, report: Report = ignore) -> ConvertedModel:
        """Make the IR of a plan available; where that is impossible here, one made by other tools counts."""
        if plan.cached is not None:
            if plan.request.locked is not None:
                check_locked(plan.request, plan.cached.manifest.parts, plan.cached.manifest.outputs)
                check_bytes(self.cache, plan.cached)
            return plan.cached
        try:
            with using_cache(self.cache, self.settings, report):
                self.converter.check(plan)
                fetched = self.fetch(plan.request, report)
                return self.converter.convert(self.planner.with_files(plan, fetched), fetched, report)
        except (OfflineError, MissingExtraError, CacheReadOnlyError, UntrustedCodeError) as error:
            return self._substitute(plan, error, report)

    def _substitute(self, plan: Plan, error: ModelZooError, report: Report) -> ConvertedModel:
        """Return an IR made by other versions of the tools, with a note; else raise the error."""
        request = plan.request
        other = self.planner.substitute(plan)
        if other is None or request.locked is not None:
            if others := self.planner.cached_precisions(request, plan.conversion):
                names = " or ".join(f"{request.model.name}@{precision}" for precision in others)
                error.hint = f"{error.hint or ''}; in the cache there is {names}".removeprefix("; ")
            raise error
        tools = ", ".join(f"{k} {v}" for k, v in other.manifest.versions.items())
        reason = str(error).splitlines()[0]
        note = f"using the cached IR made with {tools}, as no new one can be made here: {reason}"
        report(Event(event="note", model=request.model.name, message=note))
        return other

    def convert_all(
        self,
        requests: Sequence[Request],
        conversion: Conversion,
        report: Report = ignore,
        *,
        jobs: int | None = None,
    ) -> list[Outcome[ConvertedModel]]:
        """Fetch all files through one pool, then convert as many at once as cores and memory allow.

        A failure of one does not stop the others.
        """
        plans = [attempt(self._plan, request, conversion, report) for request in requests]
        missing = [i for i, plan in enumerate(plans) if plan.result and plan.result.cached is None]
        missing = [i for i in missing if requests[i].model.convertible]
        ready = [i for i in missing if attempt(self.converter.check, plans[i].unwrap()).error is None]
        outcomes = self.fetcher.fetch_all([plans[index].unwrap().request for index in ready], report)
        fetched = dict(zip(ready, outcomes, strict=True))

        def convert(index: int) -> Outcome[ConvertedModel]:
            try:
                plan = plans[index].unwrap()
                error = fetched[index].error if index in fetched else None
                if error is not None and not isinstance(error, OfflineError):
                    raise error
                return Outcome(self.carry_out(plan, report))
            except ModelZooError as error:
                report(Event(event="failed", model=requests[index].model.name, message=str(error)))
                return Outcome(error=error)

        made = dict(zip(missing, self._run_all(plans, missing, convert, jobs), strict=True))
        return [made[index] if index in made else convert(index) for index in range(len(requests))]

    def _plan(self, request: Request, conversion: Conversion, report: Report = ignore) -> Plan:
        """Return a plan, with the IR of the cache or of the shared registry: looking runs no code."""
        policy = self.settings.policy
        strict = self.require_pinned or policy != ALLOW_ALL
        if strict or not all(artifact.digests for artifact in request.artifacts):
            check_request(request, self.cache, policy, require_pinned=self.require_pinned)
            conversion = with_trust(request, conversion, policy)
        try:
            plan = self.planner.plan(request, conversion)
        except ModelZooError:  # of code that a lock brings, say so first
            require_trust(request.model, trusted=conversion.trust_code, name=request.name)
            raise
        return plan if plan.cached is not None else self.converter.pull(plan, report)

    def _run_all(
        self,
        plans: Sequence[Outcome[Plan]],
        missing: Sequence[int],
        convert: Callable[[int], Outcome[ConvertedModel]],
        jobs: int | None,
    ) -> list[Outcome[ConvertedModel]]:
        from model_zoo.conversion import pool

        measured = list(islice(self.cache.ir_manifests(), _MEASURED)) if missing else []

        def estimate(index: int) -> int:
            plan = plans[index].unwrap()
            size = sum(artifact.size or 0 for artifact in plan.request.artifacts)
            return pool.estimate(plan.request.model, plan.precision, size, measured)

        return pool.run(missing, convert, estimate, workers=jobs)

    def check_reproducible(self, converted: ConvertedModel, conversion: Conversion) -> None:
        """Convert a cached IR's model once more and compare the bytes; the cache stays as it is."""
        plan = self.planner.plan(Request(converted.model, converted.precision), conversion)
        self.converter.check(plan)
        self.converter.check_reproducible(plan, converted, self.fetch(plan.request))
