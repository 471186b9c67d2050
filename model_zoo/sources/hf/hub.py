"""Metadata from the Hugging Face Hub through huggingface_hub: which commit a revision is, and its files.

huggingface_hub itself handles endpoint, token, proxies and certificates. Only metadata comes through here;
the bytes are transferred by our own engine. What asks the hub raises a DownloadError with the hub's reason
and what to do about it. Works with versions 1 and 2.
"""

from __future__ import annotations

import logging
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from model_zoo.errors import DownloadError, OfflineError, SourceMissingError, SourceUnavailableError
from model_zoo.schema.base import Sha256, Size
from model_zoo.sources.deadlines import within
from model_zoo.text import safe_url
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_zoo.settings import Settings

T = TypeVar("T")
COMMIT = re.compile(r"[0-9a-f]{40}")
DEFAULT_ENDPOINT = "https://huggingface.co"
_TRUE = {"1", "ON", "YES", "TRUE"}  # as huggingface_hub reads its variables
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 60.0
_MAX_LISTING = 64 << 20
"""Bytes of one answer; a listing of a hundred thousand files has a third of that."""
_MAX_SECONDS = 300.0
_MAX_PAGES = 1000
_MAX_REDIRECTS = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RemoteFile:
    """One file of a commit.

    ``sha256`` is known for files in LFS (or Xet), ``blob_id`` (the git object's sha1) for the others.
    """

    path: str
    size: int | None = None
    sha256: str | None = None
    blob_id: str | None = None


@dataclass(frozen=True)
class Listing:
    """All files of one commit, and what the model card says about the model."""

    commit: str
    files: tuple[RemoteFile, ...]
    license: str | None = None
    task: str | None = None


def endpoint() -> str:
    """Return the hub's URL, which HF_ENDPOINT may set."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def is_offline() -> bool:
    """Whether huggingface_hub was told to stay offline."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in _TRUE


def _library() -> Any:  # noqa: ANN401
    """Import huggingface_hub with its telemetry off, unless the user turned it on."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when it is imported
    import huggingface_hub.errors
    import huggingface_hub.utils

    return huggingface_hub


def authorization() -> dict[str, str]:
    """Return the header that carries the user's token, if there is one."""
    headers = _library().utils.build_hf_headers()
    return {name: value for name, value in headers.items() if name.lower() == "authorization"}


def file_url(repo: str, file: str, revision: str) -> str:
    """Return the URL of a file."""
    return str(_library().hf_hub_url(repo, file, revision=revision, endpoint=endpoint()))


def file_info(repo: str, file: str, revision: str, settings: Settings) -> tuple[str, RemoteFile]:
    """Return the commit that the revision stands for, and what the hub knows of a file of it."""
    url = file_url(repo, file, revision)

    def head() -> Any:  # noqa: ANN401 - the client has no types that hold over its versions
        api = _library().HfApi(endpoint=endpoint(), library_name="model-zoo", library_version=__version__)
        return api.get_hf_file_metadata(url=url, timeout=settings.connect_timeout)

    found = _ask(head, settings, repo, revision, file)
    commit, etag = str(found.commit_hash or ""), str(found.etag or "")
    if not COMMIT.fullmatch(commit):
        what = f"{safe_url(url)} returned no commit hash, so it is not a Hugging Face Hub"
        raise SourceUnavailableError(what, found=commit or None, hint="check HF_ENDPOINT")
    if COMMIT.fullmatch(revision) and commit != revision:
        what = f"{safe_url(url)} belongs to a different commit"
        raise SourceUnavailableError(what, expected=revision, found=commit, hint="check HF_ENDPOINT")
    _log.info("%s is commit %s", _name(repo, revision, None), commit)
    sha256 = etag if re.fullmatch(r"[0-9a-f]{64}", etag) else None
    blob_id = etag if COMMIT.fullmatch(etag) else None
    return commit, RemoteFile(file, found.size, sha256, blob_id)


class _Lfs(msgspec.Struct, frozen=True):
    sha256: Sha256 | None = None
    oid: Sha256 | None = None


