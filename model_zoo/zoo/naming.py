"""From a reference to a request: a catalog's model, a URI's, held to a lock where there is one."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from model_zoo.catalog import parse_reference, pick_precision
from model_zoo.errors import UsageError
from model_zoo.zoo.request import Request
from model_zoo.zoo.resolving import floating, key_of

if TYPE_CHECKING:
    from model_zoo.catalog import Catalog
    from model_zoo.catalog.lockfile import Lockfile
    from model_zoo.zoo.resolving import Resolving


class Naming:
    """References, on one catalog, one cache and perhaps one lock."""

    def __init__(self, catalog: Catalog, resolving: Resolving, lock: Lockfile | None) -> None:
        self.catalog = catalog
        self.resolving = resolving
        self.lock = lock

    def request(self, reference: str, precision: str | None = None, *, fresh: bool = False) -> Request:
        """Return the model a reference means, with the precision it or the argument names.

        Args:
            reference: a catalog name or a path that exists, perhaps with ``@PRECISION``, or a URI.
            precision: instead of the reference's.
            fresh: ask the places of a URI anew, even where their answer is known.

        Raises:
            UnknownModelError: no catalog has it.
            UnknownPrecisionError: the model does not come in that precision.
            UsageError: the reference is not one, or not in the lock.
            DownloadError: the place that a URI names cannot be asked, or does not have it.
            IntegrityError: the catalog entry is not the locked one.
        """
        parsed = parse_reference(_text(reference))
        if parsed.uri is None or parsed.name in self.catalog.files:
            return self.of_catalog(str(parsed.name), precision or parsed.precision)
        wish = precision or parsed.uri_precision
        request = self._of_uri(parsed.uri, fresh=fresh)
        return replace(request, precision=pick_precision(request.model, wish) if wish else None)

    def of_catalog(self, name: str, wish: str | None) -> Request:
        """Return a catalog's model as a request; raises as ``request``."""
        model = self.catalog.get(name)
        precision = pick_precision(model, wish) if wish else None
        if self.lock is None or model.stages:
            return Request(model, precision, reference=name)
        held = self.lock.apply(model, precision)
        return Request(held, precision, reference=name, locked=self.lock.model(name))

    def _of_uri(self, uri: str, *, fresh: bool) -> Request:
        from model_zoo.catalog.uri import model_from_uri, parse_uri  # and with it several kinds of sources

        parsed = parse_uri(uri)
        if self.lock is not None:
            model = self.lock.model_of_uri(parsed.uri)
            return Request(model, reference=parsed.uri, locked=self.lock.model(parsed.uri))
        artifacts = self.resolving.resolve(parsed.artifacts, parsed.uri, parsed.uri, fresh=fresh)
        found = (key_of(parsed.artifacts), artifacts) if floating(parsed.artifacts) else None
        return Request(model_from_uri(parsed, artifacts), reference=parsed.uri, resolution=found)


def _text(reference: object) -> str:
    """Return a reference as text; a ``Path`` is one too.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(reference, (str, os.PathLike)):
        return str(os.fspath(reference))
    what = f"{reference!r} is no reference to a model"
    raise UsageError(what, expected="text, or a path", hint="to name several, call once for each")
