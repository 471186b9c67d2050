"""Inputs that Open Model Zoo named by the port they enter, ``0:sub``, as the Model Optimizer did."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest

from model_zoo import errors
from model_zoo.conversion.worker import ports


@pytest.fixture
def graph():
    """y = (decode(raw) - 2) * x2, where the picture enters ``sub`` at port 0 and ``mul`` at port 1."""
    ops = ov.opset13
    raw = ops.parameter([4], ov.Type.f32, "raw")
    other = ops.parameter([4], ov.Type.f32, "other")
    decoded = ops.multiply(raw, ops.constant(np.float32(10)), name="decode")
    sub = ops.subtract(decoded, ops.constant(np.float32(2)), name="sub")
    mul = ops.multiply(other, sub, name="mul")
    return ov.Model([ops.result(mul)], [raw, other], "g")


def infer(model, *values):
    return ov.Core().compile_model(model, "CPU")(list(values))[0].tolist()


@pytest.mark.parametrize(("name", "expected"), [("0:sub", [-1, 0, 1, 2]), ("1:mul", [1, 2, 3, 4])])
def test_the_tensor_that_enters_a_port_becomes_the_input(graph, name, expected):
    tensor = ports.find_tensor(graph, name, "recipe.cut.inputs")
    model = ports.rebuild(graph, inputs=[(name, tensor)])
    assert name in {port.any_name for port in model.inputs}
    given, ones = np.array([1, 2, 3, 4], np.float32), np.ones(4, np.float32)
    values = [given if name in port.get_names() else ones for port in model.inputs]
    assert infer(model, *values) == expected


@pytest.mark.parametrize("name", ["2:sub", "9:mul", "0:nothing", "x:sub"])
def test_ports_that_are_not_there_are_refused(graph, name):
    with pytest.raises(errors.ConversionError, match=f"no tensor or node named '{name}'"):
        ports.find_tensor(graph, name, "recipe.cut.inputs")
