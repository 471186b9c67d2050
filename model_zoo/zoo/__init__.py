"""The only place where stages meet: catalog → download → cache → convert → cache → runtime.

Everything here answers the same question first: is it there already? Only what is missing is done.
``request`` is what is asked for, ``fetching`` and ``converting`` are the two halves of the way, and
``Zoo`` is what the public functions and the command line call.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.catalog import Catalog, builtin_catalog, match_names
from model_zoo.errors import LoadError, UsageError
from model_zoo.events import Progress, Report, ignore, listener
from model_zoo.settings import Settings, load_settings
from model_zoo.zoo.request import Conversion, Converted, Fetched, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from model_zoo.cache import Cache
    from model_zoo.schema import ConvertedModel, FetchedModel, Model
    from model_zoo.zoo.converter import Converting
    from model_zoo.zoo.fetcher import Fetching
    from model_zoo.zoo.naming import Naming

__all__ = ["Conversion", "Converted", "Fetched", "Request", "Zoo"]


class Zoo:
    """Models by reference, on one cache, one list of catalogs and one set of settings.

    Safe to share between threads; any number of processes may use the same cache.

    Args:
        cache: the writable layer; default as in ``MODEL_ZOO_CACHE``.
        layers: read-only layers searched after it.
        catalogs: catalogs beside the built-in one; a later one overrides by name.
        offline: open no socket, ever.
        require_pinned: refuse artifacts whose content no full digest fixes.
        lock: a lock file; whatever it does not lock, or locks differently, is refused.
        settings: everything else; default from the environment and the settings file.

    Raises:
        UsageError: environment or settings file hold something that cannot be understood.
    """

    def __init__(
        self,
        *,
        cache: str | Path | None = None,
        layers: Sequence[str | Path] | None = None,
        catalogs: Sequence[str | Path] | None = None,
        offline: bool | None = None,
        require_pinned: bool = False,
        lock: str | Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        base = settings if settings is not None else load_settings()
        changes: dict[str, Any] = {
            "cache": Path(cache) if cache is not None else None,
            "layers": tuple(Path(p) for p in layers) if layers is not None else None,
            "catalogs": tuple(Path(p) for p in catalogs) if catalogs is not None else None,
            "offline": offline,
        }
        self.settings = msgspec.structs.replace(base, **{k: v for k, v in changes.items() if v is not None})
        self.require_pinned = require_pinned
        self.locked = Path(lock) if lock is not None else None

    @cached_property
    def catalog(self) -> Catalog:
        """The built-in catalog and the user's own, as one."""
        top = self.settings.cache
        # Beside the cache's own notes, said here so that listing names does not import the cache.
        index = top.absolute() / "state-v1" / "catalogs" if top is not None else None
        return Catalog([builtin_catalog(), *self.settings.catalogs], index, lambda: self.cache.writable)

    @cached_property
    def cache(self) -> Cache:
        """The layers as one."""
        from model_zoo.cache import Cache  # the stages are imported when they are needed: names are not slow

        return Cache(self.settings.cache, self.settings.layers)

    @cached_property
    def fetching(self) -> Fetching:
        """The first half of the way: files."""
        from model_zoo.zoo.fetcher import Fetching  # see cache

        return Fetching(self.settings, self.cache, require_pinned=self.require_pinned)

    @cached_property
    def naming(self) -> Naming:
        """What references mean."""
        lock = None
        if self.locked is not None:
            from model_zoo.catalog.lockfile import Lockfile  # json and the like, which few runs need

            lock = Lockfile(self.locked)
        from model_zoo.zoo.naming import Naming  # see cache

        return Naming(self.catalog, self.fetching.resolving, lock)

    @cached_property
    def converting(self) -> Converting:
        """The second half of the way: IRs."""
        from model_zoo.zoo.converter import Converting  # see cache

        return Converting(self.fetching)

    # --- which model

    def list_models(
        self,
        *patterns: str,
        task: str | None = None,
        framework: str | None = None,
        source: str | None = None,
        cached: bool | None = None,
    ) -> list[Model]:
        """Return the models that match every filter, sorted by name.

        Args:
            patterns: shell wildcards on the name, or words inside it; none means all.
            task: exactly this task.
            framework: exactly this framework.
            source: some artifact has a source of this kind.
            cached: only models with (or without) files or an IR in the cache.

        Raises:
            CatalogError: an entry that had to be read is wrong.
        """
        models = self.catalog.get_all(match_names(self.catalog.names(), patterns))
        return [
            m
            for m in models
            if task in {None, m.task}
            and framework in {None, m.framework}
            and (source is None or any(s.kind == source for a in m.artifacts for s in a.sources))
            and (cached is None or self.is_cached(m) == cached)
        ]

    def model(self, reference: str) -> Model:
        """Return the catalog entry a reference means.

        Raises:
            UnknownModelError: no catalog has it.
            UsageError: the reference is not one.
            CatalogError: its entry is wrong.
        """
        return self.request(reference).model

    def request(self, reference: str, precision: str | None = None) -> Request:
        """Return the model a reference means, with the precision it or the argument names.

        Raises:
            UnknownModelError: no catalog has it.
            UnknownPrecisionError: the model does not come in that precision.
            UsageError: the reference is not one.
            DownloadError: the place that a URI names cannot be asked, or does not have it.
            IntegrityError: the catalog entry is not the locked one.
        """
        return self.naming.request(reference, precision)

    def expand(
        self, references: Iterable[str], precision: str | None = None, *, fresh: bool = False
    ) -> list[Request]:
        """Return the requests of several references, composites replaced by their stages, no doubles.

        ``fresh`` asks the places of URIs anew, even where their answer is known.

        Raises:
            UsageError: a reference, a stage or a precision is unknown.
        """
        found: dict[tuple[str, str | None], Request] = {}
        for reference in references:
            request = self.naming.request(reference, precision, fresh=fresh)
            stages = [self.naming.of_catalog(s, request.precision) for s in request.model.stages]
            for one in stages or [request]:
                found[one.model.name, one.precision] = one
        return list(found.values())

    # --- the five functions of the contract

    def fetch(
        self,
        reference: str,
        *,
        precision: str | None = None,
        offline: bool | None = None,
        progress: Progress = None,
    ) -> FetchedModel:
        """Make a model's files available in the cache and return where they are.

        Args:
            reference: a catalog name, perhaps with ``@PRECISION``.
            precision: only the files of this precision, where the files are ready-made IRs.
            offline: open no socket; default as the zoo was made.
            progress: called with an ``Event`` for everything that happens.

        Raises:
            ModelZooError: one of its subclasses, see ``model_zoo.errors``.
        """
        zoo = self._with(offline)
        done = zoo.fetching.fetch_all(
            [_single(zoo.request(reference, precision))], report=listener(progress)
        )[0]
        zoo.catalog.save()  # the next process then finds the entry without reading YAML
        if done.error is not None:
            raise done.error
        assert done.result is not None  # noqa: S101 - one of the two is there
        return done.result

    def convert(
        self,
        reference: str,
        *,
        precision: str | None = None,
        offline: bool | None = None,
        progress: Progress = None,
        trust_code: bool = False,
        python: str | None = None,
        calibration: str | Path | None = None,
        isolate: bool | None = None,
    ) -> ConvertedModel:
        """Make a model's IR available in the cache and return where it is.

        Args:
            reference: a catalog name, perhaps with ``@PRECISION``.
            precision: default: the reference's, else the first the model offers.
            offline: open no socket; default as the zoo was made.
            progress: called with an ``Event`` for everything that happens.
            trust_code: allow a recipe to run Python code that is not an installed package.
            python: another interpreter to convert in.
            calibration: data for quantisation: a folder of images, ``.npy`` or ``.npz``.
            isolate: convert in an environment built once for the model's framework; default as the settings
                (``MODEL_ZOO_ISOLATE``) say. ``python`` wins.

        Raises:
            ModelZooError: one of its subclasses, see ``model_zoo.errors``.
        """
        zoo = self._with(offline)
        request = _single(zoo.request(reference, precision))
        how = Conversion(trust_code=trust_code, python=python, calibration=calibration, isolate=isolate)
        converted = zoo.converting.convert(request, how, report=listener(progress))
        zoo.catalog.save()
        return converted

    def read(
        self,
        reference: str,
        *,
        precision: str | None = None,
        offline: bool | None = None,
        progress: Progress = None,
        convert: bool = True,
        trust_code: bool = False,
        isolate: bool | None = None,
    ) -> Any:  # noqa: ANN401 - openvino.Model, which must not be imported here
        """Return the model as an ``openvino.Model``.

        Args:
            reference: a catalog name, perhaps with ``@PRECISION``.
            precision: default: the reference's, else the first the model offers.
            offline: open no socket; default as the zoo was made.
            progress: called with an ``Event`` for everything that happens.
            convert: False hands the original file straight to OpenVINO (ONNX, TensorFlow, TensorFlow
                Lite, PaddlePaddle, IR), without recipe and without cached IR.
            trust_code: as for ``convert``.
            isolate: as for ``convert``.

        Raises:
            ModelZooError: one of its subclasses, see ``model_zoo.errors``.
        """
        from model_zoo import runtime

        if not convert:
            fetched = self.fetch(reference, precision=precision, offline=offline, progress=progress)
            return runtime.read_direct(fetched.model, fetched.directory)
        return self._with_ir(
            lambda converted: runtime.read(converted.xml),
            reference,
            precision=precision,
            offline=offline,
            progress=progress,
            trust_code=trust_code,
            isolate=isolate,
        )

    def load(
        self,
        reference: str,
        *,
        device: str = "AUTO",
        config: Mapping[str, Any] | None = None,
        precision: str | None = None,
        offline: bool | None = None,
        progress: Progress = None,
        convert: bool = True,
        trust_code: bool = False,
        isolate: bool | None = None,
    ) -> Any:  # noqa: ANN401 - openvino.CompiledModel, which must not be imported here
        """Return the model compiled for a device, as an ``openvino.CompiledModel``.

        Args:
            reference: a catalog name, perhaps with ``@PRECISION``.
            device: OpenVINO's name of a device, such as ``CPU``, ``GPU.0``, ``AUTO`` or ``MULTI:GPU,CPU``.
            config: OpenVINO properties for compilation.
            precision: default: the reference's, else the first the model offers.
            offline: open no socket; default as the zoo was made.
            progress: called with an ``Event`` for everything that happens.
            convert: False hands the original file straight to OpenVINO.
            trust_code: as for ``convert``.
            isolate: as for ``convert``.

        Raises:
            ModelZooError: one of its subclasses, see ``model_zoo.errors``.
        """
        from model_zoo import runtime

        if not convert:
            model = self.read(
                reference, precision=precision, offline=offline, progress=progress, convert=False
            )
            return runtime.compile_model(model, device=device, config=config)
        return self._with_ir(
            lambda converted: self.compile(converted, device=device, config=config),
            reference,
            precision=precision,
            offline=offline,
            progress=progress,
            trust_code=trust_code,
            isolate=isolate,
        )

    def _with_ir(self, use: Callable[[ConvertedModel], Any], reference: str, **how: Any) -> Any:  # noqa: ANN401
        """Do something with a model's IR; once more where a collector took it away in between."""
        converted = self.convert(reference, **how)
        try:
            return use(converted)
        except LoadError:
            if converted.path.exists():
                raise
        return use(self.convert(reference, **how))

    def compile(
        self, converted: ConvertedModel, *, device: str = "AUTO", config: Mapping[str, Any] | None = None
    ) -> Any:  # noqa: ANN401 - openvino.CompiledModel
        """Compile an IR of the cache for a device.

        Raises:
            LoadError: the device is not there, or refuses the model.
        """
        from model_zoo import runtime

        compiled = self.cache.top.compiled if self.cache.top else None
        for layer in self.cache.below:
            if runtime.has_blobs(layer.compiled, key=converted.key, device=device, config=config):
                compiled = layer.compiled
                break
        return runtime.compile(
            converted.xml, key=converted.key, device=device, config=config, compiled=compiled
        )

    # --- several at once

    def convert_all(
        self,
        requests: Sequence[Request],
        how: Conversion,
        *,
        report: Report = ignore,
        jobs: int | None = None,
    ) -> list[Converted]:
        """Convert several models; a failure of one does not stop the others."""
        return self.converting.convert_all(requests, how, report, jobs=jobs or self.settings.jobs)

    def is_cached(self, model: Model) -> bool:
        """Whether a model's files, or an IR in one of its precisions, are in the cache."""
        if model.stages:
            return all(self.is_cached(self.catalog.get(stage)) for stage in model.stages)
        if self.fetching.find(Request(model)) is not None:
            return True
        return bool(self.converting.cached_precisions(Request(model)))

    def _with(self, offline: bool | None) -> Zoo:  # noqa: FBT001 - the contract's keyword, passed on
        if offline is None or offline == self.settings.offline:
            return self
        other = Zoo(
            offline=offline, require_pinned=self.require_pinned, lock=self.locked, settings=self.settings
        )
        other.__dict__["catalog"] = self.catalog
        return other


def _single(request: Request) -> Request:
    if request.model.stages:
        what = f"{request.model.name} is made of several models"
        raise UsageError(what, hint=f"name one of its stages: {', '.join(request.model.stages)}")
    return request
