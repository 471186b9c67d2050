"""Arguments of the old converter, as recipes: what they meant, or why that is no longer possible."""

from __future__ import annotations

import pytest

from model_zoo import errors
from model_zoo.catalog.omz import OmzOrigin, to_model

ORIGIN = OmzOrigin("m", "public/m", file="m/model.yml")
FILE = {"name": "m.onnx", "size": 3, "checksum": "AB" * 48, "source": "https://example.org/m.onnx"}


def raw(*arguments, **fields):
    return {
        "description": "Does something.",
        "task_type": "detection",
        "framework": "onnx",
        "license": "https://example.org/LICENSE",
        "files": [FILE],
        "input_info": [{"name": "x", "shape": [1, 3, 4, 4], "layout": "NCHW"}],
        "model_optimizer_args": ["--input_model=$dl_dir/m.onnx", *arguments],
        **fields,
    }


def recipe(*arguments, **fields):
    return to_model(raw(*arguments, **fields), ORIGIN).recipe


def test_preprocessing_is_that_of_each_input():
    found = recipe(
        "--mean_values=a[1,2,3],b[4.5]",
        "--scale_values=b[255]",
        "--reverse_input_channels",
        "--output=y,z",
        input_info=[
            {"name": "a", "shape": [1, 3, 8, 8], "layout": "NCHW"},
            {"name": "b", "shape": [1, 8, 8, 1], "layout": "NHWC"},
            {"name": "c", "shape": [1, 8, 8, 3]},
            {"name": "d"},
        ],
    )
    a, b, c, d = found.inputs
    assert (a.mean, a.scale, a.reverse_channels) == ((1.0, 2.0, 3.0), None, True)
    assert (b.mean, b.scale, b.reverse_channels) == (4.5, 255.0, False)
    assert (c.mean, c.reverse_channels, d.reverse_channels, d.shape) == (None, True, False, None)
    assert found.outputs == ("y", "z")
    assert found.precisions == ("FP16", "FP32")
    assert found.model == "m.onnx"


def test_values_without_names_go_by_position():
    (one,) = recipe("--mean_values=[123.675, 116.28, 103.53]", "--scale=127.5").inputs
    assert (one.mean, one.scale) == ((123.675, 116.28, 103.53), 127.5)


def test_values_for_an_unknown_input_are_refused():
    with pytest.raises(errors.CatalogError, match="names 'y', which is not in input_info"):
        recipe("--mean_values=y[1]")


def test_a_graph_is_cut_at_interior_names():
    found = recipe(
        framework="tf",
        input_info=[{"name": "0:sub", "shape": [1, 4]}, {"name": "map/Stack", "shape": [1]}, {"name": "in"}],
        model_optimizer_args=["--input_meta_graph=$dl_dir/a/model.ckpt.meta"],
    )
    assert found.cut.inputs == ("0:sub", "map/Stack")
    assert found.model == "a/model.ckpt.meta"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--transformations_config=$mo_ext_dir/front/tf/ssd_v2_support.json"], "ssd_v2_support.json"),
        (["--freeze_placeholder_with_value=is_train->False"], "is_train = False"),
    ],
)
def test_what_cannot_be_converted_says_why(arguments, reason):
    model = to_model(raw(*arguments), ORIGIN)
    assert not model.convertible
    assert reason in model.reason


def export(*more, **fields):
    arguments = [
        "--import-module=net.code",
        "--model-name=Net",
        "--input-names=b,a",
        "--output-names=y,z",
        "--output-file=$conv_dir/m.onnx",
        *more,
    ]
    if not any("input-shape" in one for one in more):
        arguments.append("--input-shapes=[1,2],[1,3,4,4]")
    inputs = [{"name": "a", "shape": [1, 3, 4, 4], "layout": "NCHW"}, {"name": "b", "shape": [1, 2]}]
    changes = {"framework": "pytorch", "conversion_to_onnx_args": arguments, "input_info": inputs, **fields}
    return to_model(raw("--mean_values=a[1,2,3]", "--output=z", **changes), ORIGIN)


def test_the_exporters_arguments_become_a_builder():
    model = export(
        "--model-path=$dl_dir",
        "--model-path=$dl_dir/lib/",
        "--weights=$dl_dir/w.pth",
        "--model-param=a=[1, 2]",
        '--model-param=kind=r"$dl_dir/x"',
        "--model-param=size=None",
    )
    builder = model.recipe.builder
    assert (builder.module, builder.callable, builder.weights) == ("net.code", "Net", "w.pth")
    assert builder.kwargs == {"a": [1, 2], "kind": "x", "size": None}
    assert builder.paths == (".", "lib")
    b, a = model.recipe.inputs  # in the order of the call, which is not that of input_info
    assert (a.name, a.mean, a.shape) == ("a", (1.0, 2.0, 3.0), (1, 3, 4, 4))
    assert (b.name, b.shape, b.type) == ("b", (1, 2), None)
    assert model.recipe.outputs == ("y", "z")
    assert [one.name for one in model.omz.inputs] == ["a", "b"]


def test_networks_of_torchvision_are_named():
    arguments = [
        "--import-module=torchvision.models",
        "--model-name=resnet18",
        "--weights=$dl_dir/w.pth",
        "--input-shape=1,3,4,4",
        "--input-names=x",
        "--output-names=y",
        "--output-file=o",
    ]
    model = to_model(raw(framework="pytorch", conversion_to_onnx_args=arguments), ORIGIN)
    assert (model.recipe.builder.torchvision, model.recipe.builder.weights) == ("resnet18", "w.pth")
    assert model.omz.inputs == ()


def test_free_dimensions_and_types_of_the_export_are_kept():
    model = export(
        "--inputs-dtype=long",
        '--conversion-param=dynamic_axes={"b": {0: "n", 1: "length"}}',
        input_info=[{"name": "a", "shape": [1, 3, 4, 4]}, {"name": "b", "layout": "NS"}],
    )
    b, a = model.recipe.inputs
    assert (b.shape, b.type, a.shape, a.type) == ((-1, -1), "i64", (1, 3, 4, 4), "i64")


def test_code_that_is_not_among_the_files_is_missed():
    paths = ("--model-path=$config_dir", "--model-path=$dl_dir")
    model = export(*paths)
    assert not model.convertible
    assert "Python module of Open Model Zoo's own" in model.reason
    for name in ("net/code.py", "net/code/__init__.py"):
        assert export(*paths, files=[FILE, FILE | {"name": name}]).convertible


def test_files_sources_archives_and_edits():
    files = [
        FILE | {"original_source": {"$type": "google_drive", "id": "1234567890abc"}},
        FILE | {"name": "lib/a.tgz", "source": {"$type": "http", "url": "https://example.org/a"}},
        FILE
        | {
            "name": "b.zip",
            "oroginal_source": FILE["source"],
            "checksum": {"$type": "sha384", "value": "0" * 96},
        },
    ]
    steps = [
        {"$type": "regex_replace", "file": "lib/x.py", "pattern": "a", "replacement": "b", "count": 2},
        {"$type": "unpack_archive", "file": "lib/a.tgz", "format": "gztar"},
        {"$type": "unpack_archive", "file": "b.zip", "format": "zip"},
    ]
    model = to_model(raw(files=files, postprocessing=steps), ORIGIN)
    plain, tar, archive = model.artifacts
    assert [source.describe() for source in plain.sources] == [
        "https://example.org/m.onnx",
        "gdrive:1234567890abc",
    ]
    assert plain.sha384 == "ab" * 48
    assert (tar.path, tar.unpack.format, tar.unpack.into) == ("lib/a.tgz", "tar.gz", "lib")
    assert (archive.unpack.into, archive.sha384, len(archive.sources)) == (".", "0" * 96, 1)
    (edit,) = model.replace
    assert (edit.file, edit.count, edit.omz) == ("lib/x.py", 2, True)


