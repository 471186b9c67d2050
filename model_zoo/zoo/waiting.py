"""Other processes at work on the cache: waiting for them, visibly, and what they took away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.errors import CacheMissError
from model_zoo.events import Event
from model_zoo.files.lock import lock

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from model_zoo.cache import Cache
    from model_zoo.events import Report
    from model_zoo.settings import Settings


def using_cache(cache: Cache, settings: Settings, report: Report) -> AbstractContextManager[bool]:
    """Keep the garbage collector out while something is made available; yields whether that works here."""

    def on_wait(owner: str) -> None:
        report(Event(event="wait", message=f"waiting for {owner}, which is cleaning the cache"))

    return cache.use(on_wait, timeout=settings.lock_timeout)


def locked(
    cache: Cache, settings: Settings, name: str, model: str, report: Report
) -> AbstractContextManager[bool]:
    """Hold a lock of the writable layer while one thing is made for a model; yields whether that works."""

    def on_wait(owner: str) -> None:
        report(Event(event="wait", model=model, message=f"waiting for {owner}"))

    return lock(cache.writable.locks / f"{name}.lock", timeout=settings.lock_timeout, on_wait=on_wait)


def vanished(what: str) -> CacheMissError:
    """Return the error for what was there, and was removed before it could be handed out."""
    what = f"{what} was removed from the cache while it was in use"
    return CacheMissError(what, hint="run the same command again")
