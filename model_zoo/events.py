"""Events: what a ``progress`` callable receives while something is made available."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from model_zoo.errors import UsageError
from model_zoo.schema import Struct
from model_zoo.text import redact

EventKind = Literal[
    "fetch_begin",  # a model's transfer begins: ``total`` bytes (where known), ``message`` counts its files
    "download_begin",  # one file's transfer begins
    "download_progress",  # ``bytes`` of it are on disk
    "download_end",  # the whole file is proven
    "source_failed",  # a source of a file is given up; ``message`` says why
    "source",  # what the program that produces a file says; in ``message``
    "adopted",  # a file was taken from another program's cache instead; ``message`` says from where
    "fetch_end",  # all files of a model are in the cache
    "environment_begin",  # a converter environment is being built; ``file`` names it
    "environment_progress",
    "environment_end",
    "convert_begin",  # a conversion begins; ``message`` is the precision
    "convert_stage",  # ``message`` names the stage
    "convert_end",  # the IR is in the cache, after ``seconds``
    "push_blob",  # a blob was sent to a registry
    "verify",  # a file of the cache was read again
    "wait",  # another process holds what is needed; ``message`` says who
    "retry",  # a transfer is tried again; ``message`` says why
    "note",  # something worth knowing that is not an error
    "failed",  # a model will not be there; ``message`` is the error
]


class Event(Struct, frozen=True, kw_only=True):
    """What a progress callable receives; ``--progress json`` prints one a line.

    ``bytes`` counts what is proven to be on disk of ``file`` (or of the model where ``file`` is unset)
    and never goes backwards; ``total`` is the declared size, when there is one.
    """

    event: EventKind
    model: str | None = None
    file: str | None = None
    bytes: int | None = None
    total: int | None = None
    message: str | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Take secrets of addresses out of the message."""
        if self.message:
            msgspec.structs.force_setattr(self, "message", redact(self.message))


Report = Callable[[Event], None]
Progress = Report | None


def ignore(event: Event) -> None:
    """Report nothing."""
    del event


def listener(progress: object) -> Report:
    """Return what events go to.

    Raises:
        UsageError: it cannot be called.
    """
    if callable(progress):
        return progress
    what = f"progress={progress!r} cannot be called with an event"
    raise UsageError(what, hint="for bars: 'with model_zoo.progress_bars() as bars:' and progress=bars")
