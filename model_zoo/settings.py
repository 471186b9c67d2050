"""Environment variables, the TOML settings file and defaults as one frozen ``Settings``.

Precedence: keyword argument or command-line option, environment variable, settings file, default.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from model_zoo.errors import CacheError, UsageError
from model_zoo.schema import Integrity
from model_zoo.text import plain_reason, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
"""Of 1000, or of 1024 with an "i" after the letter."""
_LARGEST = 4 << 20
"""Bytes of a settings file."""
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be used; the table ``[policy]`` of the settings file.

    Attributes:
        licenses: SPDX identifiers of the licences that are allowed; a model under any other, or under none
            that is known, is refused. Default: all are allowed.
        integrity: the weakest level that is allowed: ``pinned``, ``revision``, ``prefix`` or ``first-use``.
        trust_code: models, by name, whose own Python code may run as with ``--trust-code``.
    """

    licenses: tuple[str, ...] | None = None
    integrity: Integrity = "first-use"
    trust_code: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bring licences to SPDX's own spelling.

        Raises:
            ValueError: SPDX knows no such licence, or it is an expression of several.
        """
        if self.licenses is not None:
            msgspec.structs.force_setattr(self, "licenses", tuple(map(_single_license, self.licenses)))


ALLOW_ALL = Policy()
"""The policy of settings that state none."""


def _single_license(text: str) -> str:
    from model_zoo.schema.spdx import spdx_expression  # few settings have a policy

    found = spdx_expression(text)
    if found is None:
        raise ValueError(f"{text!r} is not an SPDX licence identifier, such as Apache-2.0 or GPL-3.0-only")
    if " AND " in found or " OR " in found:
        raise ValueError(f"{text!r} combines licences; list each by itself")
    return found


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the settings file may contain; see ``Settings``."""

    cache: Path | None = None
    layers: tuple[Path, ...] = ()
    catalogs: tuple[Path, ...] = ()
    offline: bool = False
    mirrors: tuple[tuple[str, str], ...] = ()
    max_size: int | None = None
    jobs: int | None = None
    isolate: bool = False
    connect_timeout: float = 10.0
    stall_timeout: float = 30.0
    attempts: int = 5
    connections: int = 8
    parallel_from: int = 32 << 20
    lock_timeout: float = 3600.0
    adopt: tuple[Path, ...] = ()
    remote: str | None = None
    policy: Policy = ALLOW_ALL


class Settings(FileSettings, frozen=True, kw_only=True):
    """Everything a run depends on besides the catalog.

    Attributes:
        cache: the writable layer, or None if there is no place for one.
        layers: read-only layers, searched in order after the writable one.
        catalogs: additional catalogs; a later one overrides an earlier one by name.
        offline: never open a socket.
        mirrors: URL prefix rewrites ``(from, to)``, tried in order before the original URL.
        max_size: size budget of the writable layer in bytes, for ``cache gc``.
        jobs: number of models or files to work on in parallel; None lets each stage choose.
        isolate: convert in environments built for the framework.
        connect_timeout: seconds to wait for a connection.
        stall_timeout: seconds without data after which a download counts as failed.
        attempts: how often to try one source without progress before moving on to the next.
        connections: maximum number of connections for one large file.
        parallel_from: size in bytes from which a file is downloaded over several connections.
        lock_timeout: seconds to wait for another process before giving up.
        adopt: directories to search for files before downloading them, in addition to the caches of Hugging
            Face, torch and TensorFlow Hub, such as ``--cache_dir`` or ``--output_dir`` of Open Model Zoo's
            downloader.
        remote: ``oci://REGISTRY/REPOSITORY`` in which several machines share their IRs.
        policy: what may be used.
        source_date_epoch: modification time of exported files, in seconds since 1970, if set.
    """

    source_date_epoch: int | None = None


def load_settings(environ: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Read environment and settings file, then apply the overrides that are not None.

    Raises:
        UsageError: a variable or the settings file has an invalid value, or the cache is an address.
    """
    env = os.environ if environ is None else environ
    values = {**_from_file(env), **_from_environment(env)}
    licenses = values.pop("licenses", None)
    if licenses is not None:
        values["policy"] = msgspec.structs.replace(values.get("policy", Policy()), licenses=licenses)
    values.update({key: value for key, value in overrides.items() if value is not None})
    if "cache" not in values:
        values["cache"] = _default_cache()
    settings = Settings(**values)
    if redact(str(settings.cache)) != str(settings.cache):
        what = f"the cache must be a directory of this machine, not the address {settings.cache}"
        raise UsageError(what, hint="set MODEL_ZOO_CACHE or pass --cache DIR")
    return settings


def parse_size(text: str) -> int:
    """Parse a size such as ``20GB``, ``1.5GiB`` or ``4096`` into bytes (SI units are powers of ten).

    Raises:
        ValueError: the text is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?))?b?\s*", text, re.IGNORECASE)
    power = _POWERS[(match[2] or "").lower()] if match else 0
    size = float(match[1]) * (1024 if match[3] else 1000) ** power if match else -1
    if not 0 <= size < 2**63:
        msg = f"invalid size {text!r}: expected a size such as 20GB or 512MiB"
        raise ValueError(msg)
    return int(size)


