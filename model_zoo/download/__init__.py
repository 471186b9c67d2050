"""Download: verified bytes, whatever the network does.

For each artifact that the cache lacks: take its lock, look again, open its partial, and try its candidates in
order (``artifact``) until the whole digest is proven; then the caller publishes the file by rename.

- ``engine``: many artifacts at once, one outcome each, interruptible
- ``tasks``: what to download, what was downloaded, and the candidates of a source, mirrors first
- ``adopt``: the files of other programs that are tried first
- ``artifact``: one artifact over its candidates; which failure is tried again, and where
- ``transfer``: one attempt over HTTP, in one piece or in ``parallel`` segments; ``body_writer`` writes
- ``exchange``: a request and the check of its response; ``http`` sends, ``response`` checks what it claims
- ``partial``: the bytes so far and their sidecar; ``hasher`` follows the writers
- ``local``, ``bundle``: files on this machine, and files inside something fetched whole
- ``failures``: kinds of failure, and the one error that remains
- ``disk_space``: free space on the disk; ``progress``: events
"""

from model_zoo.download.engine import download
from model_zoo.download.tasks import Download, DownloadTask

__all__ = ["Download", "DownloadTask", "download"]
