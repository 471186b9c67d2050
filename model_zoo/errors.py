"""One hierarchy of errors, one exit code per class.

Every message answers four questions, in this order: what failed, what was expected and found, what is left on
disk, and what to do next. The first is the positional argument, the others are keywords.
"""

from __future__ import annotations

from typing import ClassVar

from model_zoo.text import redact


class ModelZooError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        what: what failed, in one sentence without a full stop.
        expected: what was expected, if there is something to compare.
        found: what was found instead.
        left: what is left on disk: kept partials, untouched published files.
        hint: what to do next.

    Passwords, tokens and signatures of addresses in any of them are taken out.
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
        self.what = redact(what)
        super().__init__(self.what)
        self.expected = redact(expected) if isinstance(expected, str) else expected
        self.found = redact(found) if isinstance(found, str) else found
        self.left = left and redact(left)
        self.hint = hint and redact(hint)

    def __str__(self) -> str:
        """Return the whole message, one line per question."""
        lines = [self.what]
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.found is not None:
            lines.append(f"  found:    {self.found}")
        if self.left:
            lines.append(f"  on disk:  {self.left}")
        if self.hint:
            lines.append(f"  next:     {self.hint}")
        return redact("\n".join(lines))


class UsageError(ModelZooError):
    """The request itself is invalid: wrong arguments, unknown model or precision."""

    exit_code = 2


class PolicyError(UsageError):
    """The policy of the settings refuses the model."""


class UnknownModelError(UsageError):
    """No catalog has a model of that name."""


class UnknownPrecisionError(UsageError):
    """The model does not exist in that precision."""


class CatalogError(ModelZooError):
    """A catalog file is invalid; the message starts with file, line and field."""

    exit_code = 3


class DownloadError(ModelZooError):
    """A file could not be downloaded from any of its sources."""

    exit_code = 4


class SourceUnavailableError(DownloadError):
    """A source does not have the file, or could not be reached."""


class SourceMissingError(SourceUnavailableError):
    """A source was reached, and does not have the file."""


class TransferInterruptedError(DownloadError):
    """A download was interrupted too often; the partial file is kept."""


class OfflineError(DownloadError):
    """The network is needed, but the run is offline."""


class IntegrityError(ModelZooError):
    """The received data is not what the catalog declares; nothing was published."""

    exit_code = 5


class DigestMismatchError(IntegrityError):
    """The digest of the data differs from the declared one."""


class SizeMismatchError(IntegrityError):
    """The size of the data differs from the declared one."""


class CacheError(ModelZooError):
    """The cache cannot be used: absent, read-only, full, locked or damaged."""

    exit_code = 6


class CacheMissError(CacheError):
    """Something is not in the cache."""


class CacheReadOnlyError(CacheError):
    """The writable layer cannot be written to."""


class CacheFullError(CacheError):
    """The disk or the quota is full."""


class LockTimeoutError(CacheError):
    """Another process held a lock for longer than the timeout."""


class CacheDamagedError(CacheError):
    """Published content differs from its manifest."""


class ConversionError(ModelZooError):
    """The model could not be converted; nothing was published."""

    exit_code = 7


class MissingExtraError(ConversionError):
    """The conversion needs a package that is not installed."""


class UntrustedCodeError(ConversionError):
    """The conversion would run code of others, and nobody said that it is trusted."""


class UnsupportedModelError(ConversionError):
    """OpenVINO cannot convert this model, or the catalog says that it cannot be converted."""


class WorkerCrashedError(ConversionError):
    """The conversion process died without a result."""


class LoadError(ModelZooError):
    """A converted model could not be read, compiled or run."""

    exit_code = 8


class InputError(LoadError):
    """An input cannot be read, or does not fit the network."""


class DeviceUnavailableError(LoadError):
    """The requested device does not exist on this machine."""


class CompileError(LoadError):
    """The device's plug-in rejected the model."""
