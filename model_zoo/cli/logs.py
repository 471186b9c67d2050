"""``-v``: the library's log on stderr, without secrets."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from model_zoo.text import hide_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

_LOGGER = logging.getLogger("model_zoo")


class _LineHandler(logging.Handler):
    """Passes each record to a function as a line, without what the arguments and the traceback keep secret.

    The library logs no secret to begin with; this is the second line of defence.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(hide_secrets(self.format(record)))
        except Exception:  # noqa: BLE001 - as logging's own handlers do: a log line must not end the run
            self.handleError(record)


def show_logs(verbosity: int, write: Callable[[str], None]) -> None:
    """Pass each line of the log of ``model_zoo`` to a function from now on, from any thread.

    ``verbosity`` 1 shows INFO, 2 or more DEBUG and where each line comes from.
    """
    hide_logs()
    handler = _LineHandler(write)
    origin = " (%(module)s:%(lineno)d)" if verbosity > 1 else ""
    handler.setFormatter(logging.Formatter(f"model-zoo: %(message)s{origin}"))
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.DEBUG if verbosity > 1 else logging.INFO)


def hide_logs() -> None:
    """Undo ``show_logs``."""
    for handler in [handler for handler in _LOGGER.handlers if isinstance(handler, _LineHandler)]:
        _LOGGER.removeHandler(handler)
    _LOGGER.setLevel(logging.NOTSET)
