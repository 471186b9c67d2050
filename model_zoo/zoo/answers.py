"""Answers: from a reference and an input to what a model finds in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from model_zoo.errors import LoadError
from model_zoo.schema import PIPELINES, opening_line
from model_zoo.zoo.plan import ConvertOptions, single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import openvino
    from typing_extensions import Unpack

    from model_zoo.runtime.inference.items import Input
    from model_zoo.runtime.inference.ports import Shapes
    from model_zoo.runtime.inference.prediction import Prediction
    from model_zoo.runtime.inference.predictor import Predictor
    from model_zoo.schema import ConvertedModel
    from model_zoo.zoo.pipeline import Pipeline
    from model_zoo.zoo.plan import Request

    T = TypeVar("T")


class AnswerOptions(ConvertOptions, total=False):
    """The keywords of ``infer`` and ``predictor``: those of ``load``, and how to answer.

    device: OpenVINO's name of a device; default: ``AUTO``.
    config: OpenVINO properties for compilation.
    convert: False hands the original file straight to OpenVINO; nothing is decoded then.
    top: how many classes of a classification to return; default: 5.
    threshold: the score from which something counts; default: as the model's entry says.
    shapes: of inputs whose size is open, by name.
    """

    device: str
    config: Mapping[str, object] | None
    convert: bool
    top: int
    threshold: float | None
    shapes: Shapes | None


class Models(Protocol):
    """What of ``Zoo`` is needed here."""

    def pipeline(self, *, offline: bool | None = None) -> Pipeline:
        """See ``Zoo.pipeline``."""

    def read(
        self, reference: str, *, convert: bool = True, **options: Unpack[ConvertOptions]
    ) -> openvino.Model:
        """See ``Zoo.read``."""

    def with_ir(self, use: Callable[[ConvertedModel], T], reference: str, options: ConvertOptions) -> T:
        """See ``Zoo.with_ir``."""

    def compile(
        self,
        converted: ConvertedModel,
        *,
        device: str = "AUTO",
        config: Mapping[str, object] | None = None,
        network: openvino.Model | None = None,
    ) -> openvino.CompiledModel:
        """See ``Zoo.compile``."""


def open_predictor(zoo: Models, reference: str, **options: Unpack[AnswerOptions]) -> Predictor:
    """Return a model, compiled, that is called with inputs; see ``Zoo.predictor``."""
    return _predictor(zoo, reference, *_requests(zoo, reference, options), options)


def stream(
    zoo: Models, reference: str, sources: Sequence[Input | None], **options: Unpack[AnswerOptions]
) -> Iterator[Prediction]:
    """Return what a model finds in each input; inputs and device are checked before anything is fetched."""
    from model_zoo.runtime.inference import items, opening

    request, parts = _requests(zoo, reference, options)
    raw = any(port.kind == "file" for port in parts[0].model.inputs)
    for source in sources:
        items.check_source(source, raw=raw)
    ready: list[Input | items.Item | None] = list(sources)
    if sources and sources[0] is not None:
        ready[0] = first = items.read_item(sources[0], raw=raw)
        opening.check_kind(first, parts[0].model)
    return _predictor(zoo, reference, request, parts, options).stream(ready)


def _predictor(
    zoo: Models, reference: str, request: Request, parts: Sequence[Request], options: AnswerOptions
) -> Predictor:
    chain = request.model.chain
    if chain is None:
        return _open(zoo, reference, **options)
    from model_zoo.runtime.inference.chain import ChainedPredictor

    first, second = parts
    before, after = options.copy(), options.copy()
    after.pop("threshold", None)  # these are the first one's
    after.pop("shapes", None)
    before["precision"], after["precision"] = first.precision, second.precision
    finder, asked = _open(zoo, first.name, **before), _open(zoo, second.name, **after)
    return ChainedPredictor(request.model.name, finder, asked, chain)


def _open(
    zoo: Models,
    reference: str,
    *,
    device: str = "AUTO",
    config: Mapping[str, object] | None = None,
    convert: bool = True,
    top: int = 5,
    threshold: float | None = None,
    shapes: Shapes | None = None,
    **options: Unpack[ConvertOptions],
) -> Predictor:
    from model_zoo import runtime
    from model_zoo.runtime.inference import opening

    if not convert:
        network = zoo.read(reference, convert=False, **options)

        def compile_original(network: openvino.Model) -> openvino.CompiledModel:
            return runtime.compile_model(network, device=device, config=config)

        return opening.open_original(reference, network, compile_original, shapes)

    def use(converted: ConvertedModel) -> Predictor:
        def compile_network(network: openvino.Model | None) -> openvino.CompiledModel:
            return zoo.compile(converted, device=device, config=config, network=network)

        return opening.open_predictor(
            converted.xml, converted.model, compile_network, top=top, threshold=threshold, shapes=shapes
        )

    return zoo.with_ir(use, reference, options)


def _requests(zoo: Models, reference: str, options: AnswerOptions) -> tuple[Request, list[Request]]:
    """Return what a reference means, and the models that answer for it: itself, or the two of its chain.

    Raises:
        UsageError: it consists of several models, and nothing says how they work together.
        LoadError: one is a folder, which pipelines answer with, or the device is not there.
    """
    planner, precision = zoo.pipeline(offline=options.get("offline")).planner, options.get("precision")
    request = planner.request(reference, precision)
    chained = request.model.chain is not None
    parts = planner.expand([reference], precision) if chained else [single(request)]
    _check(parts, options)
    return request, parts


def _check(requests: Sequence[Request], options: AnswerOptions) -> None:
    """Refuse folder models, which pipelines answer with, and a device that is not there.

    Raises:
        LoadError: says how to open the folder, or which devices there are.
    """
    from model_zoo import runtime

    for request in requests:
        model = request.model
        if model.is_folder:
            opens = PIPELINES.get(model.task)
            line = opening_line(opens, f'str(model_zoo.convert("{request.name}").directory)')
            what = f"{request.name} is a folder of several files, which a pipeline answers with"
            raise LoadError(what, hint=line if opens else f'see model_zoo.convert("{request.name}").opening')
    runtime.check_device(options.get("device", "AUTO"))