def test_ready_files_have_their_precision():
    files = [
        FILE | {"name": name}
        for name in ("FP16/m.xml", "FP16/m.bin", "vocab.txt", "FP32-INT8/m.xml", "a/FP16/x")
    ]
    fields = {k: v for k, v in raw(framework="dldt", files=files).items() if k != "model_optimizer_args"}
    model = to_model(fields, ORIGIN)
    assert [a.precision for a in model.artifacts] == ["FP16", "FP16", None, "FP32-INT8", None]
    assert model.precisions == ("FP16", "FP32-INT8")
    assert model.framework == "openvino"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_type": None}, "task_type is missing"),
        ({"framework": "caffe"}, "dldt, onnx, pytorch, tf"),
        ({"model_optimizer_args": None}, "no model_optimizer_args"),
        ({"model_optimizer_args": []}, "names no model"),
        ({"files": [FILE | {"checksum": "abc"}]}, r"artifacts\[0\]\.sha384"),
        ({"files": [FILE | {"size": -1}]}, r"artifacts\[0\]\.size"),
        ({"files": [FILE | {"name": "../m.onnx"}]}, r'must not contain "\.\."'),
        ({"files": [FILE | {"source": {"$type": "ftp"}}]}, "unknown kind of source 'ftp'"),
        ({"files": [FILE, FILE]}, "are the same path"),
        ({"files": [3]}, "not a model description"),
        ({"postprocessing": [{"$type": "shell"}]}, "unknown postprocessing 'shell'"),
        (
            {"postprocessing": [{"$type": "unpack_archive", "file": "z", "format": "zip"}]},
            "not among the files",
        ),
        (
            {"postprocessing": [{"$type": "unpack_archive", "file": "m.onnx", "format": "rar"}]},
            "unknown archive format 'rar'",
        ),
        (
            {"postprocessing": [{"$type": "regex_replace", "file": "a", "pattern": "(", "replacement": ""}]},
            "compile",
        ),
    ],
)
def test_wrong_descriptions_are_refused_with_their_file(change, message):
    fields = {key: value for key, value in {**raw(), **change}.items() if value is not None}
    with pytest.raises(errors.CatalogError, match=message) as caught:
        to_model(fields, ORIGIN)
    assert str(caught.value).startswith("m/model.yml")


def test_composites():
    fields = {key: value for key, value in raw().items() if key not in {"files", "model_optimizer_args"}}
    model = to_model(fields | {"stages_order": ["m-a", "m-b"]}, ORIGIN, composite=True)
    assert model.stages == ("m-a", "m-b")
    assert model.omz.subdirectory == "public/m"
    with pytest.raises(errors.CatalogError, match="stages_order is missing"):
        to_model(fields, ORIGIN, composite=True)


def test_scripts_that_only_called_a_constructor_are_replaced_by_it():
    arguments = ["--saved_model_dir=$conv_dir/x", "--output=a"]
    fields = raw(framework="tf", model_optimizer_args=arguments, pre_convert_script=True)
    model = to_model(fields, OmzOrigin("densenet-121-tf", "public/densenet-121-tf"))
    assert model.convertible
    assert (model.recipe.builder.module, model.recipe.builder.callable) == (
        "keras.applications",
        "DenseNet121",
    )
    assert (model.recipe.model, model.recipe.outputs) == (None, ())
    other = to_model(fields, ORIGIN)
    assert not other.convertible
    assert "script of Open Model Zoo" in other.reason


def test_networks_that_tracing_does_not_get_through():
    fields = raw(framework="pytorch", conversion_to_onnx_args=[
        "--import-module=model", "--model-name=create_levit", "--input-shape=1,3,4,4", "--input-names=x",
        "--output-names=y", "--output-file=o", "--model-path=$config_dir",
    ])  # fmt: skip
    model = to_model(fields, OmzOrigin("levit-128s", "public/levit-128s"))
    assert model.convertible
    assert model.recipe.dynamo


def test_shapes_of_arguments_win():
    (one,) = recipe("--input_shape=[1,3,384,288]").inputs
    assert one.shape == (1, 3, 384, 288)
