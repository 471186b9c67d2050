"""Progress displays made from events: bars on a terminal, a line per model elsewhere, or JSON objects."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import msgspec

from model_zoo.text import human_size

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from model_zoo.events import Event

_SHORTEST_WAIT = 2.0
"""Seconds; shorter waits before another attempt are not shown."""


class ProgressReport(Protocol):
    """A callable for events that is closed at the end."""

    def __call__(self, event: Event) -> None:
        """Show one event; called from any thread."""

    def write(self, text: str) -> None:
        """Write a line that is no event, such as one of the log, above whatever is displayed."""

    def close(self) -> None:
        """Remove what is displayed, so that the next output starts on a line of its own."""


def make_report(mode: str, stream: TextIO) -> ProgressReport:
    """Return the report for ``--progress``.

    Args:
        mode: ``auto`` (bars on a terminal, otherwise lines), ``bar``, ``json`` or ``none``.
        stream: where it is written, usually stderr.
    """
    if mode == "json":
        return JsonReport(stream)
    if mode == "none":
        return NoReport(stream)
    if mode == "bar" or stream.isatty():
        return BarReport(stream)
    return LineReport(stream)


class NoReport:
    """Shows no event."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Ignore the event."""

    def write(self, text: str) -> None:
        """Write a line."""
        with self._lock:
            self._write(text)

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: every line was written whole."""


class JsonReport(NoReport):
    """Writes each event as one JSON object on a line of its own; fields that are not set are left out."""

    def __call__(self, event: Event) -> None:
        """Write the event."""
        self.write(msgspec.json.encode(event).decode())


class LineReport(NoReport):
    """Writes one line per model and stage when it is done, and whatever people should know meanwhile."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._began: dict[tuple[str, str | None], float] = {}

    def __call__(self, event: Event) -> None:
        """Write a line, if the event deserves one."""
        with self._lock:
            if line := self._line(event):
                self._write(line)

    def _line(self, event: Event) -> str:
        stage, _, moment = event.event.partition("_")
        if event.event == "environment_begin":
            size = f", about {human_size(event.total)}" if event.total else ""
            return f"{event.model}: building the converter environment {event.file}{size}"
        if moment == "begin":
            self._began[stage, event.model] = time.monotonic()
            return ""
        if event.event in {"fetch_end", "environment_end"}:
            done = "fetched" if event.event == "fetch_end" else f"built {event.file}"
            size = f" {human_size(event.bytes)}" if event.bytes is not None else ""
            return f"{event.model}: {done}{size}{self._seconds(event)}"
        if event.event == "convert_end":
            note = f" {event.message}" if event.message else ""
            return f"{event.model}: converted{note}{self._seconds(event)}"
        return notice(event)

    def _seconds(self, event: Event) -> str:
        began = self._began.get((event.event.partition("_")[0], event.model))
        seconds = event.seconds
        if seconds is None and began is not None:
            seconds = time.monotonic() - began
        return "" if seconds is None else f" in {seconds:.1f} s"


def notice(event: Event) -> str:
    """Return what people should know at once: waits, long pauses, failed sources, adopted files."""
    name = ": ".join(filter(None, (event.model, event.file)))
    if event.event in {"wait", "source_failed", "adopted", "note"}:
        prefix = {"source_failed": "source failed: ", "adopted": "adopted "}.get(event.event, "")
        return ": ".join(filter(None, (name, f"{prefix}{event.message or ''}".rstrip())))
    if event.event == "retry" and (event.seconds or 0) >= _SHORTEST_WAIT:
        return f"{name}: {event.message}; retrying in {event.seconds:.0f} s"
    return ""


