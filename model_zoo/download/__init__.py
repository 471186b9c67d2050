"""Download: verified bytes, whatever the network does.

For each artifact that the cache lacks: take its lock, look again, open its partial, and try its candidates in
order (``artifact``) until the whole digest is proven; then the caller publishes the file by rename.

``engine`` runs many at once. An HTTP candidate gets a ``transfer``, in one piece or in ``parallel`` segments:
an ``exchange`` sends each request (``http``) and checks its ``response``, ``body_writer`` fills the
``partial``, and ``hasher`` follows. Other candidates are ``local`` files, those of other programs
(``adopt``), or members of a ``bundle``.
"""

from model_zoo.download.engine import download
from model_zoo.download.tasks import Download, DownloadTask

__all__ = ["Download", "DownloadTask", "download"]
