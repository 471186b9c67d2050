"""Converter environments: which one a conversion runs in, is it there, and if not build it, once."""

from __future__ import annotations

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
from model_zoo.conversion.stacks import stack_of
from model_zoo.conversion.toolchain import toolchain, toolchain_in
from model_zoo.errors import CacheMissError, ConversionError, OfflineError
from model_zoo.events import Event

if TYPE_CHECKING:
    from model_zoo.cache.environments import Environment
    from model_zoo.conversion.stacks import Stack
    from model_zoo.events import Report
    from model_zoo.zoo.fetcher import Fetching
    from model_zoo.zoo.request import Conversion, Request

_SHORT = 32


class Environments:
    """The environments of one cache."""

    def __init__(self, fetching: Fetching) -> None:
        self.fetching = fetching
        self.settings = fetching.settings
        self.cache = fetching.cache
        self._proven: dict[str, Environment] = {}
        self._failed: dict[str, tuple[Conversion, ConversionError]] = {}

    def stack(self, request: Request, how: Conversion) -> Stack | None:
        """Return the stack whose environment a conversion runs in; None where it runs in an interpreter.

        ``python`` wins, and what OpenVINO converts by itself needs no environment.
        """
        wanted = self.settings.isolate if how.isolate is None else how.isolate
        if how.python is not None or not wanted:
            return None
        return stack_of(request.model, str(request.precision))

    def versions(self, request: Request, how: Conversion) -> dict[str, str | None]:
        """Return the versions that a conversion would use, without starting anything for an environment.

        Of one that is not built yet they are those its stack pins, as far as these are known beforehand.
        """
        model, precision = request.model, str(request.precision)
        stack = self.stack(request, how)
        if stack is None:
            return toolchain(model, precision, python=how.python)
        found = find_environment(self.cache, stack.digest)
        if found is None:
            return toolchain_in(model, precision, stack.expected, {})
        return toolchain_in(model, precision, found.packages, found.modules)

    def unbuilt(self, request: Request, how: Conversion) -> Stack | None:
        """Return the stack whose environment would have to be built first; None where none would."""
        stack = self.stack(request, how)
        return stack if stack and find_environment(self.cache, stack.digest) is None else None

    def describe(self, request: Request, how: Conversion) -> list[str]:
        """Return a line about the environment a conversion would run in; none where there is none."""
        stack = self.stack(request, how)
        if stack is None:
            return []
        state = "is not built yet" if self.unbuilt(request, how) else "is built"
        versions = ", ".join(f"{name} {version}" for name, version in self.versions(request, how).items())
        return [f"its converter environment {stack.name!r} {state}: {versions}"]

    def require(self, request: Request, how: Conversion, report: Report) -> str | None:
        """Return the interpreter of the environment a conversion runs in; built first where it is missing.

        Called while the cache is in use, so that no collector takes it away.

        Raises:
            OfflineError: it would have to be built, and the run is offline.
            ConversionError: pip failed.
            CacheError: the layer cannot be written, or is full.
        """
        stack = self.stack(request, how)
        if stack is None:
            return None
        name = request.model.name
        found = self._usable(stack)
        if found is None:
            if self.settings.offline:
                raise self._offline(stack, name)
            with self.fetching.locked(f"env-{stack.digest[:_SHORT]}", name, report) as works:
                found = self._usable(stack) or self._once(stack, name, how, report, alone=works)
        note_use(self.cache, found)
        return str(found.python)

    def _usable(self, stack: Stack) -> Environment | None:
        """Return the environment if its interpreter starts; found out once in a run."""
        found = find_environment(self.cache, stack.digest)
        if found is None or self._proven.get(stack.digest) == found:
            return found
        if fault_of(found.directory, str(found.python_version)) is not None:
            return None
        self._proven[stack.digest] = found
        return found

    def _offline(self, stack: Stack, name: str) -> OfflineError:
        return OfflineError(
            f"{name}: the converter environment {stack.name!r} is not built, and the run is offline",
            left="nothing was published",
            hint=f"run 'model-zoo convert --isolate {name}' online once, on this machine or into this cache",
        )

    def _once(self, stack: Stack, name: str, how: Conversion, report: Report, *, alone: bool) -> Environment:
        """Build an environment; what failed for one model of a run, which shares ``how``, fails for all."""
        asked, error = self._failed.get(stack.digest, (None, None))
        if error is not None and asked is how:
            raise error
        try:
            return self._build(stack, name, report, alone=alone)
        except ConversionError as failure:
            self._failed[stack.digest] = (how, failure)
            raise

    def _build(self, stack: Stack, name: str, report: Report, *, alone: bool) -> Environment:
        """Build and publish an environment; its lock is held, and keeps others out if ``alone``."""
        title = f"{KIND}:{stack.name}"

        def told(message: str, size: int) -> None:
            report(
                Event(
                    event="environment_progress",
                    model=name,
                    file=title,
                    bytes=size,
                    total=total,
                    message=message,
                )
            )

        total = stack.size or None
        report(Event(event="environment_begin", model=name, file=title, total=total))
        with self.cache.staging(KIND) as folder:
            if alone:
                sweep_unfinished(self.cache, stack.digest)
            claim(folder, stack.digest)
            made = build(stack, folder, report=told)
            publish_environment(self.cache, folder / "env", made)
        found = find_environment(self.cache, stack.digest)
        if found is None:
            what = f"the converter environment {stack.name!r} left the cache while it was being used"
            raise CacheMissError(what, hint="run the same command again")
        report(Event(event="environment_end", model=name, file=title, bytes=found.size, seconds=made.seconds))
        return found
