"""One hierarchy of errors, one exit code per class.

Every message answers four questions, in this order: what failed, what was expected and found, what is
left on disk, and what to do next. The first is the positional argument, the others are keywords.
"""

from __future__ import annotations

from typing import ClassVar


class ModelZooError(Exception):
    """Base of everything this package raises on purpose.

    Args:
        what: what failed, in one sentence without a final full stop.
        expected: what was expected, when there is something to compare.
        found: what was found instead.
        left: what is left on disk: kept partials, untouched published files.
        hint: what the person can do next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        found: object = None,
        left: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.found = found
        self.left = left
        self.hint = hint

    def __str__(self) -> str:
        """Return the whole message, one question a line."""
        lines = [self.what]
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.found is not None:
            lines.append(f"  found:    {self.found}")
        if self.left:
            lines.append(f"  on disk:  {self.left}")
        if self.hint:
            lines.append(f"  next:     {self.hint}")
        return "\n".join(lines)


class UsageError(ModelZooError):
    """The request itself makes no sense: wrong arguments, unknown model or precision."""

    exit_code = 2


class UnknownModelError(UsageError):
    """No catalog has a model of that name."""


class UnknownPrecisionError(UsageError):
    """The model does not come in that precision."""


class CatalogError(ModelZooError):
    """A catalog file is wrong; the message starts with file, line and field."""

    exit_code = 3


class DownloadError(ModelZooError):
    """An artifact could not be obtained from any of its sources."""

    exit_code = 4


class SourceUnavailableError(DownloadError):
    """A source answered that it does not have the file, or could not be reached at all."""


class TransferInterruptedError(DownloadError):
    """A transfer broke off and its attempts are used up; the partial is kept."""


class OfflineError(DownloadError):
    """The network would be needed, and the run is offline."""


class IntegrityError(ModelZooError):
    """Bytes arrived that are not what the catalog declares; nothing was published."""

    exit_code = 5


class DigestMismatchError(IntegrityError):
    """The digest of the bytes differs from the declared one."""


class SizeMismatchError(IntegrityError):
    """The number of bytes differs from the declared one."""


class CacheError(ModelZooError):
    """The cache cannot be used: absent, read-only, full, locked or damaged."""

    exit_code = 6


class CacheMissError(CacheError):
    """Something was looked for in the cache and is not there."""


class CacheReadOnlyError(CacheError):
    """The writable layer cannot be written."""


class CacheFullError(CacheError):
    """The file system or the quota is full."""


class LockTimeoutError(CacheError):
    """Another process held a lock for longer than we were willing to wait."""


class CacheDamagedError(CacheError):
    """Published content is not what its manifest says."""


class ConversionError(ModelZooError):
    """The model could not be converted; nothing was published."""

    exit_code = 7


class MissingExtraError(ConversionError):
    """The conversion needs a package that is not installed."""


class UnsupportedModelError(ConversionError):
    """OpenVINO cannot convert this model, or the catalog says that it cannot be converted."""


class WorkerCrashedError(ConversionError):
    """The conversion process died without an answer."""


class LoadError(ModelZooError):
    """A converted model could not be read, compiled or run."""

    exit_code = 8


class DeviceUnavailableError(LoadError):
    """The device asked for is not on this machine."""


class CompileError(LoadError):
    """The device's plug-in refused the model."""
