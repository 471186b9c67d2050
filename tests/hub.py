"""A Hugging Face Hub on loopback that satisfies the real clients (huggingface_hub 1 and 2).

>>> with Hub() as hub:
...     commit = hub.commit("org/net", {"model.onnx": b"…"}, lfs={"model.onnx"})
...     hub.branch("org/net", "main", commit)
...     # HF_ENDPOINT=hub.url("")

What it answers, and with which headers, is what the hub's own clients read: X-Repo-Commit, ETag,
X-Linked-Etag and X-Linked-Size for files in LFS, X-Error-Code for what is not there. Files in LFS are
redirected to another host name of the same machine, as the hub does to its CDN.
"""

from __future__ import annotations

import hashlib
import json
import re
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.server import Answer, Seen, Server, _File, status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def blob_id(content: bytes) -> str:
    """Return git's name for a file's content."""
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


class _Routes(dict):  # type: ignore[type-arg]
    """Files by path, the hub's own among them."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.hub = hub

    def get(self, path: str, default: Any = None) -> Any:
        """Return what is served at a path."""
        return super().get(path) or self.hub.route(path) or default


class Hub(Server):
    """The hub; a context manager.

    Attributes:
        errors: by repository, the X-Error-Code that every request for it is answered with.
        lies: by path in the repository, the bytes that are sent instead of the right ones.
        busy: how many requests are answered 429 first.
        sizes: whether model_info tells sizes and digests; older hubs leave that to the tree.
    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: dict[str, str] = {}
        self.lies: dict[str, bytes] = {}
        self.busy = 0
        self.sizes = True
        self.card: dict[str, Any] = {}
        self._commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self._branches: dict[tuple[str, str], list[str]] = {}
        self._lfs: set[str] = set()
        self._files = _Routes(self)

    def commit(self, repo: str, files: Mapping[str, bytes], lfs: Iterable[str] = ()) -> str:
        """Add a commit and return its 40 digits; ``lfs`` names the files that are in LFS."""
        text = json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())})
        sha = hashlib.sha1(f"{repo}{text}".encode()).hexdigest()
        self._commits.setdefault(repo, {})[sha] = dict(files)
        self._lfs |= {f"{repo}/{name}" for name in lfs}
        return sha

    def branch(self, repo: str, name: str, *commits: str) -> None:
        """Let a branch mean a commit; the n-th request about it gets the n-th, the last one repeats."""
        self._branches[repo, name] = list(commits)

    def asked(self, text: str) -> list[Seen]:
        """Return the requests whose path contains a text."""
        return [seen for seen in self.seen() if text in seen.path]

    # -- routes -----------------------------------------------------------------------------------

    def route(self, path: str) -> _File | None:
        """Return what the hub answers at a path."""
        plain = unquote(path.partition("?")[0])
        match = re.fullmatch(
            r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree)/(?P<rev>.+))?", plain
        )
        if match:
            return self._api(match["repo"], match["what"] or "revision", match["rev"] or "main")
        match = re.fullmatch(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>refs/pr/\d+|[^/]+)/(?P<file>.+)", plain)
        if match:
            return self._resolve(match["repo"], match["rev"], match["file"])
        match = re.fullmatch(r"/cdn/(?P<repo>[^/]+/[^/]+)/(?P<sha>[0-9a-f]{40})/(?P<file>.+)", plain)
        if match:
            content = self._commits[match["repo"]][match["sha"]][match["file"]]
            return _made(self.lies.get(match["file"], content), Answer())
        return None

    def _refusal(self, repo: str) -> _File | None:
        count = len([seen for seen in self.log if seen.path.startswith(("/api/", f"/{repo}/resolve"))])
        if count <= self.busy:
            return _made(b"", status(429, retry_after="0"))
        if repo in self.errors:
            code = {"GatedRepo": 403, "RepoNotFound": 401}.get(self.errors[repo], 404)
            return _made(b"", _failure(self.errors[repo], code))
        return None if repo in self._commits else _made(b"", _failure("RepoNotFound", 401))

    def _sha(self, repo: str, revision: str) -> str | None:
        if revision in self._commits.get(repo, {}):
            return revision
        commits = self._branches.get((repo, revision))
        if not commits:
            return None
        about = [
            seen for seen in self.log if f"/resolve/{revision}/" in seen.path or "/api/models/" in seen.path
        ]
        return commits[min(max(len(about), 1), len(commits)) - 1]

    def _api(self, repo: str, what: str, revision: str) -> _File:
        refusal = self._refusal(repo)
        if refusal:
            return refusal
        sha = self._sha(repo, revision)
        if sha is None:
            return _made(b"", _failure("RevisionNotFound", 404))
        files = self._commits[repo][sha]
        if what == "tree":
            found: Any = [{"type": "file", "path": name, **self._facts(repo, name, files)} for name in files]
            for one in found:
                one["oid"] = one.pop("blobId")
        else:
            siblings = [
                {"rfilename": name, **(self._facts(repo, name, files) if self.sizes else {})}
                for name in files
            ]
            found = {"id": repo, "sha": sha, "siblings": siblings, **self.card}
        return _made(
            b"", Answer(body=json.dumps(found).encode(), headers={"Content-Type": "application/json"})
        )

    def _facts(self, repo: str, name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
        data = files[name]
        facts: dict[str, Any] = {"size": len(data), "blobId": blob_id(data)}
        if f"{repo}/{name}" in self._lfs:
            digest = hashlib.sha256(data).hexdigest()
            facts["blobId"] = blob_id(b"pointer " + digest.encode())
            facts["lfs"] = {"size": len(data), "sha256": digest, "oid": digest, "pointerSize": 130}
        return facts

    def _resolve(self, repo: str, revision: str, file: str) -> _File:
        refusal = self._refusal(repo)
        if refusal:
            return refusal
        sha = self._sha(repo, revision)
        if sha is None:
            return _made(b"", _failure("RevisionNotFound", 404))
        content = self._commits[repo][sha].get(file)
        if content is None:
            return _made(b"", _failure("EntryNotFound", 404, sha))
        headers = {"X-Repo-Commit": sha}
        if f"{repo}/{file}" not in self._lfs:
            headers["ETag"] = f'"{blob_id(content)}"'
            return _made(self.lies.get(file, content), Answer(headers=headers))
        headers |= {
            "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Linked-Size": str(len(content)),
            "Location": self.url(f"/cdn/{repo}/{sha}/{file}", host="localhost"),
        }
        return _made(b"", Answer(status=302, body=b"", headers=headers))


def _made(content: bytes, answer: Answer) -> _File:
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return _File(content, etag, [answer], formatdate(0, usegmt=True))


def _failure(code: str, number: int, commit: str | None = None) -> Answer:
    headers = {"X-Error-Code": code, "X-Error-Message": code, **({"X-Repo-Commit": commit} if commit else {})}
    return Answer(status=number, body=b"{}", headers=headers)
