"""Connections to registries, which answer in time or not at all."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from model_zoo.sources.connections import ConnectionAdapter
from model_zoo.sources.deadlines import deadline

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection


class DeadlineAdapter(ConnectionAdapter):
    """Requests' adapter for answers whose head must be complete after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(lambda base: _timed(base, seconds))


def _timed(base: type[HTTPConnection], seconds: float) -> type[HTTPConnection]:
    class Timed(base):  # type: ignore[valid-type, misc]
        def connect(self) -> None:  # which includes the answer of a proxy
            with deadline(seconds, self._shut):
                super().connect()

        def getresponse(self) -> Any:  # noqa: ANN401 - urllib3's own type
            with deadline(seconds, self._shut):
                return super().getresponse()

        def _shut(self) -> None:
            if self.sock is not None:
                # the plain socket's method: a TLS socket's would wait for the reader's lock
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    return Timed
