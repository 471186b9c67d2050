"""Converter environments: which one a conversion runs in, is it there, and if not build it, once."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from model_zoo.cache.environments import (
    KIND,
    claim,
    find_environment,
    note_use,
    publish_environment,
    sweep_unfinished,
)
from model_zoo.conversion.environment import build, fault_of
from model_zoo.conversion.key import toolchain, toolchain_in
from model_zoo.conversion.stacks import stack_of
from model_zoo.errors import ConversionError, OfflineError
from model_zoo.events import Event
from model_zoo.zoo.plan import Tools
from model_zoo.zoo.waiting import locked, vanished

if TYPE_CHECKING:
    from model_zoo.cache import Cache
    from model_zoo.cache.environments import Environment
    from model_zoo.conversion.stacks import Stack
    from model_zoo.events import Report
    from model_zoo.schema import Model
    from model_zoo.settings import Settings
    from model_zoo.zoo.plan import Conversion, Plan

_SHORT = 32
_log = logging.getLogger(__name__)


class Environments:
    """The environments of one cache."""

    def __init__(self, settings: Settings, cache: Cache) -> None:
        self.settings = settings
        self.cache = cache
        self._proven: dict[str, Environment] = {}
        self._failed: dict[str, tuple[Conversion, ConversionError]] = {}

    def tools(self, model: Model, precision: str) -> Tools:
        """Return what a conversion would run with in the environment of its stack, if it needs one."""
        stack = stack_of(model, precision)
        if stack is None:
            return Tools(toolchain(model, precision))
        built = find_environment(self.cache, stack.digest)
        if built is None:
            return Tools(toolchain_in(model, precision, stack.expected, {}), stack)
        found = toolchain_in(model, precision, built.manifest.packages, built.manifest.modules)
        return Tools(found, stack, is_built=True)

    def require(self, plan: Plan, report: Report) -> str | None:
        """Return the interpreter of the environment a plan runs in; built first where it is missing.

        Called while the cache is in use, so that no collector takes it away.

        Raises:
            OfflineError: it would have to be built, and the run is offline.
            ConversionError: pip failed.
            CacheError: the layer cannot be written, or is full.
        """
        stack = plan.tools.stack
        if stack is None:
            return None
        name = plan.request.model.name
        found = self._usable(stack)
        if found is None:
            if self.settings.offline:
                where = f"{name}: the converter environment {stack.name!r}"
                raise OfflineError(
                    f"{where} has not been built, and this run is offline",
                    left="nothing was published",
                    hint=f"run 'model-zoo convert --isolate {name}' once without --offline "
                    "(MODEL_ZOO_OFFLINE)",
                )
            lock_name = f"env-{stack.digest[:_SHORT]}"
            with locked(self.cache, self.settings, lock_name, name, report) as alone:
                found = self._usable(stack) or self._build_once(stack, plan, report, alone=alone)
        note_use(self.cache, found)
        return str(found.python)

    def _usable(self, stack: Stack) -> Environment | None:
        """Return the environment if its interpreter starts; found out once in a run."""
        found = find_environment(self.cache, stack.digest)
        if found is None or self._proven.get(stack.digest) == found:
            return found
        fault = fault_of(found.directory, found.manifest.python)
        if fault is not None:
            _log.info("the converter environment %r is not used: %s", stack.name, fault)
            return None
        self._proven[stack.digest] = found
        return found

    def _build_once(self, stack: Stack, plan: Plan, report: Report, *, alone: bool) -> Environment:
        """Build an environment; what failed for one model of a run, which shares a conversion, fails all."""
        conversion, error = self._failed.get(stack.digest, (None, None))
        if error is not None and conversion is plan.conversion:
            raise error
        try:
            return self._build(stack, plan, report, alone=alone)
        except ConversionError as failure:
            self._failed[stack.digest] = (plan.conversion, failure)
            raise

    def _build(self, stack: Stack, plan: Plan, report: Report, *, alone: bool) -> Environment:
        """Build and publish an environment; its lock is held, and keeps others out if ``alone``."""
        total = stack.size or None

        event = partial(Event, model=plan.request.model.name, file=f"{KIND}:{stack.name}")

        def on_progress(message: str, size: int) -> None:
            report(event(event="environment_progress", bytes=size, total=total, message=message))

        report(event(event="environment_begin", total=total))
        with self.cache.staging(KIND) as directory:
            if alone:
                sweep_unfinished(self.cache, stack.digest)
            claim(directory, stack.digest)
            made = build(stack, directory, report=on_progress, trust_code=plan.conversion.trust_code)
            publish_environment(self.cache, directory / "env", made)
        found = find_environment(self.cache, stack.digest)
        if found is None:
            raise vanished(f"the converter environment {stack.name!r}")
        report(event(event="environment_end", bytes=made.size, seconds=made.seconds))
        return found