class _File(msgspec.Struct, frozen=True, rename={"blob_id": "blobId"}):
    """A file as one of the hub's two kinds of listings has it."""

    rfilename: str = ""
    path: str = ""
    type: str = "file"
    size: Size | None = None
    blob_id: str | None = None
    oid: str | None = None
    lfs: _Lfs | None = None

    @property
    def remote(self) -> RemoteFile:
        sha256 = (self.lfs.sha256 or self.lfs.oid) if self.lfs else None
        return RemoteFile(self.rfilename or self.path, self.size, sha256, self.blob_id or self.oid)


class _Info(msgspec.Struct, frozen=True):
    sha: str | None = None
    siblings: tuple[_File, ...] | None = None
    tags: tuple[str, ...] | None = None
    pipeline_tag: str | None = None


def list_files(repo: str, revision: str, settings: Settings) -> Listing:
    """Return all files of a revision, with their sizes and digests as far as the hub states them."""
    at = f"{endpoint()}/api/models/{repo}"
    where = f"{at}/revision/{quote(revision, safe='')}?blobs=True"
    found, _ = _ask(lambda: _get(where, _Info, settings), settings, repo, revision, None)
    commit = str(found.sha or "")
    if not COMMIT.fullmatch(commit):
        what = f"{safe_url(endpoint())} returned no valid commit hash for {repo}@{revision}"
        raise SourceUnavailableError(what, found=ascii(commit[:80]), hint="check HF_ENDPOINT")
    _log.info("%s is commit %s", _name(repo, revision, None), commit)
    files = [file.remote for file in found.siblings or ()]
    if not any(file.size is not None for file in files):  # an older hub, or a mirror of one
        tree = f"{at}/tree/{commit}?recursive=True"
        files = _ask(lambda: _tree(tree, settings), settings, repo, commit, None)
    tagged = [tag.partition(":")[2] for tag in found.tags or () if tag.startswith("license:")]
    files.sort(key=lambda file: file.path)
    return Listing(commit, tuple(files), next(iter(tagged), None), found.pipeline_tag)


def _tree(url: str, settings: Settings) -> list[RemoteFile]:
    """Return the files of all pages of a listing."""
    files: list[RemoteFile] = []
    for _ in range(_MAX_PAGES):
        page, following = _get(url, tuple[_File, ...], settings)
        files += [file.remote for file in page if file.type == "file"]
        if not following:
            return files
        url = following
    raise SourceUnavailableError(f"{safe_url(url)}: the file listing does not end", hint="check HF_ENDPOINT")


def _get(url: str, kind: type[T], settings: Settings) -> tuple[T, str]:
    """Return what the hub says at an address, and the address of the next page; the token stays at the hub.

    huggingface_hub itself would read an answer of any length, and follow any redirect and any next page.
    """
    utils = _library().utils
    end = time.monotonic() + _MAX_SECONDS
    for _ in range(_MAX_REDIRECTS):
        own = urlsplit(url)[:2] == urlsplit(endpoint())[:2]
        headers = utils.build_hf_headers(
            library_name="model-zoo", library_version=__version__, token=None if own else False
        )
        request = {"headers": headers, "timeout": settings.connect_timeout, "follow_redirects": False}
        with utils.get_session().stream("GET", url, **request) as reply:
            if reply.is_redirect and "location" in reply.headers:
                url = urljoin(url, reply.headers["location"])
                continue
            data = bytearray()
            for piece in reply.iter_bytes(1 << 16):
                data += piece
                if len(data) > _MAX_LISTING or time.monotonic() > end:
                    what = f"{safe_url(url)}: the response is larger than {_MAX_LISTING} bytes, or too slow"
                    raise SourceUnavailableError(what, hint="check HF_ENDPOINT")
            utils.hf_raise_for_status(reply)
            following = urljoin(url, reply.links.get("next", {}).get("url", ""))
        try:
            return msgspec.json.decode(data, type=kind), "" if following == url else following
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            what = f"{safe_url(url)} did not return a file listing: {error}"
            raise SourceUnavailableError(what, hint="check HF_ENDPOINT") from None
    what = f"{safe_url(url)}: more than {_MAX_REDIRECTS} redirects"
    raise SourceUnavailableError(what, hint="check HF_ENDPOINT")


