"""Connections to registries, which answer in time or not at all."""

from __future__ import annotations

import socket
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from model_zoo.sources.deadlines import deadline


class DeadlineAdapter(HTTPAdapter):
    """Requests' adapter for answers whose head must be complete after so many seconds."""

    def __init__(self, seconds: float) -> None:
        pools = ((HTTPConnectionPool, HTTPConnection), (HTTPSConnectionPool, HTTPSConnection))
        self._pools = {
            pool.scheme: type("Pool", (pool,), {"ConnectionCls": _timed(connection, seconds)})
            for pool, connection in pools
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Use the timed connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401
        """Use the timed connections through a proxy, too."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


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
