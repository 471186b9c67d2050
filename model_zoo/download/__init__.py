"""Download: verified bytes out of whatever the network does.

For each artifact that the cache lacks: take its lock, look again, open its partial, and try its places in
order (``artifact``) until the whole digest is proven; then the caller publishes the file by rename.

- ``plan``: what is wanted, what arrived, and the places of a source, mirrors first
- ``run``: many artifacts at once, one outcome each, interruptible
- ``artifact``: one artifact over its places; which failure is tried again, and where
- ``transfer``: one attempt over HTTP, in one piece or in parallel ``parts`` (``segments``); ``pour`` writes
- ``http``: requests, redirects and credentials; ``reply``: what an answer may claim
- ``partial``: bytes under way and their sidecar; ``hashing`` follows the writers
- ``local``, ``bundle``: files on this machine, and files inside something fetched whole
- ``failures``, ``verdict``: kinds of failure, and the one error that remains
- ``space``: room on the disk; ``tally``: events
"""

from model_zoo.download.engine import download
from model_zoo.download.tasks import Arrival, Outcome, Wanted
from model_zoo.events import ignore

__all__ = ["Arrival", "Outcome", "Wanted", "download", "ignore"]
