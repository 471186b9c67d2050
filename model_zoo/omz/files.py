"""The events of parallel transfers, reported one file after the other, as the old events promise."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_zoo.export.views import copy_out
from model_zoo.omz.selection import subdirectory

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.cache import Cache
    from model_zoo.errors import ModelZooError
    from model_zoo.events import Event
    from model_zoo.omz.output import Output
    from model_zoo.schema import Artifact, Model


@dataclass
class _State:
    """The progress of one file."""

    artifact: Artifact
    began: float | None = None
    bytes: int = 0
    reported_bytes: int = 0
    done: bool = False
    reported: bool = False


class FileEvents:
    """Receives the events of one model's transfers, and reports those of one file after the other.

    A file is copied below ``output``, the directory that the user named, before its end is reported, unless
    it still has to be unpacked or edited.
    """

    def __init__(self, model: Model, output: Path, cache: Cache, out: Output) -> None:
        self._model = model
        self._output, self._below = output, subdirectory(model)
        self._cache = cache
        self._out = out
        self._states = {artifact.path: _State(artifact) for artifact in model.artifacts}
        self._order = list(self._states.values())
        self._edited = {edit.file for edit in model.replace}
        self.copied: set[str] = set()
        self._advance_to_cached()

    def __call__(self, event: Event) -> None:
        """Record an event of the download engine, and report what can be reported now."""
        state = self._states.get(event.file or "")
        if state is None or state.done:
            return
        if event.event == "adopted":
            state.done = True
        elif event.event in {"download_begin", "download_progress", "download_end"}:
            state.began = time.monotonic() if state.began is None else state.began
            state.bytes = max(state.bytes, event.bytes or 0)
            state.done = event.event == "download_end"
        self._advance()

    def finish(self, error: ModelZooError | None) -> bool:
        """Report the rest, up to the first file that is missing, and return whether every file is there."""
        if error is None:
            for state in self._order:
                state.done = True
            self._advance()
            return True
        self._advance_to_cached()
        missing = self._order[0] if self._order else None  # None: every file arrived, assembling them failed
        if missing is not None:
            self._report_begin(missing, cached=False)
        self._out.error(str(error))
        if missing is not None:
            self._out.line()
            self._event(missing, "end", successful=False)
        return False

    def _advance_to_cached(self) -> None:
        for state in self._order:
            state.done = state.done or self._cache.find_blob(state.artifact) is not None
        self._advance()

    def _advance(self) -> None:
        """Report the file whose turn it is, and every finished one after it."""
        while self._order:
            state = self._order[0]
            if not state.done and state.began is None:
                return
            self._report_begin(state, cached=state.began is None)
            if state.bytes > state.reported_bytes:
                self._report_progress(state)
            if not state.done:
                return
            if state.began is not None:
                self._out.end_progress()
            self._copy(state)
            self._out.line()
            self._event(state, "end", successful=True)
            self._order.pop(0)

    def _report_begin(self, state: _State, *, cached: bool) -> None:
        if state.reported:
            return
        state.reported = True
        self._event(state, "begin", size=state.artifact.size)
        where = self._output / self._below / state.artifact.path
        self._out.section(f"Retrieving {where} from the cache" if cached else f"Downloading {where}")

    def _report_progress(self, state: _State) -> None:
        state.reported_bytes = state.bytes
        seconds = time.monotonic() - (state.began or 0.0)
        speed = int(state.bytes / 1024 / seconds) if seconds else "?"
        size = state.artifact.size or state.bytes
        percent = state.bytes * 100 // size
        text = f"... {percent}%, {state.bytes // 1024} KB, {speed} KB/s, {int(seconds)} seconds passed"
        self._out.progress(text)
        self._event(state, "progress", size=state.bytes)

    def _copy(self, state: _State) -> None:
        artifact = state.artifact
        blob = self._cache.find_blob(artifact)
        if blob is not None and artifact.unpack is None and artifact.path not in self._edited:
            copy_out({artifact.path: blob}, self._output, self._below)
            self.copied.add(artifact.path)

    def _event(self, state: _State, what: str, **fields: object) -> None:
        path = state.artifact.path
        self._out.event(f"model_file_download_{what}", model=self._model.name, model_file=path, **fields)
