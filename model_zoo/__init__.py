"""Fetch pretrained models, check them, convert them to OpenVINO IR and run them.

The pipeline, one package each: ``catalog`` (YAML → what models there are) → ``sources`` (where the bytes
are) → ``download`` (get and prove them) → ``cache`` (store them once, publish by rename) → ``conversion``
(worker process, files → IR) → ``runtime`` (read, compile, infer). ``zoo`` is where they meet; the
functions below are its methods on a ``Zoo`` made from the environment.

Importing this package is cheap: neither openvino nor any network library is loaded before it is needed.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, overload

from model_zoo.errors import ModelZooError
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import openvino
    from typing_extensions import Unpack

    from model_zoo.events import Progress, Report
    from model_zoo.runtime.inference.items import Input
    from model_zoo.runtime.inference.prediction import Prediction
    from model_zoo.runtime.inference.predictor import Predictor
    from model_zoo.schema import ConvertedModel, FetchedModel, Model
    from model_zoo.zoo import ConvertOptions, Zoo
    from model_zoo.zoo.answers import AnswerOptions

__all__ = [
    "ModelZooError",
    "Prediction",
    "Predictor",
    "Zoo",
    "__version__",
    "convert",
    "fetch",
    "infer",
    "list_models",
    "load",
    "predictor",
    "progress_bars",
    "read",
]


def list_models(
    *patterns: str,
    task: str | None = None,
    framework: str | None = None,
    source: str | None = None,
    license: str | None = None,  # noqa: A002 - the field's name
    needs: str | None = None,
) -> list[Model]:
    """Return the catalog's models that match every filter, sorted by name.

    Args:
        patterns: shell wildcards on the name, or words of name, task, licence, framework and kinds of
            sources, each matched from its start; none means all.
        task: this task, in any spelling, or one below it.
        framework: exactly this framework.
        source: some artifact has a source of this kind.
        license: SPDX licences, with ``OR`` between them, that must allow the model's.
        needs: what a conversion needs: a stack such as ``torch``, ``trust-code``, or ``nothing``.

    Raises:
        ModelZooError: an entry that had to be read is wrong.
    """
    return _zoo().list_models(
        *patterns, task=task, framework=framework, source=source, license=license, needs=needs
    )


def fetch(
    reference: str,
    *,
    precision: str | None = None,
    offline: bool | None = None,
    progress: Progress = None,
) -> FetchedModel:
    """Make a model's files available in the cache and return where they are. See ``Zoo.fetch``."""
    return _zoo().fetch(reference, precision=precision, offline=offline, progress=progress)


def convert(reference: str, **options: Unpack[ConvertOptions]) -> ConvertedModel:
    """Make a model's IR available in the cache and return where it is. See ``Zoo.convert``."""
    return _zoo().convert(reference, **options)


def read(reference: str, *, convert: bool = True, **options: Unpack[ConvertOptions]) -> openvino.Model:
    """Return the model as an ``openvino.Model``. See ``Zoo.read``."""
    return _zoo().read(reference, convert=convert, **options)


def load(
    reference: str,
    *,
    device: str = "AUTO",
    config: Mapping[str, object] | None = None,
    convert: bool = True,
    **options: Unpack[ConvertOptions],
) -> openvino.CompiledModel:
    """Return the model compiled for a device, as an ``openvino.CompiledModel``. See ``Zoo.load``."""
    return _zoo().load(reference, device=device, config=config, convert=convert, **options)


@overload
def infer(reference: str, source: list[Input], **options: Unpack[AnswerOptions]) -> list[Prediction]: ...
@overload
def infer(reference: str, source: Input | None = None, **options: Unpack[AnswerOptions]) -> Prediction: ...
def infer(
    reference: str, source: Input | list[Input] | None = None, **options: Unpack[AnswerOptions]
) -> Prediction | list[Prediction]:
    """Return what a model finds in a picture, a sound or arrays. See ``Zoo.infer``.

    >>> print(model_zoo.infer("efficientnet-lite0", "cat.jpg", trust_code=True))    # doctest: +SKIP
    cat.jpg: Egyptian cat 0.77, tabby cat 0.12, tiger cat 0.06 and 2 more
    """
    return _zoo().infer(reference, source, **options)


def predictor(reference: str, **options: Unpack[AnswerOptions]) -> Predictor:
    """Return the model, compiled, to be called with inputs. See ``Zoo.predictor``."""
    return _zoo().predictor(reference, **options)


@contextlib.contextmanager
def progress_bars() -> Iterator[Report]:
    """Give a ``progress=`` that draws bars: as widgets in a notebook that has ipywidgets, else as text.

    >>> with model_zoo.progress_bars() as bars:                     # doctest: +SKIP
    ...     compiled = model_zoo.load("magika-standard-v3", progress=bars)
    """
    from model_zoo.progress import BarReport

    bars = BarReport(sys.stderr)
    try:
        yield bars
    finally:
        bars.close()


_made: dict[object, Zoo] = {}


def _zoo() -> Zoo:
    """Return the zoo that environment and settings file describe now."""
    from model_zoo.settings import load_settings
    from model_zoo.zoo import Zoo

    settings = load_settings()
    if settings not in _made:
        _made.clear()
        _made[settings] = Zoo(settings=settings)
    return _made[settings]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> object:
    """Import ``Zoo`` and the types of answers when they are first asked for."""
    if name == "Zoo":
        from model_zoo.zoo import Zoo

        return Zoo
    if name == "Prediction":
        from model_zoo.runtime.inference.prediction import Prediction

        return Prediction
    if name == "Predictor":
        from model_zoo.runtime.inference.predictor import Predictor

        return Predictor
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