def filter_files(patterns: str | None, files: tuple[RemoteFile, ...]) -> list[RemoteFile]:
    """Return the files that match, as for ``allow_patterns`` of huggingface_hub; all if there is no pattern.

    Git's own settings files are left out.
    """
    plain = [file for file in files if file.path.rpartition("/")[2] not in {".gitattributes", ".gitignore"}]
    return list(
        _library().utils.filter_repo_objects(plain, allow_patterns=patterns, key=lambda file: file.path)
    )


def _ask(request: Callable[[], T], settings: Settings, repo: str, revision: str, file: str | None) -> T:
    """Send a request, retry if that can help, and explain a failure."""
    if settings.offline or is_offline():
        raise _offline(repo, revision, file)
    for attempt in range(1, max(1, settings.attempts) + 1):
        try:
            return within(_MAX_SECONDS, request)
        except DownloadError:
            raise
        except Exception as error:
            wait = _wait(error, attempt)
            if wait is None or attempt >= settings.attempts:
                raise _explain(error, repo, revision, file) from error
            _log.info("%s: %s, retrying in %.1f s", _name(repo, revision, file), type(error).__name__, wait)
            time.sleep(wait)
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _wait(error: Exception, attempt: int) -> float | None:
    """Return the seconds to wait before a retry, or None if a retry is pointless."""
    errors = _library().errors
    final = (errors.OfflineModeIsEnabled, errors.EntryNotFoundError, ValueError, TimeoutError)
    if isinstance(error, final):
        return None
    status = _status(error)
    if status is not None and status not in _TRANSIENT:
        return None
    retry_after = str(error.response.headers.get("Retry-After", "")) if status else ""  # type: ignore[attr-defined]
    wait = float(retry_after) if re.fullmatch("[0-9]{1,9}", retry_after) else 0.25 * 2.0**attempt
    return wait if wait <= _LONGEST_WAIT else None


def _offline(repo: str, revision: str, file: str | None) -> OfflineError:
    what = f"cannot query the Hugging Face Hub for {_name(repo, revision, file)}: this run is offline"
    return OfflineError(what, hint="run once without --offline, MODEL_ZOO_OFFLINE and HF_HUB_OFFLINE")


def _name(repo: str, revision: str, file: str | None) -> str:
    return f"hf:{repo}@{revision}" + (f"/{file}" if file else "")


def _explain(error: Exception, repo: str, revision: str, file: str | None) -> DownloadError:
    """Return our error for one of huggingface_hub's, with what to do about it."""
    errors = _library().errors
    name, hub = _name(repo, revision, file), safe_url(endpoint())
    if isinstance(error, errors.OfflineModeIsEnabled):
        return _offline(repo, revision, file)
    if isinstance(error, errors.GatedRepoError):
        what = f"{name}: the repository is gated; you must accept its conditions first"
        hint = f"accept them at {hub}/{repo}, then set HF_TOKEN to a token of that account"
    elif isinstance(error, errors.RepositoryNotFoundError):
        what = f"{name}: {hub} has no repository {repo}, or this account may not see it"
        hint = "check the name; for a private repository set HF_TOKEN"
    elif isinstance(error, errors.RevisionNotFoundError):
        what = f"{name}: {repo} has no revision {revision}"
        hint = f"see {hub}/{repo}/tree/main for branches, tags and commits"
    elif isinstance(error, errors.EntryNotFoundError):
        what = f"{name}: no {file} at this revision"
        hint = f"see {hub}/{repo}/tree/{revision} for its files"
    elif isinstance(error, errors.DisabledRepoError):
        what = f"{name}: the Hub has disabled access to this repository"
        hint = f"see {hub}/{repo}"
    elif _status(error) is not None:
        what = f"{name}: {hub} answered {_status(error)}"
        refused = _status(error) in {401, 403}
        hint = "check that HF_TOKEN is valid and grants access" if refused else "try again later"
    else:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        what = f"{name}: cannot reach {hub}: {reason}"
        hint = "check the network, the proxy (HTTPS_PROXY) and HF_ENDPOINT"
    missing = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError)
    is_missing = isinstance(error, missing) and not isinstance(error, errors.GatedRepoError)
    return (SourceMissingError if is_missing else SourceUnavailableError)(what, hint=hint)
