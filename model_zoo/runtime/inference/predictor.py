"""A model, compiled, that is called with inputs and returns predictions."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, overload

from model_zoo.errors import InputError
from model_zoo.formats.ports import port_name
from model_zoo.runtime.core import reason
from model_zoo.runtime.inference.items import read_item

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import openvino

    from model_zoo.runtime.inference.decode.scene import Array
    from model_zoo.runtime.inference.items import Input, Item
    from model_zoo.runtime.inference.plain import Arrays, Steps
    from model_zoo.runtime.inference.prediction import Prediction


class Task(Protocol):
    """What answers an input with a network."""

    raw: bool
    """Whether files are bytes to it, whatever is in them."""

    def run(self, item: Item | None) -> Steps:
        """Yield the arrays of each inference, take its outputs, return the prediction."""


class Predictor:
    """A model, compiled: ``predict(input)`` returns what it found, ``predict.stream(inputs)`` many in turn.

    Safe to share between threads.
    """

    def __init__(self, name: str, compiled: openvino.CompiledModel, task: Task) -> None:
        self.name = name
        self.compiled = compiled
        self.task = task
        ports = enumerate(compiled.inputs)
        self._index = {name: i for i, port in ports for name in (*port.get_names(), port_name(port))}
        self._idle: deque[openvino.InferRequest] = deque()

    def __repr__(self) -> str:
        """Return which model this is."""
        return f"<Predictor {self.name}>"

    @overload
    def __call__(self, source: list[Input]) -> list[Prediction]: ...
    @overload
    def __call__(self, source: Input | None = None) -> Prediction: ...
    def __call__(self, source: Input | list[Input] | None = None) -> Prediction | list[Prediction]:
        """Return what the model finds in one input, or in each of a list.

        Args:
            source: a path or the bytes of a picture, a ``.wav``, ``.npy`` or ``.npz`` file; a picture of
                Pillow, or as (height, width, 3) uint8 RGB; an array, or a dict of arrays by input; samples
                with their rate. None runs the network on zeros.

        Raises:
            UsageError: there is no such file.
            InputError: the input is damaged, does not fit, or the network fails on it.
        """
        if isinstance(source, list):
            return list(self.stream(source))
        return next(iter(self.stream([source])))

    def stream(self, sources: Iterable[Input | Item | None]) -> Iterator[Prediction]:
        """Yield one prediction for each input, in order; as many run at once as suit the device.

        Inputs are read when their turn comes, and no more of them are kept than are running.

        Raises:
            InputError: as of a call, for the first input that fails; those before it are yielded.
        """
        limit = max(1, int(self.compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))
        running: deque[_Run] = deque()
        try:
            for source in sources:
                if len(running) == limit:
                    yield running.popleft().finish()
                try:
                    running.append(_Run(self, source))
                except BaseException:
                    while running:
                        yield running.popleft().finish()
                    raise
            while running:
                yield running.popleft().finish()
        finally:
            for run in running:
                run.abandon()

    # OpenVINO's AsyncInferQueue does not say which inference failed, and is of no use once one has.

    def request(self) -> openvino.InferRequest:
        """Return a request that nobody uses."""
        try:
            return self._idle.pop()
        except IndexError:
            return self.compiled.create_infer_request()

    def start(self, request: openvino.InferRequest, arrays: Arrays) -> None:
        """Start an inference."""
        request.start_async({self._index[name]: array for name, array in arrays.items()})

    def release(self, request: openvino.InferRequest) -> None:
        """Take a request back."""
        self._idle.append(request)

    def steps(self, item: Item | None) -> Steps:
        """Return what answers an input."""
        return self.task.run(item)


class _Run:
    """One input on its way through the network."""

    def __init__(self, predictor: Predictor, source: Input | Item | None) -> None:
        item = None if source is None else read_item(source, raw=predictor.task.raw)
        self.name = item.name if item is not None else "zeros"
        self.predictor = predictor
        self.steps = predictor.steps(item)
        arrays = next(self.steps)
        self.request = predictor.request()
        self.seconds = 0.0
        self._start(arrays)

    def finish(self) -> Prediction:
        """Wait for the last inference and return the prediction."""
        while True:
            values = self._wait()
            try:
                arrays = self.steps.send(values)
            except StopIteration as done:
                self.predictor.release(self.request)
                prediction: Prediction = done.value
                return replace(prediction, seconds=self.seconds)
            self._start(arrays)

    def abandon(self) -> None:
        """Wait for the inference that is running, and forget it."""
        try:
            self.request.wait()
        except RuntimeError:
            return
        self.predictor.release(self.request)

    def _start(self, arrays: Arrays) -> None:
        self.shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        self.begun = time.perf_counter()
        try:
            self.predictor.start(self.request, arrays)
        except RuntimeError as error:
            raise self._failed(error) from error

    def _wait(self) -> list[Array]:
        try:
            self.request.wait()
            self.seconds += self.request.latency / 1000
            return [tensor.data.copy() for tensor in self.request.output_tensors]
        except RuntimeError as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> InputError:
        what = f"the network failed on {self.name}"
        accepted = f"it accepts the inputs {self.shapes}"
        return InputError(what, expected=accepted, found=reason(error), hint="try another input")