class BarReport(NoReport):
    """Draws a bar per file in transfer and one for all of them, with rate and time left."""

    def __init__(self, stream: TextIO) -> None:
        from tqdm.auto import tqdm  # only where bars are drawn

        super().__init__(stream)
        self._tqdm: Any = tqdm
        self._files: dict[tuple[str | None, str | None], Any] = {}
        self._sizes: dict[tuple[str | None, str | None], int] = {}
        self._announced: dict[str | None, int] = {}
        self._total: Any = None
        self._converting: dict[str | None, Any] = {}
        self._lines = LineReport(stream)

    def __call__(self, event: Event) -> None:
        """Draw, or write a line above the bars."""
        with self._lock:
            draw = getattr(self, f"_on_{event.event}", None)
            if draw is not None:
                draw(event)
            elif text := notice(event):
                self._write(text)

    def _write(self, text: str) -> None:
        with self._above_bars():
            super()._write(text)

    def _above_bars(self) -> AbstractContextManager[None]:
        """Clear the bars while the block writes, and draw them again below it."""
        cleared: AbstractContextManager[None] = self._tqdm.external_write_mode(file=self._stream)
        return cleared

    def _write_line(self, event: Event) -> None:
        with self._above_bars():
            self._lines(event)

    def _bar(self, name: str, total: int | None, initial: int = 0) -> Any:  # noqa: ANN401 - tqdm's own type
        return self._tqdm(
            desc=name,
            total=total,
            initial=initial,
            unit="B",
            unit_scale=True,
            file=self._stream,
            leave=False,
            dynamic_ncols=True,
            mininterval=0.1,
        )

    # -- fetching ---------------------------------------------------------------------------------

    def _on_fetch_begin(self, event: Event) -> None:
        self._lines(event)
        if event.total is not None:
            self._announced[event.model] = event.total
        self._ensure_total()

    def _ensure_total(self) -> None:
        if self._total is None:
            self._total = self._bar("total", None)
        self._total.total = max(sum(self._announced.values()), sum(self._sizes.values())) or None

    def _on_download_begin(self, event: Event) -> None:
        key = (event.model, event.file)
        if key not in self._files:
            self._ensure_total()
            name = f"{event.model}: {event.file}" if event.model else str(event.file)
            self._files[key] = self._bar(name, event.total)

    def _on_download_progress(self, event: Event) -> None:
        self._on_download_begin(event)
        key = (event.model, event.file)
        bar, count = self._files[key], event.bytes or 0
        if event.total is not None and bar.total != event.total:
            bar.total = event.total
        step = max(0, count - self._sizes.get(key, 0))
        self._sizes[key] = self._sizes.get(key, 0) + step
        bar.update(step)
        self._ensure_total()
        self._total.update(step)

    def _on_download_end(self, event: Event) -> None:
        self._on_download_progress(event)
        self._files.pop((event.model, event.file)).close()

    def _on_fetch_end(self, event: Event) -> None:
        self._write_line(event)

    # -- environments -----------------------------------------------------------------------------

    def _on_environment_begin(self, event: Event) -> None:
        self._write_line(event)
        self._files[event.model, event.file] = self._bar(f"{event.file}", event.total)

    def _on_environment_progress(self, event: Event) -> None:
        bar = self._files.get((event.model, event.file))
        if bar is not None:
            bar.update(max(0, (event.bytes or 0) - bar.n))
            bar.set_postfix_str(event.message or "")

    def _on_environment_end(self, event: Event) -> None:
        self._end(self._files.pop((event.model, event.file), None), event)

    # -- converting -------------------------------------------------------------------------------

    def _on_convert_begin(self, event: Event) -> None:
        self._lines(event)
        if event.model not in self._converting:
            self._converting[event.model] = self._tqdm(
                desc=f"{event.model}: converting",
                total=0,
                bar_format="{desc} [{elapsed}]{postfix}",
                file=self._stream,
                leave=False,
                dynamic_ncols=True,
            )

    def _on_convert_stage(self, event: Event) -> None:
        bar = self._converting.get(event.model)
        if bar is not None:
            bar.set_postfix_str(event.message or "")

    def _on_convert_end(self, event: Event) -> None:
        self._end(self._converting.pop(event.model, None), event)

    def _end(self, bar: Any, event: Event) -> None:  # noqa: ANN401 - tqdm's own type
        if bar is not None:
            bar.close()
        self._write_line(event)

    def close(self) -> None:
        """Remove every bar."""
        with self._lock:
            bars = [*self._files.values(), *self._converting.values()]
            for bar in [*bars, *([self._total] if self._total is not None else [])]:
                bar.close()
            self._files.clear()
            self._converting.clear()
            self._total = None