def parse_mirrors(text: str) -> tuple[tuple[str, str], ...]:
    """Parse ``FROM=TO`` pairs separated by commas; TO may contain ``=``.

    Raises:
        ValueError: a pair lacks one side.
    """
    pairs = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        before, equals, after = item.partition("=")
        if not (before and equals and after):
            msg = f"invalid mirror {item!r}: expected FROM=TO"
            raise ValueError(msg)
        pairs.append((before, after))
    return tuple(pairs)


def _flag(text: str) -> bool:
    """Parse an on/off value as people write it in environment variables."""
    lowered = text.strip().lower()
    if lowered not in _TRUE | _FALSE:
        msg = f"invalid flag {text!r}: expected 1 or 0"
        raise ValueError(msg)
    return lowered in _TRUE


def _seconds(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        msg = f"invalid time {text!r}: expected seconds since 1970"
        raise ValueError(msg) from None


def _path(text: str) -> Path:
    if "\0" in text:
        msg = f"{text!r} is not a path"
        raise ValueError(msg)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        msg = f"{text!r} names a user that this machine does not have"
        raise ValueError(msg) from None


def parse_licenses(text: str) -> tuple[str, ...]:
    """Parse SPDX identifiers separated by commas.

    Raises:
        ValueError: SPDX knows no such licence.
    """
    return tuple(_single_license(part.strip()) for part in text.split(",") if part.strip())


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(_path(part) for part in text.split(os.pathsep) if part)


ENVIRONMENT: dict[str, tuple[str, Callable[[str], object]]] = {
    "MODEL_ZOO_CACHE": ("cache", _path),
    "MODEL_ZOO_LAYERS": ("layers", _paths),
    "MODEL_ZOO_CATALOG": ("catalogs", _paths),
    "MODEL_ZOO_OFFLINE": ("offline", _flag),
    "MODEL_ZOO_ISOLATE": ("isolate", _flag),
    "MODEL_ZOO_MAX_SIZE": ("max_size", parse_size),
    "MODEL_ZOO_MIRRORS": ("mirrors", parse_mirrors),
    "MODEL_ZOO_ADOPT": ("adopt", _paths),
    "MODEL_ZOO_REMOTE": ("remote", str.strip),
    "MODEL_ZOO_LICENSES": ("licenses", parse_licenses),
    "SOURCE_DATE_EPOCH": ("source_date_epoch", _seconds),
}
"""Variable → field, and the parser of its text."""
VARIABLES = ("MODEL_ZOO_CONFIG", *(name for name in ENVIRONMENT if name.startswith("MODEL_ZOO_")))
"""Every variable of this project's own."""


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    given = {variable: env[variable] for variable in ENVIRONMENT if env.get(variable, "").strip()}
    return {ENVIRONMENT[v][0]: _parsed(v, text, ENVIRONMENT[v][1]) for v, text in given.items()}


def _parsed(variable: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        what = f"environment variable {variable}: {error}"
        raise UsageError(what, found=text, hint=f"correct {variable} or unset it") from error


def settings_file(env: Mapping[str, str]) -> Path | None:
    """Return the settings file in use, whether it exists or not; None if the account has no home.

    Raises:
        UsageError: it is named below the home directory of a user who does not exist.
    """
    if named := env.get("MODEL_ZOO_CONFIG"):
        return _parsed("MODEL_ZOO_CONFIG", named, _path)
    import platformdirs  # a fifth of start-up time

    try:
        return platformdirs.user_config_path("model-zoo", appauthor=False) / "config.toml"
    except RuntimeError:
        return None


def _from_file(env: Mapping[str, str]) -> dict[str, Any]:
    path = settings_file(env)
    if path is None or not (env.get("MODEL_ZOO_CONFIG") or path.is_file()):
        return {}
    if sys.version_info >= (3, 11):
        import tomllib  # only when there is a file
    else:
        import tomli as tomllib

    def resolve(_: type[Path], text: str) -> Path:
        return path.parent / _path(text)

    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ValueError(f"larger than {_LARGEST} bytes")  # noqa: TRY301 - said as the others are
        values = tomllib.loads(data.decode("utf-8"))
        if isinstance(values.get("mirrors"), dict):
            values["mirrors"] = list(values["mirrors"].items())
        for key in ("max_size", "parallel_from"):
            if isinstance(values.get(key), str):
                values[key] = parse_size(values[key])
        settings = msgspec.convert(values, FileSettings, dec_hook=resolve)
    except (OSError, ValueError, RecursionError) as error:
        what = f"settings file {path}: {plain_reason(error).removeprefix(f'{path}: ')}"
        raise UsageError(what, hint="correct the file, or point MODEL_ZOO_CONFIG at another one") from error
    return {key: getattr(settings, key) for key in values}


def _default_cache() -> Path | None:
    """Return the platform's user cache directory; None if the account has no home directory."""
    import platformdirs  # only if no cache is named

    try:
        path = platformdirs.user_cache_path("model-zoo", appauthor=False)
    except RuntimeError:
        return None
    return path if path.is_absolute() and "~" not in str(path) else None


def require_cache(settings: Settings) -> Path:
    """Return the writable layer.

    Raises:
        CacheError: there is none: the account has no home directory, and no cache was named.
    """
    if settings.cache is None:
        what = "no cache directory: this account has no home directory"
        raise CacheError(what, hint="set MODEL_ZOO_CACHE or pass --cache DIR")
    return settings.cache
