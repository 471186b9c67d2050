"""Conversions on a Dask cluster: one task a model, safe to repeat, results where everybody finds them.

Workers need this package, the extras their models ask for, and either the same registry to put IRs into
(``remote`` in the settings) or the same cache folder, mounted at the same path. A worker that dies costs its
task one more attempt somewhere else: locks of the dead are free, and what it staged counts for nothing.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.errors import CacheError, ConversionError, MissingExtraError, ModelZooError, WorkerCrashedError
from model_zoo.events import Event
from model_zoo.outcome import Outcome, attempt
from model_zoo.schema import ConvertedModel
from model_zoo.settings import Settings, load_settings, require_cache
from model_zoo.zoo import Conversion, Request, Zoo
from model_zoo.zoo.policy import check_request, with_trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model_zoo.events import Report
    from model_zoo.zoo.plan import Plan

_TOPIC = "model-zoo"
_PATIENCE = 10


@dataclass(frozen=True)
class Task:
    """One conversion, as it travels to a worker.

    ``shared`` is the cache folder both sides see, or None where the registry ``remote`` connects them.
    """

    request: Request
    how: Conversion
    remote: str | None
    shared: str | None


def convert_on_cluster(
    zoo: Zoo, requests: Sequence[Request], how: Conversion, address: str, report: Report
) -> list[Outcome[ConvertedModel]]:
    """Convert models on the workers of a cluster; what is in the cache already is not asked for.

    ``address`` is the scheduler's, such as ``tcp://scheduler:8786``. Events get the worker's name into their
    message. There is one outcome per request, in their order.

    Raises:
        MissingExtraError: ``distributed`` is not installed.
        ConversionError: the scheduler cannot be reached.
    """
    client_type = _distributed().Client
    try:
        client = client_type(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        what = f"the Dask scheduler {address} cannot be reached: {error}"
        hint = "check the address; a scheduler listens on tcp://HOST:8786"
        raise ConversionError(what, hint=hint) from error
    with client:
        client.subscribe_topic(_TOPIC, lambda said: report(msgspec.convert(said[1]["said"], Event)))
        return _Fleet(zoo, how, client, report).convert(requests)


def _distributed() -> Any:  # noqa: ANN401 - distributed has no types here
    try:
        import distributed
    except ImportError as error:
        what = "converting on a Dask cluster needs distributed, which is not installed"
        raise MissingExtraError(what, hint="pip install distributed") from error
    return distributed


@dataclass(frozen=True)
class _Fleet:
    zoo: Zoo
    how: Conversion
    client: Any
    report: Report

    def convert(self, requests: Sequence[Request]) -> list[Outcome[ConvertedModel]]:
        remote = self.zoo.settings.remote
        shared = None if remote else str(require_cache(self.zoo.settings).absolute())
        outcomes: dict[int, Outcome[ConvertedModel]] = {}
        futures: dict[Any, int] = {}
        for index, request in enumerate(requests):
            planned = attempt(self._plan, request)
            if planned.error is not None:
                outcomes[index] = Outcome(error=planned.error)
            elif (found := planned.unwrap().cached) is not None:
                outcomes[index] = Outcome(found)
            else:
                task = Task(request, planned.unwrap().conversion, remote, shared)
                futures[self.client.submit(work, task, pure=False)] = index
        try:
            for future, answer in self._answers(futures):
                index = futures[future]
                outcomes[index] = self._outcome(requests[index], answer)
        except BaseException:
            self.client.cancel(list(futures))
            raise
        return [outcomes[index] for index in range(len(requests))]

    def _plan(self, request: Request) -> Plan:
        """Return what converting comes to; the policy of this side is not left to the workers."""
        zoo = self.zoo
        check_request(request, zoo.cache, zoo.settings.policy, require_pinned=zoo.require_pinned)
        return zoo.planner.plan(request, with_trust(request, self.how, zoo.settings.policy))

    def _answers(self, futures: dict[Any, int]) -> Iterator[tuple[Any, Any]]:
        for future in _distributed().as_completed(list(futures), loop=self.client.loop):
            try:
                yield future, future.result()
            except _distributed().KilledWorker as error:
                what = "the conversion ended one worker after the other"
                hint = "give workers more memory, or convert this model alone"
                yield future, WorkerCrashedError(what, found=str(error), hint=hint)

    def _outcome(self, request: Request, answer: str | ModelZooError) -> Outcome[ConvertedModel]:
        if isinstance(answer, ModelZooError):
            self.report(Event(event="failed", model=request.model.name, message=str(answer)))
            return Outcome(error=answer)
        return attempt(self._take, request, answer)

    def _take(self, request: Request, key: str) -> ConvertedModel:
        """Return the IR a worker made, out of the shared folder or the registry."""
        cache = self.zoo.cache
        if cache.find_ir(key) is None:
            from model_zoo.registry.remote import Remote

            Remote(self.zoo.settings, cache).find(key, request.model.name, self.report)
        hit = cache.find_ir(key)
        if hit is None:
            what = f"{request.model.name}: a worker made its IR, and it is not to be found here"
            hint = "let workers share the cache folder, or set remote to a registry all can write to"
            raise CacheError(what, found=f"key {key}", hint=hint)
        folder, manifest = hit
        return ConvertedModel(
            model=request.model, precision=manifest.precision, directory=folder, key=key, manifest=manifest
        )


def work(task: Task) -> str | ModelZooError:
    """Convert one model on a worker; return its IR key, or the error, which no other attempt would mend."""
    worker = _distributed().get_worker()
    name = str(worker.name)

    def report(event: Event) -> None:
        message = f"[{name}] {event.message or event.event}"
        worker.log_event(
            _TOPIC, {"said": msgspec.to_builtins(msgspec.structs.replace(event, message=message))}
        )

    try:
        zoo = Zoo(settings=_settings_here(task))
        return zoo.pipeline().convert(task.request, task.how, report).key
    except ModelZooError as error:
        return error


def _settings_here(task: Task) -> Settings:
    """Return the worker's own settings, with what both sides share."""
    if task.remote is not None:
        return load_settings(remote=task.remote)
    if not Path(str(task.shared)).is_dir():
        what = f"the worker on {socket.gethostname()} does not see the cache {task.shared}"
        hint = "mount it there at the same path, or share a registry: remote in the settings"
        raise CacheError(what, hint=hint)
    return load_settings(cache=Path(str(task.shared)))
