"""Requests over connections of our own kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from collections.abc import Callable

_POOLS = ((HTTPConnectionPool, HTTPConnection), (HTTPSConnectionPool, HTTPSConnection))


class ConnectionAdapter(HTTPAdapter):
    """Requests' adapter whose connections, direct or through a proxy, are of classes made from urllib3's."""

    def __init__(
        self,
        make: Callable[[type[HTTPConnection]], type[HTTPConnection]],
        **options: Any,  # noqa: ANN401 - as HTTPAdapter has them
    ) -> None:
        self._pools = {
            pool.scheme: type("Pool", (pool,), {"ConnectionCls": make(connection)})
            for pool, connection in _POOLS
        }
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Use these connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401
        """Use these connections through a proxy, too."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager
