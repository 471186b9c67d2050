"""Converting: a plan and its files → an IR in the cache, made by a worker process."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from model_zoo.cache import declaration_of
from model_zoo.conversion import ConversionJob, check_reproducible, convert
from model_zoo.conversion.stacks import require_packages
from model_zoo.conversion.trust import require_trust
from model_zoo.errors import UnsupportedModelError
from model_zoo.events import Event, ignore
from model_zoo.zoo.policy import check_locked
from model_zoo.zoo.resolver import resolution_of
from model_zoo.zoo.waiting import locked, using_cache, vanished

if TYPE_CHECKING:
    from model_zoo.cache import Cache
    from model_zoo.events import Report
    from model_zoo.registry.remote import Remote
    from model_zoo.schema import ConvertedModel, FetchedModel, KeyParts
    from model_zoo.settings import Settings
    from model_zoo.zoo.environments import Environments
    from model_zoo.zoo.plan import Plan
    from model_zoo.zoo.planner import Planner

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Converter:
    """Makes IRs in one cache with one set of settings."""

    settings: Settings
    cache: Cache
    environments: Environments
    planner: Planner

    @cached_property
    def remote(self) -> Remote:
        """The registry that IRs are shared through, if one is configured."""
        from model_zoo.registry.remote import Remote  # for conversions only

        return Remote(self.settings, self.cache)

    def pull(self, plan: Plan, report: Report) -> Plan:
        """Return a plan with an IR that the shared registry has, without fetching the model's files."""
        found = plan.key is not None and self.remote.find(plan.key, plan.request.model.name, report)
        return self.planner.look_up(plan) if found else plan

    def check(self, plan: Plan) -> None:
        """Refuse, before anything is transferred, what could not be converted here afterwards.

        Offline nothing is transferred, and the missing files are what to report first.

        Raises:
            UnsupportedModelError: the catalog says that the model cannot be converted.
            UntrustedCodeError: it would run code of others, which is not trusted.
            MissingExtraError: names the missing packages, and the ways to them.
        """
        model, conversion = plan.request.model, plan.conversion
        if not model.convertible:
            what = f"{model.name} cannot be converted: {model.reason}"
            raise UnsupportedModelError(what, hint=f"fetch its files with 'model-zoo fetch {model.name}'")
        require_trust(model, trusted=conversion.trust_code, name=plan.request.name)
        if not self.settings.offline and plan.tools.stack is None:
            require_packages(
                model,
                plan.precision,
                plan.tools.versions,
                python=conversion.python,
                reference=plan.request.reference,
            )

    def convert(self, plan: Plan, fetched: FetchedModel, report: Report) -> ConvertedModel:
        """Make an IR of a model's files, unless another process did meanwhile; the cache is in use."""
        environment = self.environments.require(plan, report)
        if environment is not None and not plan.tools.is_built:
            assert plan.inputs is not None  # noqa: S101 - its files are there
            plan = plan.with_inputs(plan.inputs, self.environments.tools(plan.request.model, plan.precision))
        request, key = plan.request, str(plan.key)
        check_locked(request, plan.parts or {})
        plan = self.pull(plan, report)
        if plan.cached is not None:
            return plan.cached
        with locked(self.cache, self.settings, f"ir-{key[:32]}", request.model.name, report):
            made = self.planner.look_up(plan).cached
            if made is not None:
                return made
            self._run(plan, fetched, environment, report)
            made = self.planner.look_up(plan).cached
        if made is None:
            raise vanished(f"{request.model.name}: its IR")
        self.remote.keep(made, report)
        return made

    def _run(self, plan: Plan, fetched: FetchedModel, environment: str | None, report: Report) -> None:
        """Convert in a worker process and publish what it made."""
        request, key = plan.request, str(plan.key)
        model = request.model
        began = time.monotonic()
        report(Event(event="convert_begin", model=model.name, message=plan.precision))
        # As deep below the layer as the final directory: relative links stay right.
        with self.cache.staging("ir") as staged:
            job = _job(plan, fetched, plan.parts or {}, environment)
            manifest = convert(job, staged, report=report, layer=self.cache.writable.root)
            check_locked(request, plan.parts or {}, manifest.outputs)
            manifest = msgspec.structs.replace(
                manifest,
                declaration=declaration_of(model, request.artifacts),
                request=plan.request_key,
                resolution=resolution_of(request),
            )
            self.cache.publish_directory(staged, self.cache.writable.ir(key), manifest)
        seconds = time.monotonic() - began
        report(Event(event="convert_end", model=model.name, message=plan.precision, seconds=seconds))

    def check_reproducible(
        self, plan: Plan, converted: ConvertedModel, fetched: FetchedModel, report: Report = ignore
    ) -> None:
        """Convert a cached IR's model once more, and raise a ConversionError if the bytes differ."""
        with using_cache(self.cache, self.settings, report):
            environment = self.environments.require(plan, report)
            job = _job(plan, fetched, converted.manifest.parts, environment)
            check_reproducible(job, converted.manifest, report=report)


def _job(plan: Plan, fetched: FetchedModel, parts: KeyParts, environment: str | None) -> ConversionJob:
    conversion = plan.conversion
    return ConversionJob(
        plan.request.model,
        plan.precision,
        fetched.directory,
        parts,
        python=environment or conversion.python,
        isolated=environment is not None,
        trust_code=conversion.trust_code,
        calibration=conversion.calibration,
        reference=plan.request.name,
    )
