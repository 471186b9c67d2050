"""What the commands print: headings and lines for people, or JSON events, on stdout; errors on stderr.

With parallel jobs the text of each job is printed in one piece and in order; events are printed at once.
"""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
from typing import TYPE_CHECKING, TextIO, TypeVar

from model_zoo.omz.arguments import FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from model_zoo.omz.selection import Entry
    from model_zoo.schema import Model

T = TypeVar("T")
R = TypeVar("R")
_TICK = 0.2
_events = threading.Lock()
Piece = tuple[TextIO, str] | None


class Output:
    """Prints in one of the two formats; ``pieces`` collects the text instead, to be printed elsewhere."""

    def __init__(self, *, as_json: bool = False, pieces: queue.SimpleQueue[Piece] | None = None) -> None:
        self.as_json = as_json
        self._pieces = pieces

    def _print(self, text: str, stream: TextIO, end: str = "\n") -> None:
        if self._pieces is not None:
            self._pieces.put((stream, text + end))
        else:
            stream.write(text + end)
            stream.flush()

    def line(self, text: str = "") -> None:
        """Print a line for people."""
        if not self.as_json:
            self._print(text, sys.stdout)

    def group(self, text: str) -> None:
        """Print the heading of a model, and a blank line."""
        bar = "#" * 16
        self.line(f"{bar}|| {text} ||{bar}\n")

    def section(self, text: str) -> None:
        """Print the heading of a file or a step."""
        self.line(f"{'=' * 10} {text}")

    def progress(self, text: str) -> None:
        """Print a line that the next one replaces on a terminal."""
        if not self.as_json:
            self._print(text, sys.stdout, "\r" if sys.stdout.isatty() else "\n")

    def end_progress(self) -> None:
        """End the line that was being replaced."""
        if not self.as_json and sys.stdout.isatty():
            self._print("", sys.stdout)

    def error(self, text: str) -> None:
        """Print an error; the lines after the first are its details."""
        first, *details = text.splitlines()
        lines = [f"{'#' * 10} Error: {first}", *(f"{'#' * 10}      {line.strip()}" for line in details)]
        self._print("\n".join(lines), sys.stderr)

    def warning(self, text: str) -> None:
        """Print a warning."""
        self._print(f"{'#' * 10} Warning: {text}", sys.stderr)

    def event(self, kind: str, **fields: object) -> None:
        """Print one JSON event on a line of its own."""
        if self.as_json:
            text = json.dumps({"$type": kind, **fields})
            with _events:
                sys.stdout.write(text + "\n")
                sys.stdout.flush()


def process(entries: Sequence[Entry], work: Callable[[Model, Output], bool], jobs: int, out: Output) -> int:
    """Work on every part of every entry, list the entries that failed, and return the exit code.

    ``work`` returns whether it succeeded.
    """

    def process_parts(entry: Entry, to: Output) -> bool:
        results = [work(model, to) for model in entry.parts]  # all of them, before the first failure counts
        return all(results)

    done = in_parallel(jobs, process_parts, entries, out)
    failed = [entry.model.name for entry, good in zip(entries, done, strict=True) if not good]
    if failed:
        out.line("\n".join(["FAILED:", *failed]))
    return FAILED if failed else 0


def in_parallel(jobs: int, work: Callable[[T, Output], R], items: Sequence[T], out: Output) -> list[R]:
    """Work on several items at once, print the output of each in their order, and return the results.

    The first error in that order is raised again. The threads are daemons: an interrupted process just ends.
    """
    if jobs == 1 or len(items) <= 1:
        return [work(item, out) for item in items]
    todo: queue.SimpleQueue[tuple[int, T]] = queue.SimpleQueue()
    printed: list[queue.SimpleQueue[Piece]] = [queue.SimpleQueue() for _ in items]
    results: dict[int, R] = {}
    errors: dict[int, BaseException] = {}

    def run() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                index, item = todo.get_nowait()
                try:
                    results[index] = work(item, Output(as_json=out.as_json, pieces=printed[index]))
                except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
                    errors[index] = error
                printed[index].put(None)

    for pair in enumerate(items):
        todo.put(pair)
    for _ in range(min(jobs, len(items))):
        threading.Thread(target=run, daemon=True).start()
    for index, pieces in enumerate(printed):
        for stream, text in _pieces(pieces):
            stream.write(text)
            stream.flush()
        if index in errors:
            raise errors[index]
    return [results[index] for index in range(len(items))]


def _pieces(pieces: queue.SimpleQueue[Piece]) -> Iterator[tuple[TextIO, str]]:
    """Yield what is printed until the end; a wait without limit would not notice Ctrl-C on Windows."""
    while True:
        try:
            piece = pieces.get(timeout=_TICK)
        except queue.Empty:
            continue
        if piece is None:
            return
        yield piece
