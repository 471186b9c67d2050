"""Asking the addresses of a catalog whether what its entries say is still there; nothing is transferred."""

from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from model_zoo.errors import DownloadError, IntegrityError, SourceMissingError
from model_zoo.sources import LocatedSource
from model_zoo.sources.base import HttpLocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from model_zoo.download.ask import Stated
    from model_zoo.download.http import Client
    from model_zoo.schema import Artifact, Model
    from model_zoo.settings import Settings

AT_ONCE = 4
"""Requests to one host at a time."""
HOSTS = 16
"""Hosts asked at a time."""
_PAGES = (".html", ".htm")

Status = Literal["ok", "moved", "missing", "changed", "unreachable"]


@dataclass(frozen=True)
class Answer:
    """What became of one source of one artifact.

    Attributes:
        expected: what the entry says, where something else was found.
        found: what the server says.
    """

    model: str
    path: str
    source: str
    status: Status
    expected: str | None = None
    found: str | None = None


@dataclass(frozen=True)
class _Question:
    model: Model
    artifact: Artifact
    source: LocatedSource
    location: HttpLocation | None = None

    def answer(self, status: Status, expected: object = None, found: object = None) -> Answer:
        texts = [None if value is None else str(value) for value in (expected, found)]
        return Answer(self.model.name, self.artifact.path, self.source.describe(), status, *texts)


def ask_addresses(models: Iterable[Model], settings: Settings) -> tuple[list[Answer], Counter[str]]:
    """Ask about every source that has an address, a few at a time of each host, and all hosts at once.

    Returns:
        The answers, in the order of the models; and how many sources of each kind have no address to ask.
    """
    from model_zoo.download.http import Client  # brings requests along

    questions, unasked = _questions(models, settings)
    answers: dict[int, Answer] = {}
    hosts: dict[str, deque[tuple[int, _Question]]] = {}
    for index, question in enumerate(questions):
        host = urlsplit(question.location.url).netloc if question.location else question.source.kind
        hosts.setdefault(host, deque()).append((index, question))
    stop = threading.Event()
    client = Client(settings, stop)
    try:
        with ThreadPoolExecutor(HOSTS * AT_ONCE) as pool:
            work = [
                pool.submit(_work, client, settings, waiting, answers)
                for waiting in hosts.values()
                for _ in range(1 if _is_listed(waiting) else min(AT_ONCE, len(waiting)))
            ]
            for done in work:
                done.result()
    except BaseException:
        stop.set()
        raise
    finally:
        client.close()
    return [answers[index] for index in range(len(questions))], unasked


def _is_listed(waiting: deque[tuple[int, _Question]]) -> bool:
    """Whether the answers are listings that several questions share; these are asked one after the other."""
    return waiting[0][1].source.listed


def _questions(models: Iterable[Model], settings: Settings) -> tuple[list[_Question], Counter[str]]:
    questions: list[_Question] = []
    unasked: Counter[str] = Counter()
    for model in models:
        for artifact in model.artifacts:
            for source in artifact.sources:
                assert isinstance(source, LocatedSource)  # noqa: S101 - read from a catalog
                if source.bundled or not source.online:
                    unasked[source.kind] += 1
                elif source.floating or source.listed:
                    questions.append(_Question(model, artifact, source))
                else:
                    try:
                        location = source.locate(artifact, settings)
                    except DownloadError:  # a table of its own does not have it: told when it is asked
                        questions.append(_Question(model, artifact, source))
                        continue
                    if isinstance(location, HttpLocation) and location.onward is None:
                        questions.append(_Question(model, artifact, source, location))
                    else:
                        unasked[source.kind] += 1
    return questions, unasked


def _work(
    client: Client, settings: Settings, waiting: deque[tuple[int, _Question]], answers: dict[int, Answer]
) -> None:
    """Ask what waits for one host until nothing does; the same address is asked once."""
    from model_zoo.download.failures import AttemptError

    seen: dict[object, Any] = {}
    while waiting:
        try:
            index, question = waiting.popleft()
        except IndexError:
            return
        try:
            answers[index] = _ask(client, settings, question, seen)
        except SourceMissingError as error:
            answers[index] = question.answer("missing", found=error.what)
        except (DownloadError, IntegrityError) as error:
            answers[index] = question.answer("unreachable", found=error.what)
        except AttemptError as error:
            answers[index] = question.answer("unreachable", found=error)


def _ask(client: Client, settings: Settings, question: _Question, seen: dict[object, Any]) -> Answer:
    from model_zoo.download.ask import Stated, ask

    artifact, source, location = question.artifact, question.source, question.location
    if source.floating:
        source.resolve(artifact, settings, seen)
        return question.answer("ok")
    if location is None:
        found = source.look(artifact, settings, seen)
        assert isinstance(found, HttpLocation)  # noqa: S101 - the listed kinds are on servers
        digests: dict[str, str] = {found.digest.algorithm: found.digest.hex} if found.digest else {}
        return _compared(question, Stated(200, found.size, digests))
    key = (location.url, tuple(sorted(location.headers.items())))
    if key not in seen:
        seen[key] = ask(client, location, settings.attempts)
    return _compared(question, seen[key])


def _compared(question: _Question, stated: Stated) -> Answer:
    artifact = question.artifact
    if stated.status in {404, 410}:
        return question.answer("missing", found=f"the server answered {stated.status}")
    if not 200 <= stated.status < 300:  # noqa: PLR2004 - success
        return question.answer("unreachable", found=f"the server answered {stated.status}")
    if stated.html and not artifact.path.endswith(_PAGES) and stated.size != artifact.size:
        return question.answer("changed", "a file", "a web page")
    if None not in {artifact.size, stated.size} and stated.size != artifact.size:
        return question.answer("changed", f"{artifact.size} bytes", f"{stated.size} bytes")
    for digest in artifact.digests:
        other = stated.digests.get(digest.algorithm)
        if other not in {None, digest.hex}:
            return question.answer(
                "changed", f"{digest.algorithm} {digest.hex}", f"{digest.algorithm} {other}"
            )
    if stated.moved_to:
        return question.answer("moved", found=stated.moved_to)
    return question.answer("ok")


def wrong(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers that an entry should be corrected for, or that did not come."""
    return [answer for answer in answers if answer.status != "ok"]
