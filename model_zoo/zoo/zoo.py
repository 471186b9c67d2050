"""``Zoo``: models by reference, on one cache, one list of catalogs and one set of settings."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

import msgspec

from model_zoo.catalog import Catalog, builtin_catalog
from model_zoo.errors import LoadError
from model_zoo.events import ignore, listener
from model_zoo.schema import task_matches
from model_zoo.settings import load_settings
from model_zoo.zoo.plan import Conversion, Request, single

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    import openvino
    from typing_extensions import Unpack

    from model_zoo.cache import Cache
    from model_zoo.catalog.lockfile import Lockfile
    from model_zoo.events import Progress, Report
    from model_zoo.outcome import Outcome
    from model_zoo.runtime.inference.items import Input
    from model_zoo.runtime.inference.prediction import Prediction
    from model_zoo.runtime.inference.predictor import Predictor
    from model_zoo.schema import ConvertedModel, FetchedModel, Model
    from model_zoo.settings import Settings
    from model_zoo.zoo.answers import AnswerOptions
    from model_zoo.zoo.pipeline import Pipeline
    from model_zoo.zoo.plan import ConvertOptions
    from model_zoo.zoo.planner import Planner

    T = TypeVar("T")


class Zoo:
    """Models by reference.

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
        changes = {
            "cache": Path(cache) if cache is not None else None,
            "layers": tuple(Path(p) for p in layers) if layers is not None else None,
            "catalogs": tuple(Path(p) for p in catalogs) if catalogs is not None else None,
            "offline": offline,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        base = settings if settings is not None else load_settings()
        self.settings = msgspec.structs.replace(base, **given)
        self.require_pinned = require_pinned
        self.lock_path = Path(lock) if lock is not None else None
        self._pipelines: dict[bool, Pipeline] = {}

    @cached_property
    def catalog(self) -> Catalog:
        """The built-in catalog and the user's own, as one."""
        top = self.settings.cache
        # Beside the cache's own notes, named here so that listing names does not import the cache.
        index = top.absolute() / "state-v1" / "catalogs" if top is not None else None
        return Catalog([builtin_catalog(), *self.settings.catalogs], index, lambda: self.cache.writable)

    @cached_property
    def cache(self) -> Cache:
        """The layers as one."""
        from model_zoo.cache import Cache  # the stages are imported when they are needed: names are not slow

        return Cache(self.settings.cache, self.settings.layers)

    @cached_property
    def _lockfile(self) -> Lockfile | None:
        if self.lock_path is None:
            return None
        from model_zoo.catalog.lockfile import Lockfile  # json and the like, which few runs need

        return Lockfile(self.lock_path)

    def pipeline(self, *, offline: bool | None = None) -> Pipeline:
        """Return the stages, set up for a run with or without network; default as the zoo was made."""
        from model_zoo.zoo.pipeline import Pipeline  # see cache

        offline = self.settings.offline if offline is None else offline
        if offline not in self._pipelines:
            settings = msgspec.structs.replace(self.settings, offline=offline)
            pinned = self.require_pinned
            self._pipelines[offline] = Pipeline(
                settings, self.catalog, self.cache, self._lockfile, require_pinned=pinned
            )
        return self._pipelines[offline]

    @property
    def planner(self) -> Planner:
        """What references come to, by look-ups alone."""
        return self.pipeline().planner

    # --- which model

    def list_models(
        self,
        *patterns: str,
        task: str | None = None,
        framework: str | None = None,
        source: str | None = None,
        license: str | None = None,  # noqa: A002 - the field's name
        needs: str | None = None,
        cached: bool | None = None,
    ) -> list[Model]:
        """Return the models that match every filter, sorted by name.

        Args:
            patterns: shell wildcards on the name, or words of name, task, licence, framework and kinds of
                sources, each matched from its start; none means all.
            task: this task, in any spelling, or one below it.
            framework: exactly this framework.
            source: some artifact has a source of this kind.
            license: SPDX licences, with ``OR`` between them, that must allow the model's; ``unknown``.
            needs: what a conversion needs beside this package: a stack such as ``torch``, ``trust-code``,
                or ``nothing``.
            cached: only models with (or without) files or an IR in the cache.

        Raises:
            CatalogError: an entry that had to be read is wrong.
        """
        from model_zoo.catalog.search import find, license_satisfies  # not at every start
        from model_zoo.conversion.stacks import needed

        models = find(self.catalog, patterns)
        allowed = [] if license is None else re.split(r"\s+OR\s+|,", license)
        return [
            m
            for m in models
            if (task is None or task_matches(m.task, task) or (m.omz and m.omz.task == task))
            and framework in {None, m.framework}
            and (source is None or any(s.kind == source for a in m.artifacts for s in a.sources))
            and (
                license is None
                or license_satisfies(m.license.spdx, allowed)
                or (license == "unknown" and m.license.spdx is None)
            )
            and (needs is None or needs in needed(m))
            and (cached is None or self.is_cached(m) == cached)
        ]

    def model(self, reference: str) -> Model:
        """Return the catalog entry a reference means.

        Raises:
            UnknownModelError: no catalog has it.
            UsageError: the reference is not one.
            CatalogError: its entry is wrong.
        """
        return self.planner.request(reference).model

    def is_cached(self, model: Model) -> bool:
        """Whether a model's files, or an IR in one of its precisions, are in the cache."""
        if model.stages:
            return all(self.is_cached(self.catalog.get(stage)) for stage in model.stages)
        request = Request(model)
        return bool(self.planner.plan_files(request).cached or self.planner.cached_precisions(request))

    # --- the functions of the contract

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
            reference: a catalog name, perhaps with ``@PRECISION``, a path or a URI.
            precision: only the files of this precision, where the files are ready-made IRs.
            offline: open no socket; default as the zoo was made.
            progress: called with an ``Event`` for everything that happens.

        Raises:
            ModelZooError: one of its subclasses, see ``model_zoo.errors``.
        """
        pipeline = self.pipeline(offline=offline)
        request = single(pipeline.planner.request(reference, precision))
        fetched = pipeline.fetch(request, _report(progress))
        self.catalog.save()  # the next process then finds the entry without reading YAML
        return fetched

    def convert(self, reference: str, **options: Unpack[ConvertOptions]) -> ConvertedModel:
        """Make a model's IR available in the cache and return where it is.

        Args:
            reference: a catalog name, perhaps with ``@PRECISION``, a path or a URI.
            **options: see ``ConvertOptions``.

        Raises:
            ModelZooError: one of its subclasses, see ``model_zoo.errors``.
        """
        pipeline = self.pipeline(offline=options.pop("offline", None))
        report = _report(options.pop("progress", None))
        precision = options.pop("precision", None)
        conversion = Conversion(**options)  # type: ignore[misc]  # what is left; others are a TypeError
        request = single(pipeline.planner.request(reference, precision))
        converted = pipeline.convert(request, conversion, report)
        self.catalog.save()
        return converted

    def read(
        self, reference: str, *, convert: bool = True, **options: Unpack[ConvertOptions]
    ) -> openvino.Model:
        """Return the model as an ``openvino.Model``.

        Args:
            reference: a catalog name, perhaps with ``@PRECISION``, a path or a URI.
            convert: False hands the original file straight to OpenVINO (ONNX, TensorFlow, TensorFlow
                Lite, PaddlePaddle, IR), without recipe and without cached IR.
            **options: see ``ConvertOptions``.

        Raises:
            ModelZooError: one of its subclasses, see ``model_zoo.errors``.
        """
        from model_zoo import runtime

        if convert:
            return self.with_ir(lambda converted: runtime.read_model(converted.xml), reference, options)
        fetched = self.fetch(
            reference,
            precision=options.get("precision"),
            offline=options.get("offline"),
            progress=options.get("progress"),
        )
        return runtime.read_direct(fetched.model, fetched.directory)

    def load(
        self,
        reference: str,
        *,
        device: str = "AUTO",
        config: Mapping[str, object] | None = None,
        convert: bool = True,
        **options: Unpack[ConvertOptions],
    ) -> openvino.CompiledModel:
        """Return the model compiled for a device, as an ``openvino.CompiledModel``.

        Args:
            reference: a catalog name, perhaps with ``@PRECISION``, a path or a URI.
            device: OpenVINO's name of a device, such as ``CPU``, ``GPU.0``, ``AUTO`` or ``MULTI:GPU,CPU``.
            config: OpenVINO properties for compilation.
            convert: False hands the original file straight to OpenVINO.
            **options: see ``ConvertOptions``.

        Raises:
            ModelZooError: one of its subclasses, see ``model_zoo.errors``.
        """
        if convert:
            return self.with_ir(
                lambda converted: self.compile(converted, device=device, config=config), reference, options
            )
        from model_zoo import runtime

        model = self.read(reference, convert=False, **options)
        return runtime.compile_model(model, device=device, config=config)

    def predictor(self, reference: str, **options: Unpack[AnswerOptions]) -> Predictor:
        """Return the model, compiled: called with inputs it returns what it finds, as ``infer`` does.

        Args:
            reference: a catalog name, perhaps with ``@PRECISION``, a path or a URI.
            **options: see ``AnswerOptions``.

        Raises:
            ModelZooError: one of its subclasses, see ``model_zoo.errors``.
        """
        from model_zoo.zoo import answers

        return answers.open_predictor(self, reference, **options)

    @overload
    def infer(
        self, reference: str, source: list[Input], **options: Unpack[AnswerOptions]
    ) -> list[Prediction]: ...
    @overload
    def infer(
        self, reference: str, source: Input | None = None, **options: Unpack[AnswerOptions]
    ) -> Prediction: ...
    def infer(
        self,
        reference: str,
        source: Input | list[Input] | None = None,
        **options: Unpack[AnswerOptions],
    ) -> Prediction | list[Prediction]:
        """Return what a model finds in a picture, a sound or arrays.

        Inputs and device are checked before anything is fetched or converted. For many inputs at different
        times keep a ``predictor``.

        Args:
            reference: a catalog name, perhaps with ``@PRECISION``, a path or a URI.
            source: one input, or a list of them: see ``Predictor``. None runs the network on zeros.
            **options: see ``AnswerOptions``.

        Raises:
            InputError: an input is damaged, or does not fit the model.
            ModelZooError: one of its other subclasses, see ``model_zoo.errors``.
        """
        from model_zoo.zoo import answers

        found = answers.stream(self, reference, source if isinstance(source, list) else [source], **options)
        return list(found) if isinstance(source, list) else next(found)

    def with_ir(self, use: Callable[[ConvertedModel], T], reference: str, options: ConvertOptions) -> T:
        """Do something with a model's IR; once more where a collector took it away in between."""
        converted = self.convert(reference, **options)
        try:
            return use(converted)
        except LoadError:
            if converted.path.exists():
                raise
        return use(self.convert(reference, **options))

    def compile(
        self,
        converted: ConvertedModel,
        *,
        device: str = "AUTO",
        config: Mapping[str, object] | None = None,
        network: openvino.Model | None = None,
    ) -> openvino.CompiledModel:
        """Compile an IR of the cache for a device; ``network`` is what was read from it and changed.

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
            network or converted.xml, key=converted.key, device=device, config=config, compiled=compiled
        )

    # --- several at once

    def fetch_all(self, requests: Sequence[Request], report: Report = ignore) -> list[Outcome[FetchedModel]]:
        """Fetch several models; a failure of one does not stop the others."""
        return self.pipeline().fetcher.fetch_all(requests, report)

    def convert_all(
        self,
        requests: Sequence[Request],
        conversion: Conversion,
        *,
        report: Report = ignore,
        jobs: int | None = None,
    ) -> list[Outcome[ConvertedModel]]:
        """Convert several models; a failure of one does not stop the others."""
        jobs = jobs or self.settings.jobs
        return self.pipeline().convert_all(requests, conversion, report, jobs=jobs)


def _report(progress: Progress) -> Report:
    return ignore if progress is None else listener(progress)
